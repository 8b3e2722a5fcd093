//! The disk is full.

use std::io::Write;
use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use http::{Method, StatusCode};
use wicket_tests::{Setup, TestHost, until};

const SERVICE: &str = "\
- node:
    name: copy
    wasm: {guest:echo}
    retry: { attempts: 100, backoff: 100ms, max_backoff: 1s }
    input: [{ path: bench/in }]
    output: [{ path: bench/out }]";

/// Fills the disk to the last byte.
fn ballast(host: &TestHost) -> std::path::PathBuf {
    let path = host.data().join("ballast");
    let mut file = std::fs::File::create(&path).expect("a file");
    for size in [1 << 16, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
    path
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_says_why_and_recovers_when_there_is_room() {
    let host = TestHost::with(Setup {
        disk: Some(24 << 20),
        config: "[queue]\nlease = \"2s\"".to_owned(),
        ..Setup::default()
    });
    host.apply(SERVICE);
    host.put("bench", "in/before", "before").await;
    let result = async |key: &str| host.object("bench", key).await;
    until("a result", Duration::from_secs(30), async || result("out/before").await).await;

    let ballast = ballast(&host);
    let client = host.buckets();
    let put = async |key: String, size: usize| {
        client.put_object().bucket("bench").key(key).body(ByteStream::from(vec![7; size])).send().await
    };
    // There may be room in files that are as large as they will be: not for long.
    let mut accepted = Vec::new();
    let refusal = loop {
        let key = format!("in/small-{}", accepted.len());
        match put(key.clone(), 10_000).await {
            Ok(_) => accepted.push(key),
            Err(error) => break error,
        }
        assert!(accepted.len() < 2_000, "a full disk takes everything");
    };
    let large = put("in/large".to_owned(), 1 << 20).await.expect_err("no room");
    for refusal in [refusal, large] {
        let status = refusal.raw_response().map(|response| response.status().as_u16());
        assert_eq!(status, Some(507), "{refusal:?}");
        let said = refusal.message().unwrap_or_default().to_owned();
        assert!(said.contains("space") || said.contains("full"), "{said}");
    }
    assert!(client.head_object().bucket("bench").key("in/large").send().await.is_err());
    let job = host.admin(Method::POST, "/job/copy", vec![b'x'; 100_000]).await;
    assert_eq!(job.status, StatusCode::INSUFFICIENT_STORAGE, "{}", job.text());
    assert!(job.text().contains("disk"), "{}", job.text());
    let run = host.admin(Method::POST, "/run/copy", vec![b'x'; 100_000]).await;
    assert_eq!(run.status, StatusCode::INSUFFICIENT_STORAGE, "{}", run.text());
    assert_eq!(host.get("/health").await.status, StatusCode::OK);

    std::fs::remove_file(ballast).expect("the ballast goes");
    until("an upload is taken again", Duration::from_secs(30), async || {
        put("in/after".to_owned(), 1 << 20).await.ok()
    })
    .await;
    accepted.push("in/after".to_owned());
    for key in accepted {
        let key = key.replace("in/", "out/");
        until(&key, Duration::from_secs(60), async || result(&key).await).await;
    }
    assert_eq!(result("in/large").await, None, "it was refused");
}

#[tokio::test]
async fn what_fills_the_disk_can_be_removed_through_the_host() {
    let host = TestHost::with(Setup { disk: Some(24 << 20), ..Setup::default() });
    host.apply("- node:\n    name: hello\n    wasm: {guest:hello}\n    http: { path: /hello }");
    host.buckets().create_bucket().bucket("bench").send().await.expect("a bucket");
    host.put("bench", "one", vec![1; 1 << 20]).await;
    host.put("bench", "two", vec![2; 1 << 20]).await;
    ballast(&host);
    let client = host.buckets();
    let put = async |key: &str| {
        client.put_object().bucket("bench").key(key).body(ByteStream::from(vec![7; 100_000])).send().await
    };
    assert!(put("three").await.is_err(), "there is no room");
    client.delete_object().bucket("bench").key("one").send().await.expect("it goes");
    until("what was freed is used", Duration::from_secs(30), async || put("three").await.ok()).await;

    host.wicket(&["rm", "hello"]);
}
