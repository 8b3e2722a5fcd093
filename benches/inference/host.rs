//! Our side: a host with models, and services of the guest in `benches/guest`.

use std::path::Path;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wicket_benches::{cpu_time, family};
use wicket_tests::{Setup, TestHost, guests};

/// A host that infers.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) host: TestHost,
}

impl Host {
    /// With these lines of `[inference]`.
    pub(crate) fn start(inference: &str) -> Self {
        let config = format!("[inference]\n{inference}\n");
        Self { host: TestHost::with(Setup { config, ..Setup::default() }) }
    }

    /// The same folder, a new process: nothing is loaded.
    pub(crate) fn restart(self) -> Self {
        Self { host: self.host.restart() }
    }

    /// Deploys the guest with one model, called `model` there; with more fields of the model.
    ///
    /// # Panics
    ///
    /// When the host refuses it.
    pub(crate) async fn deploy(&self, service: &str, model: Option<(&Path, Value)>) {
        let module = self.upload("modules", &guests::path("bench-inference")).await;
        let mut models = Vec::new();
        if let Some((file, more)) = model {
            let mut model = json!({"name": "model", "sha256": self.upload("models", file).await});
            model.as_object_mut().expect("an object").extend(more.as_object().cloned().into_iter().flatten());
            models.push(model);
        }
        let limits = json!({"memory": "512MiB", "cpu_time": "10m", "timeout": "10m", "concurrency": 64});
        let service = json!({"name": service, "wasm": module, "models": models, "limits": limits, "retry": {"attempts": 1}});
        let answer = self.host.admin(Method::POST, "/system/services", service.to_string()).await;
        assert!(answer.status.is_success(), "{service}: {}", answer.text());
    }

    async fn upload(&self, kind: &str, file: &Path) -> String {
        let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let digest = hex::encode(Sha256::digest(&bytes));
        let put = self.host.admin(Method::PUT, &format!("/system/{kind}/{digest}"), bytes).await;
        assert!(put.status.is_success(), "{}: {}", file.display(), put.text());
        digest
    }

    /// Has a service do a task; what it said, and the invocation.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub(crate) async fn call(&self, service: &str, task: &Value, about: &[u8]) -> (Value, String) {
        let body = [task.to_string().as_bytes(), b"\n", about].concat();
        let answer = self.host.admin(Method::POST, &format!("/run/{service}"), body).await;
        if answer.status != StatusCode::OK {
            let log = self.host.cli(&["logs", answer.invocation()]).stdout;
            panic!("{service}: {} {}{log}", answer.status, answer.text());
        }
        (answer.json(), answer.invocation().to_owned())
    }

    /// CPU time of the host and its workers so far, seconds.
    pub(crate) fn cpu(&self) -> f64 {
        family(self.host.pid()).into_iter().map(cpu_time).sum()
    }

    /// Memory of the host and its workers now, bytes; what they share counts once.
    pub(crate) fn memory(&self) -> u64 {
        family(self.host.pid()).into_iter().map(wicket_benches::memory).sum()
    }
}
