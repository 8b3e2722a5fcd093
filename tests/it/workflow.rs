//! Stages chained by events: fan-in, retry, dead letters, and why something ran.

use std::time::Duration;

use serde_json::Value;
use wicket_tests::{TestHost, until};

const SOON: Duration = Duration::from_secs(60);

/// A small picture.
fn photo(shade: u8) -> Vec<u8> {
    // A grey PNG of one pixel would do; a row of eight shows that something is scaled.
    let mut png = b"P5 8 8 255\n".to_vec();
    png.extend(std::iter::repeat_n(shade, 64));
    png
}

/// All receipts of a service.
fn receipts(host: &TestHost, service: &str) -> Vec<Value> {
    let listed = host.wicket(&["invocations", service, "--json"]).json();
    listed.as_array().expect("a list").clone()
}

/// Waits until so many invocations of a service have ended.
async fn ended(host: &TestHost, service: &str, n: usize) -> Vec<Value> {
    let ended = |receipt: &Value| matches!(receipt["state"].as_str(), Some("succeeded" | "failed"));
    until(&format!("{n} invocations of {service} have ended"), SOON, async || {
        let all = receipts(host, service);
        (all.len() >= n && all.iter().all(ended)).then_some(all)
    })
    .await
}

#[tokio::test]
async fn uploads_become_thumbnails_and_the_thumbnails_of_a_folder_one_sheet() {
    let host = TestHost::start();
    host.apply(
        "\
- node:
    name: small
    wasm: {guest:echo}
    input: [{ path: photos/in, suffix: [.pgm] }]
    output: [{ path: photos/small, keep_folders: true }]
- node:
    name: sheet
    wasm: {guest:event-echo}
    join: { by: folder, count: 3 }
    input: [{ path: photos/small }]
    output: [{ path: photos/sheets, keep_folders: true }]",
    );
    for (folder, n) in [("trip", 3), ("home", 4), ("one", 2)] {
        for shade in 0..n {
            host.put("photos", &format!("in/{folder}/{shade}.pgm"), photo(shade)).await;
        }
        host.put("photos", &format!("in/{folder}/notes.txt"), "no photo").await;
    }
    assert_eq!(ended(&host, "small", 9).await.len(), 9);
    let sheets = ended(&host, "sheet", 2).await;
    let mut groups: Vec<_> =
        sheets.iter().map(|sheet| sheet["subject"].as_str().unwrap_or_default()).collect();
    groups.sort_unstable();
    assert_eq!(groups, ["photos/small/home", "photos/small/trip"]);
    assert_eq!(host.object("photos", "sheets/trip/2.pgm").await.expect("an output"), photo(2));
    let services = host.wicket(&["services", "--json"]).json();
    let sheet = services.as_array().and_then(|all| all.iter().find(|one| one["name"] == "sheet"));
    // The fourth of one folder and the two of the other wait for more.
    assert_eq!(sheet.expect("listed")["depth"]["waiting_parts"], 3);
}

#[tokio::test]
async fn a_join_by_window_runs_when_no_part_has_come_for_so_long() {
    let host = TestHost::start();
    host.apply(
        "\
- node:
    name: sheet
    wasm: {guest:event-echo}
    join: { by: bucket, window: 1s }
    input: [{ path: photos/in }]
    output: [{ path: sheets/all }]",
    );
    for n in 0..5 {
        host.put("photos", &format!("in/{n}.txt"), n.to_string()).await;
    }
    // A join is as durable as anything.
    let host = host.restart();
    let sheets = ended(&host, "sheet", 1).await;
    assert_eq!(sheets.len(), 1);
    for n in 0..5 {
        assert_eq!(host.object("sheets", &format!("all/{n}.txt")).await.expect("an output"), n.to_string());
        // Each part knows what took it.
        let asked = host.wicket(&["explain", &format!("photos/in/{n}.txt"), "--json"]).json();
        assert_eq!(asked["way"][0]["id"], sheets[0]["id"], "{asked}");
    }
}

