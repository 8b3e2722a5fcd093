//! The HTTP API as its callers meet it.

mod calls;
mod doors;
mod hostile;
mod logs;
mod services;

use base64::Engine;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wicket_tests::{Answer, TestHost, guests};

/// Uploads a guest, and returns its digest.
pub(crate) async fn upload(host: &TestHost, guest: &str) -> String {
    let bytes = std::fs::read(guests::path(guest)).expect("a guest is readable");
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let answer = host.admin(Method::PUT, &format!("/system/modules/{digest}"), bytes).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    digest
}

/// Creates a service `name` of a guest, with more fields; returns its token.
pub(crate) async fn deploy(host: &TestHost, name: &str, guest: &str, more: Value) -> String {
    let mut service = json!({"name": name, "wasm": upload(host, guest).await});
    for (field, value) in more.as_object().expect("fields") {
        service[field] = value.clone();
    }
    let answer = host.admin(Method::POST, "/system/services", service.to_string()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let read = host.admin(Method::GET, &format!("/system/services/{name}"), "").await.json();
    read["token"].as_str().expect("the admin sees the token").to_owned()
}

/// A request with a bearer token.
pub(crate) async fn bearer(
    host: &TestHost,
    method: Method,
    path: &str,
    token: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let authorization = format!("Bearer {token}");
    let mut all = vec![("authorization", authorization.as_str()), ("accept", "application/json")];
    all.extend_from_slice(headers);
    host.send(method, path, &all, body.into()).await
}

/// The `authorization` of the admin, with this password.
pub(crate) fn basic(password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("oscar:{password}")))
}

/// The code of an error in JSON.
#[track_caller]
pub(crate) fn code(answer: &Answer) -> String {
    answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
}

/// The receipt of an invocation, when it has ended.
pub(crate) async fn ended(host: &TestHost, id: &str) -> Value {
    wicket_tests::until("the invocation ends", std::time::Duration::from_secs(30), async || {
        let answer = host.admin(Method::GET, &format!("/system/invocations/{id}"), "").await;
        let receipt = answer.status.is_success().then(|| answer.json())?;
        matches!(receipt["state"].as_str(), Some("succeeded" | "failed")).then_some(receipt)
    })
    .await
}
