//! Jobs that take too long, and jobs that nobody waits for any more.

use serde_json::json;
use wicket_tests::{failure, until};

use super::{SOON, World, deploy, ended, log};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_at_its_time_and_when_its_host_stops() {
    let world = World::start().await;
    let mut host = world.host("[drain]\ndeadline = \"100ms\"");
    let once = json!({"attempts": 1});
    let fields = json!({"batch": {"timeout": "1s"}, "retry": once});
    deploy(&host, "slow", "trap 'echo told to end >&2; exit 1' TERM; echo begun; sleep 600 & wait", fields)
        .await;
    host.put("box", "in/a", "x").await;
    let receipt = ended(&host, "slow").await;
    assert_eq!(failure(&receipt), "timeout", "{receipt}");
    let said = log(&host, &receipt);
    assert!(said.contains("begun") && said.contains("told to end"), "{said}");
    host.wicket(&["rm", "slow"]);
    // One that does not come out of the queue in time.
    let fields = json!({"batch": {"wait": "100ms"}, "retry": once});
    deploy(&host, "waits", "true", fields).await;
    host.put("box", "in/b", "x").await;
    let receipt = ended(&host, "waits").await;
    let message = receipt["attempts"][0]["failure"]["message"].as_str().unwrap_or_default();
    assert!(failure(&receipt) == "timeout" && message.contains("queue `heavy`"), "{receipt}");
    host.wicket(&["rm", "waits"]);
    // One that runs when the host stops: ended, and made again when it starts.
    deploy(&host, "long", "echo begun; sleep 600", json!({})).await;
    host.put("box", "in/c", "x").await;
    until("it runs", SOON, async || {
        let all = world.containers(&host).await;
        all.iter().any(|(name, state)| name.contains("-long-") && state == "running").then_some(())
    })
    .await;
    let ended = world.between.seen("terminatejob").len();
    host.terminate();
    assert_eq!(world.between.seen("terminatejob").len(), ended + 1);
    world.clean(&host).await;
}
