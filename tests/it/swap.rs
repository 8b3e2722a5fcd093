//! A new version takes over, and goes again, while everybody is calling.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::task::JoinSet;
use wicket_tests::{TestHost, until};

const SWAPS: usize = 12;

/// The same two names, on other modules.
fn version(http: &str, event: &str) -> String {
    format!(
        "\
- node:
    name: web
    wasm: {{guest:{http}}}
    http: {{ path: /web }}
- node:
    name: copy
    wasm: {{guest:{event}}}
    input: [{{ path: bench/in }}]
    output: [{{ path: bench/out }}]"
    )
}

/// Calls until told to stop, and counts the answers of either version.
async fn call(host: Arc<TestHost>, stop: Arc<AtomicBool>, seen: Arc<[AtomicU64; 2]>) {
    while !stop.load(Ordering::Relaxed) {
        let answer = host.get("/web").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let version = usize::from(answer.headers.contains_key("x-path"));
        seen[version].fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_and_rollback_swap_a_function_without_a_failed_request_or_a_lost_event() {
    let host = Arc::new(TestHost::start());
    host.apply(&version("hello", "echo"));
    let stop = Arc::new(AtomicBool::new(false));
    let seen: Arc<[AtomicU64; 2]> = Arc::default();
    let callers: JoinSet<()> = (0..6).map(|_| call(host.clone(), stop.clone(), seen.clone())).collect();

    let mut uploads = 0;
    for swap in 0..SWAPS {
        let new = swap % 2 == 0;
        if swap % 4 < 2 {
            let (http, event) = if new { ("echo-http", "echo-p1") } else { ("hello", "echo") };
            host.apply(&version(http, event));
        } else {
            host.wicket(&["rollback", "web"]);
            host.wicket(&["rollback", "copy"]);
        }
        // Whoever calls after the command has ended meets the version that it asked for.
        let before = [0, 1].map(|version| seen[version].load(Ordering::Relaxed));
        assert!(host.get("/web").await.status.is_success());
        host.put("bench", &format!("in/{swap}"), "something").await;
        uploads += 1;
        until("calls go on", Duration::from_secs(30), async || {
            let after = [0, 1].map(|version| seen[version].load(Ordering::Relaxed));
            (after[0] + after[1] > before[0] + before[1] + 20).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    callers.join_all().await;
    let [old, new] = [0, 1].map(|version| seen[version].load(Ordering::Relaxed));
    assert!(old > 0 && new > 0, "{old} calls met the old version, {new} the new one");
    for n in 0..uploads {
        let key = format!("out/{n}");
        until(&key, Duration::from_secs(30), async || host.object("bench", &key).await).await;
    }
    let failed = host.wicket(&["dead-letters", "--json"]).json();
    assert_eq!(failed.as_array().map(Vec::len), Some(0), "{failed}");
}

#[tokio::test]
async fn rollback_goes_back_by_number_too_and_says_what_is_not_there() {
    let host = TestHost::start();
    for greeting in ["hello", "echo-http", "json-transform"] {
        host.apply(&format!(
            "- node:\n    name: web\n    wasm: {{guest:{greeting}}}\n    http: {{ path: /web }}"
        ));
    }
    host.wicket(&["rollback", "web", "1"]);
    assert_eq!(host.get("/web").await.text(), "Hello from Wicketgate");
    // It has nothing before it.
    let none = host.cli(&["rollback", "web"]);
    assert!(none.code != 0 && none.stderr.contains("no version before"), "{none:?}");
    let none = host.cli(&["rollback", "web", "9"]);
    assert!(none.code != 0 && none.stderr.contains("no version 9"), "{none:?}");
    host.wicket(&["rollback", "web", "2"]);
    assert!(host.get("/web").await.headers.contains_key("x-path"));
    // What was rolled back to is what stands after a restart.
    let host = host.restart();
    assert!(host.get("/web").await.headers.contains_key("x-path"));
}
