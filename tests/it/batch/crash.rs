//! A host that is killed around the moment at which it submits a job.

use serde_json::json;
use wicket_tests::batch::Hold;
use wicket_tests::until;

use super::{World, deploy, ended, log};

/// Says that it runs where all runs can be counted.
const SCRIPT: &str = "echo ran once; date > $TMP_OUTPUT_DIR/done";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_submitted_runs_once_though_its_host_never_knew() {
    let world = World::start().await;
    let host = world.host("");
    deploy(&host, "once", SCRIPT, json!({})).await;
    world.between.hold(Hold::AfterSubmit);
    host.put("box", "in/a", "x").await;
    world.between.held().await;
    world.between.hold(Hold::Nothing);
    let host = host.restart();
    let receipt = ended(&host, "once").await;
    let said = log(&host, &receipt);
    assert_eq!(receipt["state"], "succeeded", "{receipt}\n{said}");
    assert!(
        said.contains("of an earlier process of this host goes on") && said.contains("ran once"),
        "{said}"
    );
    assert!(host.object("box", "out/done").await.is_some());
    assert_eq!(world.between.seen("submitjob").len(), 1, "it was submitted again");
    world.clean(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_not_submitted_yet_runs_once() {
    let world = World::start().await;
    let host = world.host("");
    deploy(&host, "once", SCRIPT, json!({})).await;
    world.between.hold(Hold::BeforeSubmit);
    host.put("box", "in/a", "x").await;
    world.between.held().await;
    world.between.hold(Hold::Nothing);
    let host = host.restart();
    let receipt = ended(&host, "once").await;
    assert_eq!(receipt["state"], "succeeded", "{receipt}\n{}", log(&host, &receipt));
    assert!(host.object("box", "out/done").await.is_some());
    // The one that did not arrive, and the one that did.
    assert_eq!(world.between.seen("submitjob").len(), 2);
    // For a while, what keeps the first from ever running stays.
    let kept: Vec<String> = world.weed.keys(super::WORK).await;
    assert!(kept.iter().all(|key| key == "other" || key.ends_with("/claim")), "{kept:?}");

    // The submission that was held arrives after all: its job finds that the attempt is another's, and runs nothing.
    let done = host.object("box", "out/done").await;
    let late = world.between.ask("submitjob", &world.between.seen("submitjob")[0]).await;
    let job = until("the late job has ended", super::SOON, async || {
        let said = world.between.ask("describejobs", &json!({"jobs": [late["jobId"]]})).await;
        let job = said["jobs"][0].clone();
        ["SUCCEEDED", "FAILED"].contains(&job["status"].as_str().unwrap_or_default()).then_some(job)
    })
    .await;
    // What `wicket_supervisor::CLAIMED` is.
    assert_eq!(job["container"]["exitCode"], 75, "{job}");
    assert_eq!(host.object("box", "out/done").await, done);
}
