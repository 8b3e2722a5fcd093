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

/// A service whose module needs sixteen times its input in memory, and may have 8 MiB.
async fn swelling(host: &TestHost, more: Value) {
    let mut fields = json!({
        "image": IMAGE, "script": "wc -c < $INPUT_FILE_PATH > $TMP_OUTPUT_DIR/size",
        "container": {"pull": "never", "memory": "64MiB"},
        "limits": {"memory": "8MiB", "concurrency": 1}, "retry": {"attempts": 1},
        "input": [{"path": "box/in"}], "output": [{"path": "box/out", "keep_folders": true}],
    });
    fields.as_object_mut().expect("fields").extend(more.as_object().cloned().unwrap_or_default());
    crate::api::deploy(host, "swell", "swell", fields).await;
}

/// Uploads an input of so many bytes, and waits for its receipt.
async fn upload(host: &TestHost, name: &str, bytes: usize) -> Value {
    host.put("box", &format!("in/{name}/x"), vec![b'x'; bytes]).await;
    let out = format!("out/{name}/size");
    let size = until("it is there", SOON, async || host.object("box", &out).await).await;
    assert_eq!(String::from_utf8_lossy(&size).trim(), bytes.to_string());
    let receipts = host.receipts("swell").await;
    let subject = format!("in/{name}/x");
    receipts.into_iter().find(|one| one["subject"] == subject.as_str()).expect("it has a receipt")
}

#[tokio::test]
async fn the_record_of_a_size_decides_where_the_next_one_runs_and_can_say_why() {
    let engine = Engine::find().await;
    let host = engine.host();
    swelling(&host, json!({})).await;
    assert_eq!(ways(&upload(&host, "small", 1000).await), [("wasm", None)]);
    let first = upload(&host, "large", 2_000_000).await;
    assert_eq!(ways(&first), [("wasm", Some("memory")), ("docker", None)], "{first}");
    // The next of that size goes straight there, and a small one does not.
    let second = upload(&host, "larger", 2_100_000).await;
    assert_eq!(ways(&second), [("docker", None)], "{second}");
    assert_eq!(ways(&upload(&host, "smaller", 900).await), [("wasm", None)]);
    let id = second["id"].as_str().expect("an id");
    let shown = host.wicket(&["show", id]).stdout;
    assert!(shown.contains("not on wasm: inputs of more than"), "{shown}");
    // A restarted host knows it from the receipts.
    let host = host.restart();
    let third = upload(&host, "largest", 2_200_000).await;
    assert_eq!(ways(&third), [("docker", None)], "{third}");
    let asked = host.wicket(&["explain", "box/in/no-such", "--size", "2500000"]).stdout;
    assert!(asked.contains("would run on docker") && asked.contains("ended at a limit there"), "{asked}");
    let asked = host.wicket(&["explain", "box/in/no-such", "--size", "1KB"]).stdout;
    assert!(asked.contains("would run on wasm"), "{asked}");
    // Another version may take more.
    swelling_again(&host).await;
    assert_eq!(ways(&upload(&host, "fits", 2_000_000).await), [("wasm", None)]);
    clean(&engine, &host).await;
}

/// The same service with more memory.
async fn swelling_again(host: &TestHost) {
    let mut service = host.admin(Method::GET, "/system/services/swell", "").await.json();
    service["limits"]["memory"] = "128MiB".into();
    let changed = host.admin(Method::PUT, "/system/services", service.to_string()).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{}", changed.text());
}

#[tokio::test]
async fn what_needs_a_gpu_or_more_memory_than_there_is_passes_the_module_over() {
    let engine = Engine::find().await;
    let config = "[wasm]\nmax_memory = \"64MiB\"".to_owned();
    let host = engine.host_with("", wicket_tests::Setup { config, ..wicket_tests::Setup::default() });
    swelling(&host, json!({"limits": {"memory": "128MiB"}})).await;
    let receipt = upload(&host, "a", 1000).await;
    assert_eq!(ways(&receipt), [("docker", None)], "{receipt}");
    let why = &receipt["attempts"][0]["placement"]["passed"][0]["why"];
    assert_eq!(why["kind"], "needs", "{receipt}");
    assert!(why["message"].as_str().is_some_and(|text| text.contains("at most 64MiB here")), "{why}");
    // The same of a GPU, whether the engine has one or not.
    let mut service = host.admin(Method::GET, "/system/services/swell", "").await.json();
    service["container"]["gpus"] = 1.into();
    service["limits"]["memory"] = "8MiB".into();
    let changed = host.admin(Method::PUT, "/system/services", service.to_string()).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{}", changed.text());
    let asked = host.wicket(&["explain", "box/in/b", "--size", "1KB"]).stdout;
    assert!(asked.contains("not on wasm: it needs 1 GPU(s)"), "{asked}");
    clean(&engine, &host).await;
}

