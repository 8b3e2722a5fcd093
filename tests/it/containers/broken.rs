//! Engines that restart, hang, or are not there: what runs ends with a name, and in the end nothing is left.

use std::time::{Duration, Instant};

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptionsBuilder, LogsOptionsBuilder};
use futures::StreamExt as _;
use http::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::json;
use wicket_tests::{Between, Engine, IMAGE, Mode, OwnEngine, Setup, TestHost, failure, until};

use super::{SOON, clean, deploy, message, run, running};
use crate::api::bearer;

/// A host that reaches an engine through something that a story breaks.
fn behind(between: &Between, docker: &str) -> TestHost {
    let config = format!("[docker]\nsocket = {:?}\n{docker}\n", between.socket());
    TestHost::with(Setup { config, ..Setup::default() })
}

fn now_since_1970() -> Duration {
    let now = time::OffsetDateTime::now_utc() - time::OffsetDateTime::UNIX_EPOCH;
    now.try_into().expect("after 1970")
}

#[tokio::test]
async fn a_job_outlives_its_engine() {
    for signal in [Signal::KILL, Signal::TERM] {
        let mut own = OwnEngine::start(&[], &[]).await;
        let engine = own.engine().await;
        let host = engine.host();
        let fields = json!({
            "input": [{"path": "box/in"}], "output": [{"path": "box/out"}],
            "retry": {"attempts": 10, "backoff": "1s", "max_backoff": "1s"},
        });
        deploy(&host, "long", "sleep 3; echo done > $TMP_OUTPUT_DIR/done", fields).await;
        host.put("box", "in/a", "x").await;
        running(&engine, &host).await;
        own.end(signal).await;
        own.start_again().await;
        let done = until("it is done", SOON, async || host.object("box", "out/done").await).await;
        assert_eq!(done, "done\n");
        let receipt = host.receipts("long").await.remove(0);
        let first = &receipt["attempts"][0];
        if signal == Signal::KILL {
            assert_eq!(first["failure"]["kind"], "host", "{receipt}");
            assert!(message(first).contains("engine went away"), "{receipt}");
        } else {
            // One that is told to end lets its containers finish what they do in ten seconds.
            assert_eq!(first["status"], 0, "{receipt}");
        }
        let engine = own.engine().await;
        clean(&engine, &host).await;
    }
}

