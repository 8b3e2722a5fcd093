//! A host that is killed around the moment at which it submits a job.

use serde_json::json;
use wicket_tests::batch::Hold;

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
}
