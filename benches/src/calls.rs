//! Services of a host, and what became of their calls.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use wicket_core::{Depth, Receipt, State};
use wicket_tests::{IMAGE, TestHost};

/// Between two looks at a receipt: rare, so that looking takes nothing from what is measured.
const LOOK: Duration = Duration::from_millis(100);

/// Applies a service whose container runs a script in the image of the stories, with the defaults of a service but for
/// `container`, fields of that name, and `more`, lines of its definition.
///
/// # Panics
///
/// When the host refuses it.
pub fn apply_script(host: &TestHost, name: &str, script: &str, container: &str, more: &[&str]) {
    let file = host.scratch().join(format!("{name}.sh"));
    std::fs::write(&file, script).expect("the folder is ours");
    let mut lines = vec![
        format!("image: {IMAGE}"),
        format!("script: {}", file.display()),
        format!("container: {{ pull: never, {container} }}"),
    ];
    lines.extend(more.iter().map(|line| (*line).to_owned()));
    apply(host, name, &lines);
}

/// Applies a service of these lines.
///
/// # Panics
///
/// When the host refuses it.
pub fn apply(host: &TestHost, name: &str, lines: &[String]) {
    let lines: String = lines.iter().map(|line| format!("\n    {line}")).collect();
    host.apply(&format!("- bench:\n    name: {name}{lines}"));
}

/// Queues a job; its id.
///
/// # Panics
///
/// When the host does not take it.
pub async fn submit(host: &TestHost, service: &str) -> String {
    let answer = host.admin(Method::POST, &format!("/job/{service}"), "").await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    answer.invocation().to_owned()
}

/// Calls a service and waits for its answer.
///
/// # Panics
///
/// When it fails.
pub async fn call(host: &TestHost, service: &str) {
    let answer = host.admin(Method::POST, &format!("/run/{service}"), "").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

/// The receipt of an invocation, when it has ended well.
///
/// # Panics
///
/// When it does not.
pub async fn ended(host: &TestHost, id: &str) -> Receipt {
    loop {
        let answer = host.admin(Method::GET, &format!("/system/invocations/{id}"), "").await;
        let receipt: Receipt = serde_json::from_slice(&answer.body).expect("a receipt");
        if receipt.finished.is_some() {
            assert_eq!(receipt.state, State::Succeeded, "{receipt:?}");
            return receipt;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Puts an object, and waits for the receipt of the service that it starts, however that ended.
///
/// # Panics
///
/// When the host does not take it, or does not list it.
pub async fn upload(host: &TestHost, service: &str, bucket: &str, key: &str, body: Bytes) -> Receipt {
    host.put(bucket, key, body).await;
    loop {
        let path = format!("/system/invocations?service={service}&limit=1");
        let answer = host.admin(Method::GET, &path, "").await;
        let newest: Vec<Receipt> = serde_json::from_slice(&answer.body).expect("receipts");
        let ours = newest.into_iter().find(|one| one.subject.as_deref() == Some(key));
        if let Some(receipt) = ours.filter(|one| one.finished.is_some()) {
            return receipt;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How many invocations of a host wait and run.
///
/// # Panics
///
/// When it does not say.
pub async fn depth(host: &TestHost) -> Depth {
    let mut stats = host.admin(Method::GET, "/system/stats", "").await.json();
    serde_json::from_value(stats["invocations"].take()).expect("figures")
}

/// From being accepted to its end, ms.
pub fn total_ms(receipt: &Receipt) -> f64 {
    let finished = receipt.finished.unwrap_or(receipt.accepted);
    (finished.0 - receipt.accepted.0) as f64 / 1e3
}
