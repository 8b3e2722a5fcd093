//! A host that is killed around the moment at which it submits a job.

use serde_json::{Value, json};
use wicket_tests::batch::Hold;
use wicket_tests::until;

use super::{World, deploy, ended, log};

/// How a job ends that cannot read what it is to do, and one that finds it claimed (`wicket_supervisor`).
const BROKEN: u8 = 74;
const CLAIMED: u8 = 75;

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

    // The submission that was held arrives after all: its job runs nothing, since what it was to do is gone.
    let done = host.object("box", "out/done").await;
    let late = world.between.ask("submitjob", &world.between.seen("submitjob")[0]).await;
    assert_eq!(failed(&world, &late["jobId"]).await, BROKEN);
    assert_eq!(host.object("box", "out/done").await, done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_submitted_twice_runs_once() {
    let world = World::start().await;
    let host = world.host("");
    // As long as the other one needs to find that it is claimed.
    deploy(&host, "twice", &format!("sleep 5; {SCRIPT}"), json!({})).await;
    host.put("box", "in/a", "x").await;
    let first = until("it is submitted", super::SOON, async || world.between.seen("submitjob").pop()).await;
    let second = world.between.ask("submitjob", &first).await;
    let receipt = ended(&host, "twice").await;
    let said = log(&host, &receipt);
    assert_eq!(receipt["state"], "succeeded", "{receipt}\n{said}");
    assert_eq!(said.matches("ran once").count(), 1, "{said}");
    // Whichever came first.
    let jobs = async || listed(&world, "FAILED").await;
    let failed = until("the other one has ended", super::SOON, async || jobs().await.pop()).await;
    assert_eq!(failed["container"]["exitCode"], CLAIMED, "{failed} {second}");
    world.clean(&host).await;
}

/// Jobs in a state, as Batch lists them.
async fn listed(world: &World, state: &str) -> Vec<Value> {
    let said = world.between.ask("listjobs", &json!({"jobQueue": "heavy", "jobStatus": state})).await;
    said["jobSummaryList"].as_array().cloned().unwrap_or_default()
}

/// The exit status of a job that fails.
async fn failed(world: &World, job: &Value) -> Value {
    until("the job has failed", super::SOON, async || {
        let found = listed(world, "FAILED").await.into_iter().find(|one| one["jobId"] == *job)?;
        Some(found["container"]["exitCode"].clone()).filter(|status| !status.is_null())
    })
    .await
}