/// A join belongs to the run of one of its parts; whoever asks for another, or for what it was made of, sees it too.
#[tokio::test]
async fn explain_shows_the_way_of_each_part_and_the_join_that_took_it() {
    let host = TestHost::start();
    host.apply(
        "\
- node:
    name: small
    wasm: {guest:echo}
    input: [{ path: photos/in }]
    output: [{ path: photos/small }]
- node:
    name: sheet
    wasm: {guest:event-echo}
    join: { by: folder, count: 3 }
    input: [{ path: photos/small }]
    output: [{ path: photos/sheets }]
- node:
    name: after
    wasm: {guest:echo}
    input: [{ path: photos/sheets, suffix: [0.txt] }]",
    );
    for n in 0..3 {
        host.put("photos", &format!("in/{n}.txt"), n.to_string()).await;
    }
    ended(&host, "after", 1).await;
    for n in 0..3 {
        for folder in ["in", "small"] {
            let object = format!("photos/{folder}/{n}.txt");
            let asked = host.wicket(&["explain", &object, "--json"]).json();
            let way = asked["way"].as_array().expect("a list").iter();
            let way: Vec<_> = way.map(|one| (one["service"].as_str(), one["subject"].as_str())).collect();
            let made = format!("in/{n}.txt");
            let wanted = [("small", made.as_str()), ("sheet", "photos/small"), ("after", "sheets/0.txt")];
            assert_eq!(way, wanted.map(|(service, subject)| (Some(service), Some(subject))), "{object}");
        }
    }
}

#[tokio::test]
async fn what_waits_in_a_join_runs_when_the_service_joins_by_another_rule() {
    let host = TestHost::start();
    let sheet = |join: &str| {
        format!(
            "- node:\n    name: sheet\n    wasm: {{guest:event-echo}}\n    {join}input: [{{ path: photos/in }}]\n    output: [{{ path: sheets/all }}]"
        )
    };
    host.apply(&sheet("join: { by: folder, count: 3 }\n    "));
    for n in 0..2 {
        host.put("photos", &format!("in/{n}.txt"), n.to_string()).await;
    }
    host.apply(&sheet(""));
    let parts = ended(&host, "sheet", 1).await;
    assert_eq!((parts.len(), parts[0]["state"].as_str()), (1, Some("succeeded")));
    host.put("photos", "in/2.txt", "2").await;
    assert_eq!(ended(&host, "sheet", 2).await.len(), 2);
    for n in 0..3 {
        assert_eq!(host.object("sheets", &format!("all/{n}.txt")).await.expect("an output"), n.to_string());
    }
}

#[tokio::test]
async fn what_fails_is_tried_again_buried_with_its_reason_and_redriven() {
    let host = TestHost::start();
    let service = |status: &str| {
        format!(
            "\
- node:
    name: picky
    wasm: {{guest:exit}}
    args: ['{status}']
    retry: {{ attempts: 3, backoff: 20ms }}
    input: [{{ path: photos/in }}]
    output: [{{ path: photos/out }}]"
        )
    };
    host.apply(&service("3"));
    host.put("photos", "in/a b+c.jpg", "bytes").await;
    let receipt = ended(&host, "picky", 1).await.remove(0);
    let attempts = receipt["attempts"].as_array().expect("attempts");
    assert_eq!((receipt["state"].as_str(), attempts.len()), (Some("failed"), 3));
    assert_eq!(host.object("photos", "out/made.txt").await, None, "a failed attempt leaves nothing visible");

    let dead = host.wicket(&["dead-letters", "--json"]).json();
    assert!(dead[0]["reason"].as_str().unwrap_or_default().contains("exit status"), "{dead}");
    let id = receipt["id"].as_str().expect("an id");
    assert!(host.wicket(&["logs", id]).stdout.contains("on stderr"));
    assert!(host.wicket(&["explain", "photos/in/a b+c.jpg"]).stdout.contains("picky"));

    host.apply(&service("0"));
    host.wicket(&["dead-letters", "redrive", id]);
    let again = ended(&host, "picky", 1).await.remove(0);
    let attempts = again["attempts"].as_array().expect("attempts");
    assert_eq!((again["state"].as_str(), attempts.len()), (Some("succeeded"), 4), "its history stays");
    assert_eq!(host.object("photos", "out/made.txt").await.expect("an output"), "made");
    let twice = host.cli(&["dead-letters", "redrive", id]);
    assert!(twice.code != 0 && twice.stderr.contains("not a dead letter"), "{twice:?}");
}

