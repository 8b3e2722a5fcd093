//! An S3 of others as the storage of a service: SeaweedFS, with notifications as webhooks.

pub(crate) mod weed;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use wicket_tests::{Answer, TestHost, until};

use crate::api::deploy;
use weed::{ACCESS, SECRET, Weed};

const SOON: Duration = Duration::from_secs(90);

/// A service `copy` that reads from and writes to an outside store.
fn copy(endpoint: &str, secret: &str, attempts: u32) -> String {
    format!(
        "\
- node:
    name: copy
    wasm: {{guest:echo}}
    retry: {{ attempts: {attempts}, backoff: 200ms, max_backoff: 1s }}
    input: [{{ storage_provider: s3.weed, path: camera/in, suffix: [.jpg] }}]
    output:
    - {{ storage_provider: s3.weed, path: camera/out, keep_folders: true }}
    - {{ path: here/out, keep_folders: true }}
    storage_providers:
      s3:
        weed: {{ endpoint: '{endpoint}', access_key: {ACCESS}, secret_key: {secret}, region: us-east-1 }}"
    )
}

/// What a store says of a new object: `name` and `key` as it writes them.
fn record(name: &str, key: &str, sequencer: &str) -> Value {
    json!({
        "eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": "", "eventTime": "2026-11-24T12:00:00.000Z",
        "eventName": name, "userIdentity": { "principalId": "camera" },
        "requestParameters": { "principalId": "camera", "region": "", "sourceIPAddress": "10.0.0.9" },
        "responseElements": { "x-amz-request-id": "1" },
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "Config",
            "bucket": { "name": "camera", "ownerIdentity": { "principalId": "camera" }, "arn": "arn:aws:s3:::camera" },
            "object": { "key": key, "size": 5, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": sequencer },
        },
        "source": { "host": "", "port": "", "userAgent": "" },
    })
}

/// Posts a webhook.
async fn told(host: &TestHost, body: &Value) -> Answer {
    host.admin(Method::POST, "/job/copy", Bytes::from(body.to_string())).await
}

/// The invocations that an answer names, and whether each was known before.
#[track_caller]
fn started(answer: &Answer) -> Vec<(String, bool)> {
    assert!(answer.status.is_success(), "{}: {}", answer.status, answer.text());
    let all = answer.json()["invocations"].as_array().expect("a list").clone();
    let one = |one: &Value| (one["id"].as_str().expect("an id").to_owned(), one["duplicate"] == true);
    all.iter().map(one).collect()
}

/// A receipt.
async fn receipt(host: &TestHost, id: &str) -> Value {
    host.admin(Method::GET, &format!("/system/invocations/{id}"), Bytes::new()).await.json()
}

/// Waits until it has its end.
async fn ended(host: &TestHost, id: &str) -> Value {
    until(&format!("invocation {id} has ended"), SOON, async || {
        let receipt = receipt(host, id).await;
        matches!(receipt["state"].as_str(), Some("succeeded" | "failed")).then_some(receipt)
    })
    .await
}

