//! The HTTP listener: what clients of every kind meet.

mod bodies;
mod drain;
mod load;
mod patience;
mod protocol;
mod routes;

use std::time::Duration;

use wicket_tests::{Setup, TestHost};

const SOON: Duration = Duration::from_secs(60);

/// A host with these lines below `[http]`.
fn host(config: &str) -> TestHost {
    TestHost::with(Setup { config: format!("[http]\n{config}"), ..Setup::default() })
}

/// A service on routes below `/{name}`.
fn service(name: &str, guest: &str, more: &str) -> String {
    format!(
        "- node:\n    name: {name}\n    wasm: {{guest:{guest}}}\n    http: {{ path: '/{name}/{{*rest}}' }}\n{more}"
    )
}
