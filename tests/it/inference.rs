//! Functions that infer, on real models: `cargo xtask models` fetches them.

mod apart;
mod deepaas;
mod detector;
mod endpoint;
mod fire;
mod guest;
mod masks;
mod media;
mod photographs;
mod protocol;
mod refused;
mod transcript;

use std::path::PathBuf;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wicket_tests::{Setup, TestHost, guests, until};

use crate::api::bearer;

const SOON: Duration = Duration::from_secs(60);
/// For what has several stages, of large models.
const LATER: Duration = Duration::from_secs(120);

/// A file that the set-up put below `target/`.
fn fetched(name: &str) -> PathBuf {
    let built = guests::path("classify");
    let file = built.ancestors().nth(2).expect("target/guests is in target/").join(name);
    assert!(file.exists(), "{} is missing: run `cargo xtask models`", file.display());
    file
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(fetched(&format!("samples/{name}"))).expect("it was fetched")
}

/// A program for Python with OpenCV and Triton's client.
fn python(program: &str) -> std::process::Command {
    let mut python = std::process::Command::new("python3");
    python.env("PYTHONPATH", fetched("inference-tools")).env("PYTHONDONTWRITEBYTECODE", "1");
    python.args(["-c", program]);
    python
}

/// Lines of `wicket.toml` for a host with ONNX Runtime.
fn config() -> String {
    format!("[inference]\nonnxruntime = {:?}\n", fetched("onnxruntime/libonnxruntime.so"))
}

/// A host with ONNX Runtime.
fn host() -> TestHost {
    TestHost::with(Setup { config: config(), ..Setup::default() })
}

/// A workflow of `functions/`, as it stands.
fn workflow(name: &str) -> String {
    let built = guests::path("classify");
    let target = built.ancestors().nth(2).expect("target/guests is in target/");
    let functions = target.parent().expect("target/ is in the repository").join("functions");
    let text = std::fs::read_to_string(functions.join(name)).expect("the workflow is there");
    let text = text.replace("../target/", &format!("{}/", target.display()));
    text.replace("script: ", &format!("script: {}/", functions.display()))
}

/// The same with other words in it, as somebody writes them who reads its comments.
fn changed(text: String, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// Applies a workflow.
fn deploy(host: &TestHost, text: &str) {
    let file = host.scratch().join("workflow.yaml");
    std::fs::write(&file, text).expect("the temporary folder is writable");
    host.wicket(&["apply", file.to_str().expect("text")]);
}

/// Waits for an object that is JSON.
async fn made(host: &TestHost, bucket: &str, key: &str) -> Value {
    let made = until(&format!("{key} is there"), LATER, async || host.object(bucket, key).await).await;
    serde_json::from_slice(&made).expect("JSON")
}

/// Waits until so many invocations of a service have ended, and tells of them, the newest first.
async fn ended(host: &TestHost, service: &str, n: usize) -> Vec<Value> {
    until(&format!("{n} invocations of {service} have ended"), LATER, async || {
        let receipts = host.receipts(service).await;
        let all_ended = receipts.iter().all(|receipt| receipt["finished"].is_string());
        (receipts.len() >= n && all_ended).then_some(receipts)
    })
    .await
}

/// A service that classifies, with more fields of its model and of itself; its token.
async fn classifier(host: &TestHost, name: &str, model: Value, more: Value) -> Result<String, String> {
    let module = std::fs::read(guests::path("classify")).expect("it was built");
    let digest = hex(&module);
    let put = host.admin(Method::PUT, &format!("/system/modules/{digest}"), module).await;
    assert!(put.status.is_success(), "{}", put.text());
    let mut service = json!({"name": name, "wasm": digest, "models": [model], "retry": {"attempts": 1}});
    service.as_object_mut().expect("an object").extend(more.as_object().expect("fields").clone());
    let answer = host.admin(Method::POST, "/system/services", service.to_string()).await;
    if !answer.status.is_success() {
        return Err(answer.text());
    }
    let read = host.admin(Method::GET, &format!("/system/services/{name}"), "").await.json();
    Ok(read["token"].as_str().expect("the admin sees the token").to_owned())
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Uploads a model; its digest.
async fn upload(host: &TestHost, name: &str) -> String {
    let bytes = std::fs::read(fetched(&format!("models/{name}.onnx"))).expect("it was fetched");
    let digest = hex(&bytes);
    let put = host.admin(Method::PUT, &format!("/system/models/{digest}"), bytes).await;
    assert!(put.status.is_success(), "{}", put.text());
    digest
}

/// What is seen on a photograph, the surest first, and the receipt.
async fn classify(host: &TestHost, name: &str, token: &str, photo: &str) -> (Vec<String>, Value) {
    let answer = bearer(host, Method::POST, &format!("/run/{name}"), token, &[], sample(photo)).await;
    let receipt = host.receipt(answer.invocation()).await;
    assert_eq!(answer.status, StatusCode::OK, "{receipt}");
    let said: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let classes = said["classes"].as_array().expect("a list").iter();
    (classes.map(|one| one["label"].as_str().expect("a word").to_owned()).collect(), receipt)
}
