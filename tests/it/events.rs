//! Events from outside: CloudEvents, and the webhooks of other people's S3.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use wicket_tests::{Answer, TestHost, until};

use crate::api::{basic, bearer, code, deploy, ended};

/// Sends a body to `/events` as admin.
async fn send(
    host: &TestHost,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> Answer {
    let admin = basic(&host.password());
    let mut all = vec![("authorization", admin.as_str()), ("accept", "application/json")];
    all.extend_from_slice(headers);
    host.send(Method::POST, path, &all, body.into()).await
}

const STRUCTURED: [(&str, &str); 1] = [("content-type", "application/cloudevents+json")];
const BATCH: [(&str, &str); 1] = [("content-type", "application/cloudevents-batch+json")];

fn event(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/doors/front", "type": "org.example.opened",
        "subject": "key", "data": {"by": "ada"}})
}

/// What MinIO posts when an object was put.
fn minio(bucket: &str, key: &str, sequencer: &str) -> Value {
    let encoded = key.replace('/', "%2F").replace(' ', "+");
    json!({"EventName": "s3:ObjectCreated:Put", "Key": format!("{bucket}/{key}"), "Records": [{
        "eventVersion": "2.0", "eventSource": "minio:s3", "eventTime": "2026-11-24T12:00:00.000Z",
        "eventName": "s3:ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": {"key": encoded, "size": 5, "eTag": "e", "sequencer": sequencer}}}]})
}

#[tokio::test]
async fn a_cloud_event_starts_what_listens_in_all_three_modes_and_once() {
    let host = TestHost::start();
    let events = json!({"events": [{"type": "org.example.*"}]});
    deploy(&host, "listener", "event-echo", events).await;
    deploy(&host, "deaf", "event-echo", json!({"events": [{"type": "org.other"}]})).await;

    let one = send(&host, "/events", &STRUCTURED, event("1").to_string()).await;
    assert_eq!(one.status, StatusCode::ACCEPTED, "{}", one.text());
    let started = one.json()["events"][0]["started"].clone();
    assert_eq!((started.as_array().map(Vec::len), &started[0]["service"]), (Some(1), &json!("listener")));
    let receipt = ended(&host, started[0]["id"].as_str().expect("an id")).await;
    assert_eq!((&receipt["source"], &receipt["subject"]), (&json!("/doors/front"), &json!("key")));

    let batch = send(&host, "/events", &BATCH, json!([event("1"), event("2")]).to_string()).await.json();
    assert_eq!(batch["events"][0]["started"][0]["duplicate"], true, "{batch}");
    assert_eq!(batch["events"][0]["started"][0]["id"], started[0]["id"]);
    assert_eq!(batch["events"][1]["started"][0]["duplicate"], false);

    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "3"),
        ("ce-source", "/doors/front"),
        ("ce-type", "org.example.shut"),
        ("content-type", "text/plain"),
    ];
    let shut = send(&host, "/events", &binary, "data").await.json();
    assert_eq!(shut["events"][0]["event"], "3");
    assert_eq!(shut["events"][0]["started"][0]["service"], "listener");
}

