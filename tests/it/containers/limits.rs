//! Whatever a container does, it ends with a name in the receipt, and leaves nothing.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};
use wicket_tests::{Engine, Setup, failure};

use super::{clean, deploy, run};

#[tokio::test]
async fn each_limit_is_a_named_end_and_the_neighbours_do_not_notice() {
    let engine = Engine::find().await;
    let host = engine.host_with("stop_grace = \"1s\"", Setup::default());
    host.apply("- node:\n    name: hello\n    wasm: {guest:hello}\n    http: { path: /hello }");
    let small = json!({"output": "1MiB", "log": "8KiB"});
    let cases: [(&str, &str, Value, &str); 9] = [
        ("memory", "dd if=/dev/zero of=/dev/null bs=200M count=1", json!({"memory": "32MiB"}), "memory"),
        ("tmp", "dd if=/dev/zero of=/tmp/big bs=1M count=64", json!({"tmp": "4MiB"}), "function"),
        ("slow", "trap '' TERM; while true; do sleep 1; done", json!({"timeout": "1s"}), "timeout"),
        ("forks", "f() { f | f & }; f; sleep 3", json!({"pids": 32, "timeout": "5s"}), "any"),
        ("flood", "yes 0123456789012345678901234567890123456789", json!({}), "log"),
        ("disk", "yes > $TMP_OUTPUT_DIR/big", json!({}), "output"),
        ("beside", "yes > $TMP_INPUT_DIR/big", json!({}), "function"),
        (
            "files",
            "i=0; while [ $i -lt 11000 ]; do : > $TMP_OUTPUT_DIR/$i; i=$((i+1)); done",
            json!({}),
            "output",
        ),
        ("killed", "sh -c 'kill -9 $$'", json!({}), "function"),
    ];
    for (name, script, container, wanted) in cases {
        let fields = json!({"container": container, "limits": small, "retry": {"attempts": 1}});
        let token = deploy(&host, name, script, fields).await;
        let begun = Instant::now();
        let (status, answer, receipt) = run(&host, name, &token, "").await;
        assert!(begun.elapsed() < Duration::from_secs(40), "{name}: {:?}", begun.elapsed());
        assert_eq!(host.get("/hello").await.status, StatusCode::OK, "{name}");
        if wanted == "any" {
            // A bomb that cannot fork ends by itself or by the clock.
            continue;
        }
        assert_ne!(status, StatusCode::OK, "{name}: {receipt}");
        assert_eq!(failure(&receipt), wanted, "{name}: {receipt} {}", String::from_utf8_lossy(&answer));
    }
    let message = async |name: &str| {
        let receipt = host.receipts(name).await.remove(0);
        receipt["attempts"][0]["failure"]["message"].as_str().unwrap_or_default().to_owned()
    };
    let killed = message("killed").await;
    assert!(killed.contains("signal 9, and not for its memory"), "{killed}");
    let disk = message("disk").await;
    assert!(disk.starts_with("it may put out 1MiB, and had put out ") && !disk.ends_with(" 0B"), "{disk}");
    clean(&engine, &host).await;
}

#[tokio::test]
async fn a_container_that_took_too_long_may_finish_what_it_must() {
    let engine = Engine::find().await;
    let host = engine.host();
    let script = "trap 'echo saying goodbye; exit 1' TERM; while true; do sleep 0.1; done";
    let fields = json!({"container": {"timeout": "1s"}, "retry": {"attempts": 1}});
    let token = deploy(&host, "slow", script, fields).await;
    let (status, _, receipt) = run(&host, "slow", &token, "").await;
    assert_eq!((status, failure(&receipt)), (StatusCode::GATEWAY_TIMEOUT, "timeout"), "{receipt}");
    assert!(super::log(&host, &receipt).await.contains("saying goodbye"));
    clean(&engine, &host).await;
}

#[tokio::test]
async fn containers_have_slots_of_their_own() {
    let engine = Engine::find().await;
    let host = engine.host_with("max_containers = 1", Setup::default());
    host.apply("- node:\n    name: hello\n    wasm: {guest:hello}\n    http: { path: /hello }");
    let fields = json!({"input": [{"path": "box/in"}], "output": [{"path": "box/out"}]});
    deploy(&host, "slow", "sleep 1; cp $INPUT_FILE_PATH $TMP_OUTPUT_DIR/", fields).await;
    for n in 0..3 {
        host.put("box", &format!("in/{n}"), "x").await;
    }
    for n in 0..3 {
        let out = format!("out/{n}");
        let there = wicket_tests::until("it ran", super::SOON, async || {
            assert!(
                engine.containers(&host).await.iter().filter(|(_, state)| state == "running").count() < 2
            );
            assert_eq!(host.get("/hello").await.status, StatusCode::OK);
            host.object("box", &out).await
        });
        assert_eq!(there.await, "x");
    }
    clean(&engine, &host).await;
}

/// Where the host may write there: what it starts steps back for its modules.
#[tokio::test]
async fn containers_have_less_weight_than_the_host() {
    let engine = Engine::find().await;
    let host = engine.host();
    let files = [("cpu/wicketgate/cpu.shares", "1024", "256"), ("wicketgate/cpu.weight", "100", "25")];
    let file = |name: &str| std::path::Path::new("/sys/fs/cgroup").join(name);
    let there: Vec<_> =
        files.into_iter().filter(|(name, usual, _)| std::fs::write(file(name), usual).is_ok()).collect();
    let token = deploy(&host, "light", "true", json!({})).await;
    assert_eq!(run(&host, "light", &token, "").await.0, StatusCode::OK);
    for (name, _, less) in there {
        assert_eq!(std::fs::read_to_string(file(name)).expect("it was written").trim(), less, "{name}");
    }
    clean(&engine, &host).await;
}