/// The engine by a socket that can be taken away.
fn behind_a_link(engine: &Engine, folder: &std::path::Path) -> Engine {
    let socket = folder.join("docker.sock");
    std::os::unix::fs::symlink(&engine.socket, &socket).expect("a link");
    Engine { socket, docker: engine.docker.clone() }
}

#[tokio::test]
async fn a_stage_waits_for_its_engine_and_says_so() {
    let engine = Engine::find().await;
    let folder = tempfile::tempdir().expect("a folder");
    let away = behind_a_link(&engine, folder.path());
    let host = away.host();
    let fields = json!({"input": [{"path": "box/in"}], "output": [{"path": "box/out"}]});
    super::deploy(&host, "heavy", "cp $INPUT_FILE_PATH $TMP_OUTPUT_DIR/", fields).await;
    std::fs::remove_file(&away.socket).expect("it goes");
    let host = host.restart();
    host.put("box", "in/a", "kept").await;
    let waits = async || {
        let receipt = host.receipts("heavy").await.pop()?;
        (receipt["waiting"]["reason"].is_string()).then_some(receipt)
    };
    let receipt = until("it waits", SOON, waits).await;
    assert_eq!(
        (&receipt["state"], receipt["attempts"].as_array().map(Vec::len)),
        (&json!("queued"), Some(0))
    );
    let shown = host.wicket(&["show", receipt["id"].as_str().expect("an id")]).stdout;
    assert!(shown.contains("no container engine answers"), "{shown}");
    // It survives a restart, and goes on when the engine is back.
    let host = host.restart();
    std::os::unix::fs::symlink(&engine.socket, &away.socket).expect("a link");
    assert_eq!(until("it is there", SOON, async || host.object("box", "out/a").await).await, "kept");
    let receipt = host.receipts("heavy").await.remove(0);
    assert_eq!((ways(&receipt), &receipt["waiting"]), (vec![("docker", None)], &Value::Null), "{receipt}");
    clean(&engine, &host).await;
}

#[tokio::test]
async fn waiting_ends_with_the_time_that_the_service_gives_it() {
    let engine = Engine::find().await;
    let folder = tempfile::tempdir().expect("a folder");
    let away = behind_a_link(&engine, folder.path());
    let host = away.host();
    let fields = json!({"input": [{"path": "box/in"}], "unavailable": {"timeout": "2s"}});
    super::deploy(&host, "heavy", "true", fields).await;
    std::fs::remove_file(&away.socket).expect("it goes");
    host.put("box", "in/a", "x").await;
    let ended = async || host.receipts("heavy").await.pop().filter(|one| one["state"] == "failed");
    let receipt = until("it is given up", SOON, ended).await;
    let failure = &receipt["attempts"][0]["failure"];
    assert_eq!(failure["kind"], "unavailable", "{receipt}");
    assert!(failure["message"].as_str().is_some_and(|text| text.contains("it waited 2s")), "{failure}");
    // A caller is told at once.
    let read = host.admin(Method::GET, "/system/services/heavy", "").await.json();
    let (status, _, receipt) = run(&host, "heavy", read["token"].as_str().expect("a token"), "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{receipt}");
}

#[tokio::test]
async fn containers_have_a_budget_of_memory_together() {
    let engine = Engine::find().await;
    let host = engine.host_with("max_memory = \"64MiB\"", wicket_tests::Setup::default());
    let service = json!({"name": "wide", "image": IMAGE, "script": "true",
        "container": {"pull": "never", "memory": "65MiB"}});
    let refused = host.admin(Method::POST, "/system/services", service.to_string()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text());
    assert!(refused.text().contains("docker.max_memory"), "{}", refused.text());
    // Each fits alone, and no two together.
    let fields = json!({"container": {"memory": "40MiB"}, "input": [{"path": "box/in"}], "output": [{"path": "box/out"}]});
    super::deploy(&host, "half", "sleep 1; cp $INPUT_FILE_PATH $TMP_OUTPUT_DIR/", fields).await;
    for n in 0..3 {
        host.put("box", &format!("in/{n}"), "x").await;
    }
    for n in 0..3 {
        let out = format!("out/{n}");
        until("it ran", SOON, async || {
            let running = engine.containers(&host).await;
            assert!(running.iter().filter(|(_, state)| state == "running").count() < 2, "{running:?}");
            host.object("box", &out).await
        })
        .await;
    }
    clean(&engine, &host).await;
}
