//! A service with a module and an image: light inputs pass the wicket, what meets a limit goes through the gate.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use wicket_tests::{Engine, IMAGE, TestHost, until};

use super::{SOON, clean, run};

/// A service whose module computes for ever, and whose image does not.
async fn both(host: &TestHost, execution: &str) -> String {
    let fields = json!({
        "image": IMAGE, "script": "echo heavy > $TMP_OUTPUT_DIR/by", "container": {"pull": "never"},
        "execution": execution, "limits": {"cpu_time": "200ms"}, "retry": {"attempts": 1},
        "input": [{"path": "box/in"}], "output": [{"path": "box/out"}],
    });
    crate::api::deploy(host, "both", "spin", fields).await
}

fn ways(receipt: &Value) -> Vec<(&str, Option<&str>)> {
    let attempts = receipt["attempts"].as_array().expect("a list").iter();
    attempts
        .map(|one| (one["executor"].as_str().expect("a name"), one["failure"]["limit"].as_str()))
        .collect()
}

#[tokio::test]
async fn what_ends_at_a_limit_goes_on_in_a_container_in_the_same_invocation() {
    let engine = Engine::find().await;
    let host = engine.host();
    let token = both(&host, "auto").await;
    host.put("box", "in/a", "x").await;
    assert_eq!(until("it is there", SOON, async || host.object("box", "out/by").await).await, "heavy\n");
    let receipts = host.receipts("both").await;
    assert_eq!(receipts.len(), 1);
    assert_eq!(ways(&receipts[0]), [("wasm", Some("cpu_time")), ("docker", None)], "{}", receipts[0]);
    // The same for a caller who waits.
    let (status, answer, receipt) = run(&host, "both", &token, "").await;
    assert_eq!((status, answer.as_slice()), (StatusCode::OK, &b"heavy\n"[..]), "{receipt}");
    assert_eq!(ways(&receipt), [("wasm", Some("cpu_time")), ("docker", None)], "{receipt}");
    clean(&engine, &host).await;
}

#[tokio::test]
async fn execution_names_the_variant_that_runs() {
    let engine = Engine::find().await;
    let host = engine.host();
    let token = both(&host, "container").await;
    let (_, answer, receipt) = run(&host, "both", &token, "").await;
    assert_eq!((answer.as_slice(), ways(&receipt)), (&b"heavy\n"[..], vec![("docker", None)]), "{receipt}");
    let mut service = host.admin(Method::GET, "/system/services/both", "").await.json();
    service["execution"] = "wasm".into();
    let changed = host.admin(Method::PUT, "/system/services", service.to_string()).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{}", changed.text());
    let (_, _, receipt) = run(&host, "both", &token, "").await;
    assert_eq!(ways(&receipt), [("wasm", Some("cpu_time"))], "{receipt}");
    clean(&engine, &host).await;
}