#[tokio::test]
async fn a_batch_with_one_bad_event_starts_nothing_and_names_all_that_is_wrong() {
    let host = TestHost::start();
    deploy(&host, "listener", "event-echo", json!({"events": [{"type": "*"}]})).await;
    let body = json!([event("1"), {"specversion": "1.0", "id": "", "type": "t"}, {"id": 1}]).to_string();
    let bad = send(&host, "/events", &BATCH, body).await;
    assert_eq!((bad.status, code(&bad).as_str()), (StatusCode::BAD_REQUEST, "bad_event"));
    let message = bad.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    for problem in [
        "[1].id: it is empty",
        "[1].source: it is missing",
        "[2].specversion: it is missing",
        "[2].type: it is missing",
    ] {
        assert!(message.contains(problem), "{message}");
    }
    let receipts = host.admin(Method::GET, "/system/invocations", "").await.json();
    assert_eq!(receipts, json!([]));
    assert_eq!(code(&send(&host, "/events", &[], "hello").await), "no_event");
    let avro = [("content-type", "application/cloudevents+avro")];
    assert_eq!(send(&host, "/events", &avro, "x").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = send(&host, "/events", &STRUCTURED, vec![b' '; (8 << 20) + 1]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_services_token_starts_that_service_alone() {
    let host = TestHost::start();
    let listens = || json!({"events": [{"type": "org.example.*"}]});
    let token = deploy(&host, "one", "event-echo", listens()).await;
    deploy(&host, "two", "event-echo", listens()).await;
    let both = send(&host, "/events", &STRUCTURED, event("1").to_string()).await.json();
    assert_eq!(both["events"][0]["started"].as_array().map(Vec::len), Some(2));
    let own =
        bearer(&host, Method::POST, "/events", &token, &STRUCTURED, event("2").to_string()).await.json();
    assert_eq!(own["events"][0]["started"].as_array().map(Vec::len), Some(1));
    assert_eq!(own["events"][0]["started"][0]["service"], "one");
    let foreign =
        bearer(&host, Method::POST, "/events", "no such token", &STRUCTURED, event("3").to_string()).await;
    assert_eq!(foreign.status, StatusCode::UNAUTHORIZED);
}

/// A service that listens to a bucket of another S3: this host's own endpoint, as far as it knows.
async fn away(host: &TestHost) -> String {
    let config = host.admin(Method::GET, "/system/config", "").await.json();
    let provider = &config["minio_provider"];
    let fields = json!({
        "storage_providers": {"minio": {"away": {"endpoint": provider["endpoint"],
            "access_key": provider["access_key"], "secret_key": provider["secret_key"]}}},
        "input": [{"storage_provider": "minio.away", "path": "photos/in", "suffix": [".jpg"]}],
        "output": [{"storage_provider": "minio.default", "path": "results/out"}],
    });
    let token = deploy(host, "copy", "echo", fields).await;
    let made =
        host.admin(Method::POST, "/system/buckets", json!({"bucket_name": "photos"}).to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    host.put("photos", "in/a cat.jpg", "whole").await;
    token
}

#[tokio::test]
async fn the_webhook_of_another_s3_starts_the_service_that_listens_there_once() {
    let host = TestHost::start();
    let token = away(&host).await;
    let body = minio("photos", "in/a cat.jpg", "17A").to_string();
    let first = send(&host, "/events", &[], body.clone()).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text());
    let started = first.json()["events"][0]["started"].clone();
    assert_eq!((&started[0]["service"], &started[0]["duplicate"]), (&json!("copy"), &json!(false)));
    let made =
        until("the result", Duration::from_secs(30), async || host.object("results", "out/a cat.jpg").await)
            .await;
    assert_eq!(&made[..], b"whole");
    let receipt = ended(&host, started[0]["id"].as_str().expect("an id")).await;
    assert_eq!((&receipt["state"], &receipt["source"]), (&json!("succeeded"), &json!("/minio.away/photos")));

    // Told again, here or at the service's own door: the same event.
    let again = bearer(&host, Method::POST, "/events", &token, &[], body.clone()).await.json();
    assert_eq!(again["events"][0]["started"][0]["duplicate"], true);
    let job = bearer(&host, Method::POST, "/job/copy", &token, &[], body).await;
    assert_eq!((job.status, &job.json()["duplicate"]), (StatusCode::CREATED, &json!(true)));
    assert_eq!(job.json()["id"], started[0]["id"]);
}

#[tokio::test]
async fn notifications_in_any_order_and_more_than_once_run_each_object_once() {
    let host = TestHost::start();
    let token = away(&host).await;
    for n in 0..6 {
        host.put("photos", &format!("in/{n}.jpg"), format!("photo {n}")).await;
    }
    // A store that lost its connection tells all again, newest first, and several at once.
    let told = |n: usize| minio("photos", &format!("in/{n}.jpg"), &format!("17A{n}"));
    let mut started = std::collections::BTreeSet::new();
    for batch in [vec![3, 1], vec![5, 3, 2], vec![1], vec![4, 0, 5, 4], vec![0, 1, 2, 3, 4, 5]] {
        let records: Vec<Value> = batch.iter().map(|n| told(*n)["Records"][0].clone()).collect();
        let body = json!({ "EventName": "s3:ObjectCreated:Put", "Key": "photos", "Records": records });
        let answer = bearer(&host, Method::POST, "/job/copy", &token, &[], body.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        for invocation in answer.json()["invocations"].as_array().expect("a list") {
            started.insert(invocation["id"].as_str().unwrap_or_default().to_owned());
        }
    }
    assert_eq!(started.len(), 6);
    for id in &started {
        let receipt = ended(&host, id).await;
        assert_eq!(
            (&receipt["state"], receipt["attempts"].as_array().map(Vec::len)),
            (&json!("succeeded"), Some(1))
        );
    }
    for n in 0..6 {
        let made = host.object("results", &format!("out/{n}.jpg")).await.expect("a result");
        assert_eq!(String::from_utf8_lossy(&made), format!("photo {n}"));
    }
    assert_eq!(host.receipts("copy").await.len(), 6);
}

#[tokio::test]
async fn a_notification_about_nothing_for_the_service_starts_nothing() {
    let host = TestHost::start();
    let token = away(&host).await;
    let mut removed = minio("photos", "in/a cat.jpg", "1");
    removed["Records"][0]["eventName"] = "s3:ObjectRemoved:Delete".into();
    for body in [
        removed,
        minio("photos", "in/a.txt", "2"),
        minio("photos", "out/a.jpg", "3"),
        minio("other", "in/a.jpg", "4"),
        minio("photos", "in/", "5"),
        json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-24T12:00:00Z", "Bucket": "photos"}),
    ] {
        let answer = bearer(&host, Method::POST, "/job/copy", &token, &[], body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{body}: {}", answer.text());
        assert_eq!(
            answer.json(),
            json!({"id": null, "duplicate": false, "invocations": [], "waiting": false}),
            "{body}"
        );
    }
    let bad = json!({"Records": [{"s3": {"bucket": {"name": "NO"}, "object": {"key": "k"}}}, {"s3": {}}]});
    let bad = bearer(&host, Method::POST, "/job/copy", &token, &[], bad.to_string()).await;
    assert_eq!(code(&bad), "bad_notification");
    assert_eq!(
        bad.json()["error"]["message"].as_str().map(|text| text.lines().count()),
        Some(2),
        "{}",
        bad.text()
    );
}

#[tokio::test]
async fn a_job_that_is_part_of_a_join_says_that_it_waits() {
    let host = TestHost::start();
    let fields = json!({"input": [{"path": "photos/in"}], "join": {"by": "folder", "count": 2}});
    let token = deploy(&host, "both", "event-echo", fields).await;
    let first = minio("photos", "in/a.jpg", "1").to_string();
    let answer = bearer(&host, Method::POST, "/job/both", &token, &[], first).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    assert_eq!(answer.json(), json!({"id": null, "duplicate": false, "invocations": [], "waiting": true}));
    let body = host.scratch().join("other.json");
    std::fs::write(&body, minio("photos", "else/b.jpg", "2").to_string()).expect("a file");
    let said = host.wicket(&["job", "both", "--input", body.to_str().expect("text")]).stderr;
    assert!(said.contains("nothing that starts this service"), "{said}");
    std::fs::write(&body, minio("photos", "in/other/b.jpg", "3").to_string()).expect("a file");
    let said = host.wicket(&["job", "both", "--input", body.to_str().expect("text")]).stderr;
    assert!(said.contains("when its join is complete"), "{said}");
}

#[tokio::test]
async fn explain_says_what_matches_why_the_rest_does_not_and_what_became_of_it() {
    let host = TestHost::start();
    let fields =
        json!({"input": [{"path": "photos/in", "suffix": [".jpg"]}], "output": [{"path": "photos/out"}]});
    deploy(&host, "copy", "echo", fields).await;
    deploy(&host, "next", "echo", json!({"input": [{"path": "photos/out"}]})).await;
    let explain =
        async |question: Value| host.admin(Method::POST, "/system/explain", question.to_string()).await;

    let before = explain(json!({"bucket": "photos", "key": "in/a.jpg"})).await.json();
    assert_eq!(before["way"], json!([]));
    let of = |name: &str| {
        before["routes"].as_array().and_then(|all| all.iter().find(|r| r["service"] == name)).cloned()
    };
    assert_eq!(of("copy").expect("a route")["matches"], true);
    let next = of("next").expect("a route");
    assert_eq!(next["matches"], false);
    assert!(
        next["reasons"][0].as_str().is_some_and(|reason| reason.contains("not in that folder")),
        "{next}"
    );

    host.put("photos", "in/a.jpg", "bytes").await;
    let way = until("both stages have run", Duration::from_secs(30), async || {
        let way = explain(json!({"bucket": "photos", "key": "in/a.jpg"})).await.json()["way"].clone();
        let done = |one: &Value| one["state"] == "succeeded";
        (way.as_array()?.len() == 2 && way.as_array()?.iter().all(done)).then_some(way)
    })
    .await;
    assert_eq!((&way[0]["service"], &way[1]["service"]), (&json!("copy"), &json!("next")));
    let id = way[1]["id"].as_str().expect("an id");
    let happened = host.admin(Method::GET, &format!("/system/explain/{id}"), "").await.json();
    assert_eq!((&happened["event"]["hops"], &happened["way"]), (&json!(1), &way));

    let never = explain(event("never sent")).await.json();
    assert_eq!((&never["event"]["id"], &never["way"]), (&json!("never sent"), &json!([])));
    assert_eq!(code(&explain(json!({"bucket": "photos"})).await), "bad_json");
    assert_eq!(code(&explain(json!({"bucket": "photos", "key": ""})).await), "bad_name");
    assert_eq!(
        host.admin(Method::GET, &format!("/system/explain/{}", "0".repeat(32)), "").await.status,
        StatusCode::NOT_FOUND
    );
}
