//! Services in containers, on a real engine.

mod broken;
mod contract;
mod crash;
mod limits;
mod oracle;
mod outputs;
mod registry;
mod variants;
mod warm;

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use wicket_tests::{Engine, IMAGE, TestHost, until};

use crate::api::bearer;

const SOON: Duration = Duration::from_secs(60);

/// Creates a service that runs a script, with more fields; returns its token.
pub(crate) async fn deploy(host: &TestHost, name: &str, script: &str, more: Value) -> String {
    let mut service = json!({"name": name, "image": IMAGE, "script": script, "container": {"pull": "never"}});
    for (field, value) in more.as_object().expect("fields") {
        match (field.as_str(), value.as_object()) {
            ("container", Some(fields)) => {
                for (field, value) in fields {
                    service["container"][field] = value.clone();
                }
            }
            _ => service[field] = value.clone(),
        }
    }
    let answer = host.admin(Method::POST, "/system/services", service.to_string()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let read = host.admin(Method::GET, &format!("/system/services/{name}"), "").await.json();
    read["token"].as_str().expect("the admin sees the token").to_owned()
}

/// Runs a service on a body and waits: the status, the answer, and the receipt.
async fn run(
    host: &TestHost,
    name: &str,
    token: &str,
    body: impl Into<bytes::Bytes>,
) -> (StatusCode, Vec<u8>, Value) {
    let answer = bearer(host, Method::POST, &format!("/run/{name}"), token, &[], body).await;
    let receipt = host.receipt(answer.invocation()).await;
    (answer.status, answer.body.to_vec(), receipt)
}

/// The log of an invocation, a line each.
async fn log(host: &TestHost, receipt: &Value) -> String {
    host.wicket(&["logs", receipt["id"].as_str().expect("an id")]).stdout
}

/// What an attempt failed of.
fn message(attempt: &Value) -> &str {
    attempt["failure"]["message"].as_str().unwrap_or_default()
}

/// Waits until a container of this host runs; its name.
async fn running(engine: &Engine, host: &TestHost) -> String {
    until("a container runs", SOON, async || {
        let all = engine.containers(host).await;
        all.into_iter().find(|(_, state)| state == "running").map(|(name, _)| name)
    })
    .await
}

/// Waits until a host has left nothing on the engine.
pub(crate) async fn clean(engine: &Engine, host: &TestHost) {
    until("nothing is left", SOON, async || (engine.left(host).await == 0).then_some(())).await;
}