#[tokio::test]
async fn what_an_engine_could_not_remove_goes_when_it_is_back() {
    let mut own = OwnEngine::start(&[], &[]).await;
    let engine = own.engine().await;
    let host = engine.host_with("stop_grace = \"1s\"", Setup::default());
    let fields = json!({"container": {"timeout": "3s"}, "retry": {"attempts": 1}});
    let token = deploy(&host, "long", "sleep 600", fields).await;
    let call = run(&host, "long", &token, "");
    let breaks = async {
        running(&engine, &host).await;
        own.end(Signal::KILL).await;
    };
    let ((status, _, receipt), ()) = tokio::join!(call, breaks);
    assert_eq!((status, failure(&receipt)), (StatusCode::GATEWAY_TIMEOUT, "timeout"), "{receipt}");
    until("the host gave up for now", SOON, async || {
        host.stderr().contains("it is tried again").then_some(())
    })
    .await;
    own.start_again().await;
    clean(&own.engine().await, &host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_says_nothing_holds_up_nobody() {
    let silent = Between::before(None);
    let host = behind(&silent, "");
    host.apply("- node:\n    name: hello\n    wasm: {guest:hello}\n    http: { path: /hello }");
    let service = json!({"name": "no", "image": IMAGE, "script": "true"}).to_string();
    let begun = Instant::now();
    // All at once: none waits for the others.
    let asks = (0..4).map(|_| host.admin(Method::POST, "/system/services", service.clone()));
    for answer in futures::future::join_all(asks).await {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
        assert!(answer.text().contains("says nothing for 10 s"), "{}", answer.text());
    }
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert_eq!(host.get("/hello").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_the_engine_makes_too_late_is_removed() {
    let engine = Engine::find().await;
    let between = Between::before(Some(&engine.socket));
    let host = behind(&between, "");
    let fields = json!({"container": {"timeout": "2s"}, "retry": {"attempts": 1}});
    let token = deploy(&host, "late", "true", fields).await;
    assert_eq!(run(&host, "late", &token, "").await.0, StatusCode::OK);
    clean(&engine, &host).await;
    between.set(Mode::Hold);
    let (status, _, receipt) = run(&host, "late", &token, "").await;
    assert_eq!((status, failure(&receipt)), (StatusCode::GATEWAY_TIMEOUT, "timeout"), "{receipt}");
    assert!(message(&receipt["attempts"][0]).contains("its engine had not started it by then"), "{receipt}");
    // Before the host can take its folder away, which it does when the engine says that there is no such container.
    let mut made = engine.made(&host);
    let late = async { between.set(Mode::HoldBut("/containers/create")) };
    let (made, ()) = tokio::join!(tokio::time::timeout(SOON, made.next()), late);
    made.expect("it is made after all").expect("the engine tells");
    between.set(Mode::Pass);
    clean(&engine, &host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_whole_when_the_stream_of_it_breaks() {
    let engine = Engine::find().await;
    let between = Between::before(Some(&engine.socket));
    let host = behind(&between, "");
    let token = deploy(&host, "talks", "echo one; echo aside >&2; sleep 3; echo two", json!({})).await;
    let call = run(&host, "talks", &token, "");
    let breaks = async {
        let name = running(&engine, &host).await;
        until("it has said something", SOON, async || {
            let options = LogsOptionsBuilder::default().stdout(true).build();
            let mut said = engine.docker.logs(name.trim_start_matches('/'), Some(options));
            said.next().await
        })
        .await
        .expect("its log");
        between.set(Mode::Cut);
    };
    let ((status, answer, receipt), ()) = tokio::join!(call, breaks);
    assert_eq!(status, StatusCode::OK, "{receipt}");
    assert_eq!(String::from_utf8_lossy(&answer), "one\ntwo\n");
    let said = super::log(&host, &receipt).await;
    assert_eq!(said.matches("one").count() + said.matches("aside").count(), 2, "{said}");
    clean(&engine, &host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_host_left_goes_although_no_engine_answered_when_the_next_one_started() {
    let engine = Engine::find().await;
    let between = Between::before(Some(&engine.socket));
    let mut host = behind(&between, "");
    let token = deploy(&host, "call", "sleep 600", json!({})).await;
    let call = bearer(&host, Method::POST, "/run/call", &token, &[], "");
    tokio::select! {
        answer = call => panic!("{answer:?}"),
        _ = running(&engine, &host) => {}
    }
    host.kill();
    between.set(Mode::Hold);
    let host = host.restart();
    assert_eq!(engine.containers(&host).await.len(), 1);
    between.set(Mode::Pass);
    clean(&engine, &host).await;
}

#[tokio::test]
async fn a_container_that_nobody_takes_over_has_its_time() {
    let engine = Engine::find().await;
    let host = engine.host();
    let fields = json!({
        "input": [{"path": "box/in"}], "output": [{"path": "box/out"}],
        "retry": {"attempts": 5, "backoff": "5m"},
    });
    deploy(&host, "waits", "exit 1", fields).await;
    host.put("box", "in/a", "x").await;
    let receipt = until("it waits for its second attempt", SOON, async || {
        let one = host.receipts("waits").await.into_iter().next()?;
        (one["attempts"].as_array().map(Vec::len) == Some(1)).then_some(one)
    })
    .await;
    clean(&engine, &host).await;
    // As if a host had been killed in that second attempt.
    let node = std::fs::read_to_string(host.data().join("node-id")).expect("it has one");
    let now = now_since_1970();
    let labels = [
        ("node", node.trim().to_owned()),
        ("boot", "another".to_owned()),
        ("invocation", receipt["id"].as_str().expect("an id").to_owned()),
        ("attempt", "2".to_owned()),
        ("version", "1".to_owned()),
        ("script", String::new()),
        ("began", now.as_micros().to_string()),
        ("timeout", "4000".to_owned()),
    ];
    let body = ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        cmd: Some(vec!["/bin/sleep".to_owned(), "600".to_owned()]),
        labels: Some(labels.map(|(name, value)| (format!("dev.wicketgate.{name}"), value)).into()),
        ..ContainerCreateBody::default()
    };
    let name = format!("wicket-waits-{}", std::process::id());
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    engine.docker.create_container(Some(options), body).await.expect("a container");
    engine.docker.start_container(&name, None).await.expect("it starts");
    let host = host.restart();
    assert_eq!(engine.containers(&host).await.len(), 1, "it is kept while its time lasts");
    clean(&engine, &host).await;
    assert!(now_since_1970() - now > Duration::from_secs(4));
}