#[tokio::test]
async fn webhooks_in_every_form_run_the_function_on_the_stores_object() {
    let mut weed = Weed::new();
    weed.start().await;
    weed.make("camera").await;
    let host = TestHost::start();
    host.apply(&copy(&weed.endpoint(), SECRET, 3));
    let minio = |plain: &str, key: &str, sequencer: &str| {
        json!({ "EventName": "s3:ObjectCreated:Put", "Key": format!("camera/{plain}"),
                "Records": [record("s3:ObjectCreated:Put", key, sequencer)] })
    };
    let alone = |name: &str, key: &str, sequencer: &str| json!({ "Records": [record(name, key, sequencer)] });
    // The form of each, and the objects that it is about.
    let forms = [
        (
            "MinIO: the key encoded, and plain outside",
            minio("in/door/a b+c.jpg", "in%2Fdoor%2Fa+b%2Bc.jpg", "1"),
            &["in/door/a b+c.jpg"][..],
        ),
        (
            "AWS: no `s3:`, no outer names",
            alone("ObjectCreated:Put", "in/door/caf%C3%A9.jpg", "2"),
            &["in/door/café.jpg"],
        ),
        (
            "Ceph: the key as it is",
            alone("ObjectCreated:Post", "in/door/100% [x].jpg", "3"),
            &["in/door/100% [x].jpg"],
        ),
        ("in parts", alone("s3:ObjectCreated:CompleteMultipartUpload", "in%2Fd.jpg", "4"), &["in/d.jpg"]),
        (
            "several records",
            json!({ "Records": [
                record("ObjectCreated:Put", "in/e.jpg", "5"),
                record("ObjectCreated:Copy", "in/f.jpg", "6"),
            ] }),
            &["in/e.jpg", "in/f.jpg"],
        ),
    ];
    for (form, body, keys) in &forms {
        for key in *keys {
            weed.put("camera", key, key).await;
        }
        let first = told(&host, body).await;
        assert_eq!(first.status, StatusCode::CREATED, "{form}: {}", first.text());
        let ids = started(&first);
        assert_eq!(ids.len(), keys.len(), "{form}: {}", first.text());
        assert!(ids.iter().all(|(_, duplicate)| !duplicate), "{form}");
        // Stores tell more than once.
        let again = started(&told(&host, body).await);
        assert_eq!(again, ids.iter().map(|(id, _)| (id.clone(), true)).collect::<Vec<_>>(), "{form}");
        for ((id, _), key) in ids.iter().zip(*keys) {
            let receipt = ended(&host, id).await;
            assert_eq!(receipt["state"], "succeeded", "{form}: {receipt}");
            let out = key.replacen("in/", "out/", 1);
            assert_eq!(weed.get("camera", &out).await.as_deref(), Some(key.as_bytes()), "{form}");
            assert_eq!(host.object("here", &out).await.as_deref(), Some(key.as_bytes()), "{form}");
        }
    }
    // What starts nothing says so, and is no mistake.
    for (form, body) in [
        (
            "a test",
            json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-24T12:00:00.000Z", "Bucket": "camera" }),
        ),
        ("another suffix", alone("ObjectCreated:Put", "in/a.txt", "7")),
        ("another folder", alone("ObjectCreated:Put", "elsewhere/a.jpg", "8")),
        ("a removed object", alone("s3:ObjectRemoved:Delete", "in/d.jpg", "9")),
        ("a folder", alone("ObjectCreated:Put", "in%2Fdoor%2F", "10")),
    ] {
        let answer = told(&host, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{form}: {}", answer.text());
        assert!(started(&answer).is_empty(), "{form}: {}", answer.text());
    }
}

#[tokio::test]
async fn wrong_keys_make_a_dead_letter_that_names_the_store_and_no_secret() {
    let wrong = "wr0ng-s3cret-of-the-store";
    let mut weed = Weed::new();
    weed.start().await;
    weed.make("camera").await;
    weed.put("camera", "in/a.jpg", "bytes").await;
    let host = TestHost::start();
    host.apply(&copy(&weed.endpoint(), wrong, 2));
    let id =
        started(&told(&host, &json!({ "Records": [record("ObjectCreated:Put", "in/a.jpg", "1")] })).await)
            .remove(0)
            .0;
    let receipt = ended(&host, &id).await;
    assert_eq!(receipt["state"], "failed");
    let letters = host.wicket(&["dead-letters", "--json"]);
    let reason = letters.json()[0]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains(&weed.endpoint()) && reason.contains("in/a.jpg"), "{reason}");
    assert!(reason.contains("SignatureDoesNotMatch") || reason.contains("Denied"), "{reason}");
    // One sentence for a person, not the client's own record of the answer.
    assert!(reason.len() < 400 && !reason.contains("Response {"), "{reason}");
    let shown = host.admin(Method::GET, "/system/services/copy", Bytes::new()).await.text();
    let logs = host.wicket(&["logs", &id]);
    for (place, text) in [
        ("the receipt", receipt.to_string()),
        ("the dead letter", letters.stdout),
        ("the service", shown),
        ("the log", logs.stdout),
        ("the host's log", host.stderr()),
    ] {
        assert!(!text.contains(wrong), "{place} shows the secret: {text}");
    }
    // With the right keys it goes on where it stood.
    host.apply(&copy(&weed.endpoint(), SECRET, 2));
    host.wicket(&["dead-letters", "redrive", &id]);
    until("the redriven one has its output", SOON, async || weed.get("camera", "out/a.jpg").await).await;
}

#[tokio::test]
async fn a_bucket_outside_that_is_missing_is_not_asked_again() {
    let (host, away) = (TestHost::start(), TestHost::start());
    let config = away.admin(Method::GET, "/system/config", "").await.json();
    let provider = &config["minio_provider"];
    let fields = json!({
        "storage_providers": {"minio": {"away": {"endpoint": provider["endpoint"],
            "access_key": provider["access_key"], "secret_key": provider["secret_key"]}}},
        "output": [{"storage_provider": "minio.away", "path": "nowhere/out"}],
        "retry": {"attempts": 3, "backoff": "100ms"},
    });
    deploy(&host, "copy", "echo", fields).await;
    let job = host.admin(Method::POST, "/job/copy", "bytes").await.json();
    let receipt = ended(&host, job["id"].as_str().expect("an id")).await;
    assert_eq!(receipt["attempts"].as_array().map(Vec::len), Some(1), "{receipt}");
    let failure = &receipt["attempts"][0]["failure"];
    assert_eq!(failure["kind"], "input", "{failure}");
    assert!(failure["message"].as_str().is_some_and(|text| text.contains("`nowhere`")), "{failure}");
}

#[tokio::test]
async fn a_store_that_is_away_is_asked_again() {
    let mut weed = Weed::new();
    weed.start().await;
    weed.make("camera").await;
    weed.put("camera", "in/a.jpg", "bytes").await;
    weed.stop();
    let host = TestHost::start();
    host.apply(&copy(&weed.endpoint(), SECRET, 100));
    let id =
        started(&told(&host, &json!({ "Records": [record("ObjectCreated:Put", "in/a.jpg", "1")] })).await)
            .remove(0)
            .0;
    let failure = until("an attempt has failed", SOON, async || {
        let receipt = receipt(&host, &id).await;
        let failure = &receipt["attempts"][0]["failure"];
        (!failure.is_null()).then(|| failure.clone())
    })
    .await;
    assert_eq!(failure["kind"], "host", "{failure}");
    assert!(
        failure["message"].as_str().is_some_and(|message| message.contains(&weed.endpoint())),
        "{failure}"
    );
    // Neither that nor a host that is killed in between loses it.
    let host = host.restart();
    weed.start().await;
    let receipt = ended(&host, &id).await;
    assert_eq!(receipt["state"], "succeeded", "{receipt}");
    assert!(receipt["attempts"].as_array().is_some_and(|attempts| attempts.len() > 1), "{receipt}");
    assert_eq!(weed.get("camera", "out/a.jpg").await.as_deref(), Some(&b"bytes"[..]));
}
