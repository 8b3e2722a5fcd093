//! A host that is killed while containers run.

use rustix::process::Signal;
use serde_json::json;
use wicket_tests::{Engine, until};

use super::{SOON, clean, deploy, log, running};

#[tokio::test]
async fn a_killed_host_takes_over_what_still_runs() {
    let engine = Engine::find().await;
    let host = engine.host();
    let script = "\
hostname > $TMP_OUTPUT_DIR/who
echo begun
sleep 4
echo ended
";
    let fields = json!({"input": [{"path": "box/in"}], "output": [{"path": "box/out"}]});
    deploy(&host, "long", script, fields).await;
    host.put("box", "in/a", "x").await;
    let first = running(&engine, &host).await;
    let host = host.restart();
    until("it has its end", SOON, async || host.object("box", "out/who").await).await;
    let receipt = host.receipts("long").await.remove(0);
    assert_eq!(receipt["state"], "succeeded", "{receipt}");
    let said = log(&host, &receipt).await;
    assert!(said.contains(&format!("goes on: {}", first.trim_start_matches('/'))), "{said}");
    assert!(said.contains("begun") && said.contains("ended"), "{said}");
    clean(&engine, &host).await;
}

#[tokio::test]
async fn a_killed_host_collects_what_ended_meanwhile_and_removes_what_nobody_waits_for() {
    let engine = Engine::find().await;
    let host = engine.host();
    let fields = json!({"input": [{"path": "box/in"}], "output": [{"path": "box/out"}]});
    deploy(&host, "brief", "sleep 2; echo done > $TMP_OUTPUT_DIR/done", fields).await;
    let token = deploy(&host, "call", "sleep 600", json!({})).await;
    host.put("box", "in/a", "x").await;
    let brief = running(&engine, &host).await;
    // Somebody waits for this one; nobody will when the host is gone.
    let (url, bearer) = (format!("{}/run/call", host.http), format!("Bearer {token}"));
    let call = std::thread::spawn(move || {
        let _gone = std::process::Command::new("curl")
            .args(["-s", "-X", "POST", "-H"])
            .arg(format!("authorization: {bearer}"))
            .arg(url)
            .output();
    });
    until("both run", SOON, async || {
        let all = engine.containers(&host).await;
        (all.iter().filter(|(_, state)| state == "running").count() == 2).then_some(())
    })
    .await;
    let mut host = host;
    host.kill();
    call.join().expect("curl ends");
    until("the brief one has ended", SOON, async || {
        let all = engine.containers(&host).await;
        all.iter().any(|(name, state)| *name == brief && state == "exited").then_some(())
    })
    .await;
    let host = host.restart();
    let done = until("what it made is there", SOON, async || host.object("box", "out/done").await).await;
    assert_eq!(done, "done\n");
    assert_eq!(host.receipts("brief").await.len(), 1);
    clean(&engine, &host).await;
}

#[tokio::test]
async fn a_host_that_stops_leaves_no_container() {
    let engine = Engine::find().await;
    let setup = wicket_tests::Setup { config: "[drain]\ndeadline = \"1s\"".to_owned(), ..Default::default() };
    let mut host = engine.host_with("", setup);
    let fields = json!({"input": [{"path": "box/in"}], "output": [{"path": "box/out"}]});
    deploy(&host, "long", "sleep 600", fields).await;
    host.put("box", "in/a", "x").await;
    running(&engine, &host).await;
    host.signal(Signal::TERM);
    assert!(host.wait(SOON).success());
    assert_eq!(engine.left(&host).await, 0);
    // It is not lost: it runs again.
    let mut host = host.restart();
    running(&engine, &host).await;
    assert!(host.terminate().success());
    assert_eq!(engine.left(&host).await, 0);
}
