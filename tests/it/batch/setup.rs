//! `wicket batch setup` and `teardown`.

use std::process::Command;

use serde_json::Value;
use wicket_tests::batch::BatchServer;
use wicket_tests::{Engine, binary};

/// Runs `wicket batch`; what it printed as JSON.
fn wicket(config: &std::path::Path, args: &[&str]) -> Value {
    let output =
        Command::new(binary()).arg("batch").args(args).arg("--json").arg("--config").arg(config).output();
    let output = output.expect("the binary starts");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error} in {output:?}"))
}

/// The action of each step, by its kind.
fn actions(plan: &Value) -> Vec<(&str, &str)> {
    let steps = plan.as_array().expect("a list").iter();
    steps
        .map(|step| (step["kind"].as_str().unwrap_or_default(), step["action"].as_str().unwrap_or_default()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_and_a_queue_are_planned_made_and_taken_away() {
    let engine = Engine::find().await;
    let server = BatchServer::start(&engine).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("wicket.toml");
    let text = format!(
        "[batch]\nbucket = \"jobs\"\nendpoint = \"{}\"\naccess_key = \"a\"\nsecret_key = \"b\"\n",
        server.endpoint()
    );
    std::fs::write(&config, text).expect("a temporary file");
    let made = |name: &str| server.made[name].as_str().expect("a name").to_owned();
    let (subnet, group, profile, role) = (made("subnet"), made("group"), made("profile"), made("role"));
    let setup = [
        "setup",
        "--subnets",
        &subnet,
        "--security-groups",
        &group,
        "--instance-role",
        &profile,
        "--service-role",
        &role,
        "--instance-types",
        "g4dn.xlarge",
        "--max-vcpus",
        "8",
        "--gpu",
    ];
    let yes: Vec<&str> = setup.into_iter().chain(["--yes"]).collect();
    let create = [("compute environment", "create"), ("queue", "create")];
    let keep = [("compute environment", "keep"), ("queue", "keep")];
    // Shown twice: nothing was made.
    assert_eq!(actions(&wicket(&config, &setup)), create);
    assert_eq!(actions(&wicket(&config, &setup)), create);
    assert_eq!(actions(&wicket(&config, &yes)), create);
    assert_eq!(actions(&wicket(&config, &yes)), keep);
    // What somebody else has made stays.
    let others = ["teardown", "--compute-environment", "machines", "--queue", "heavy"];
    assert_eq!(actions(&wicket(&config, &others)), [("queue", "keep"), ("compute environment", "keep")]);
    let remove = [("queue", "remove"), ("compute environment", "remove")];
    assert_eq!(actions(&wicket(&config, &["teardown"])), remove);
    assert_eq!(actions(&wicket(&config, &["teardown", "--yes"])), remove);
    assert!(actions(&wicket(&config, &["teardown"])).is_empty());
    assert_eq!(actions(&wicket(&config, &setup)), create);
}