#[tokio::test]
async fn a_loop_is_refused_when_it_is_made_and_told_by_name() {
    let host = TestHost::start();
    host.apply(
        "- node:\n    name: there\n    wasm: {guest:echo}\n    input: [{ path: first/in }]\n    output: [{ path: second/in }]",
    );
    let back = host.fdl(
        "- node:\n    name: back\n    wasm: {guest:echo}\n    input: [{ path: second/in }]\n    output: [{ path: first/in/deeper }]",
    );
    let refused = host.cli(&["apply", back.to_str().expect("text")]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("there") && refused.stderr.contains("→ back"), "{refused:?}");
    // One that listens to all objects would start itself.
    let all = host.fdl(
        "- node:\n    name: all\n    wasm: {guest:echo}\n    events: [{ type: 'dev.wicketgate.object.*' }]\n    output: [{ path: third }]",
    );
    let refused = host.cli(&["apply", all.to_str().expect("text")]);
    assert!(refused.code != 0 && refused.stderr.contains("all → all"), "{refused:?}");
    host.put("first", "in/x.txt", "x").await;
    ended(&host, "there", 1).await;
    assert!(host.object("second", "in/x.txt").await.is_some());
    assert_eq!(receipts(&host, "back").len(), 0);
}

#[tokio::test]
async fn explain_says_which_routes_match_and_why_the_others_do_not() {
    let host = TestHost::start();
    host.apply(
        "\
- node:
    name: jpegs
    wasm: {guest:echo}
    input: [{ path: photos/in, suffix: [.jpg] }]
    output: [{ path: photos/out }]
- node:
    name: pngs
    wasm: {guest:echo}
    input: [{ path: photos/in, suffix: [.png] }]
- node:
    name: elsewhere
    wasm: {guest:echo}
    input: [{ path: films/in }]",
    );
    // Nothing of that name was ever uploaded: the question is about the routes.
    let asked = host.wicket(&["explain", "photos/in/x.jpg", "--json"]).json();
    let of = |name: &str| {
        let routes = asked["routes"].as_array().expect("routes").clone();
        let route = routes.into_iter().find(|route| route["service"] == name).expect("every service is told");
        (route["matches"] == true, route["reasons"].to_string())
    };
    assert!(of("jpegs").0);
    assert!(!of("pngs").0 && of("pngs").1.contains("ends with none of"), "{asked}");
    assert!(!of("elsewhere").0 && of("elsewhere").1.contains("films/in"), "{asked}");
}

#[tokio::test]
async fn a_removed_service_leaves_no_work_behind_and_its_name_is_free() {
    let host = TestHost::start();
    let service = "- node:\n    name: slow\n    wasm: {guest:sleeper}\n    limits: { concurrency: 1 }\n    input: [{ path: first/in }]";
    host.apply(service);
    for n in 0..3 {
        host.put("first", &format!("in/{n}"), "x").await;
    }
    until("one runs", SOON, async || {
        receipts(&host, "slow").iter().any(|receipt| receipt["state"] == "running").then_some(())
    })
    .await;
    host.wicket(&["rm", "slow"]);
    let receipts = receipts(&host, "slow");
    assert_eq!(receipts.len(), 3);
    assert!(receipts.iter().all(|receipt| receipt["state"] == "failed"), "{receipts:?}");
    assert!(host.cli(&["rm", "slow"]).stderr.contains("no service `slow`"));
    host.apply(service);
}

#[tokio::test]
async fn a_posted_body_is_a_file_for_a_command_whatever_its_size_and_one_file_is_the_answer() {
    let host = TestHost::start();
    host.apply("- node:\n    name: copy\n    wasm: {guest:echo}");
    for (n, size) in [10, 3_000_000].into_iter().enumerate() {
        let input = host.scratch().join("input");
        std::fs::write(&input, vec![b'x'; size]).expect("writable");
        let output = host.scratch().join("output");
        let text = |path: &std::path::Path| path.to_str().expect("text").to_owned();
        host.wicket(&["run", "copy", "--input", &text(&input), "--output", &text(&output)]);
        assert_eq!(std::fs::read(&output).expect("an answer").len(), size);
        let receipt = &ended(&host, "copy", n + 1).await[0];
        assert_eq!(
            (receipt["trigger"].as_str(), receipt["state"].as_str()),
            (Some("run"), Some("succeeded"))
        );
        assert_eq!(receipt["attempts"][0]["bytes_in"].as_u64(), Some(size as u64));
    }
}

#[test]
fn a_service_that_asks_for_more_memory_than_the_host_gives_is_refused() {
    let host = TestHost::start();
    let greedy = host.fdl("- node:\n    name: greedy\n    wasm: {guest:echo}\n    limits: { memory: 64GiB }");
    let refused = host.cli(&["apply", greedy.to_str().expect("text")]);
    assert!(refused.code != 0 && refused.stderr.contains("`wasm.max_memory`"), "{refused:?}");
}
