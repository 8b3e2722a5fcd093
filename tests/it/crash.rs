//! The power goes, at any moment, a hundred times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use wicket_tests::{Setup, TestHost, until};

const ROUNDS: usize = 100;
const CLIENTS: usize = 4;

/// What is copied, and what fails for ever.
const SERVICES: &str = "\
- node:
    name: copy
    wasm: {guest:echo}
    retry: { attempts: 100, backoff: 1ms }
    input: [{ path: bench/in, suffix: [.txt] }]
    output: [{ path: bench/out }]
- node:
    name: fail
    wasm: {guest:exit}
    retry: { attempts: 2, backoff: 1ms }
    input: [{ path: bench/in, suffix: [.bad] }]
    output: [{ path: bench/out }]";

/// Uploads that the host said it has, and who waits for more of them.
#[derive(Default)]
struct Acknowledged {
    keys: Mutex<BTreeSet<String>>,
    more: Notify,
}

/// One upload after the other until the host is gone. A key tells what its body is.
async fn upload(client: aws_sdk_s3::Client, round: usize, task: usize, acknowledged: Arc<Acknowledged>) {
    for n in 0.. {
        let ending = if n % 7 == 6 { "bad" } else { "txt" };
        let key = format!("{round}-{task}-{n}.{ending}");
        let put =
            client.put_object().bucket("bench").key(format!("in/{key}")).body(ByteStream::from(body(&key)));
        if put.send().await.is_err() {
            return;
        }
        acknowledged.keys.lock().expect("no panic in here").insert(key);
        acknowledged.more.notify_one();
    }
}

/// Some live in a row, some in a file.
fn body(key: &str) -> Vec<u8> {
    let size = if key.len().is_multiple_of(2) { 2_000 } else { 100_000 };
    key.bytes().cycle().take(size).collect()
}

/// All keys below a folder, with their sizes.
async fn listed(client: &aws_sdk_s3::Client, prefix: &str) -> BTreeMap<String, i64> {
    let mut pages = client.list_objects_v2().bucket("bench").prefix(prefix).into_paginator().send();
    let mut found = BTreeMap::new();
    while let Some(page) = pages.next().await {
        for object in page.expect("a page").contents() {
            let key = object.key().unwrap_or_default().trim_start_matches(prefix).to_owned();
            assert_eq!(found.insert(key, object.size().unwrap_or_default()), None, "listed twice");
        }
    }
    found
}

/// All receipts of a service: key to state.
fn receipts(host: &TestHost, service: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let listed = host.wicket(&["invocations", service, "--limit", "100000", "--json"]).json();
    for receipt in listed.as_array().expect("a list") {
        let text = |field: &str| receipt[field].as_str().unwrap_or_default().to_owned();
        let key = text("subject").trim_start_matches("in/").to_owned();
        assert_eq!(found.insert(key, text("state")), None, "two invocations on one upload");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_upload_has_one_result_or_one_dead_letter_whenever_the_host_is_killed() {
    let setup = Setup { config: "[queue]\nlease = \"5s\"".to_owned(), ..Setup::default() };
    let mut host = TestHost::with(setup);
    host.apply(SERVICES);
    let acknowledged = Arc::new(Acknowledged::default());
    for round in 0..ROUNDS {
        let client = host.buckets();
        let mut clients: JoinSet<()> =
            (0..CLIENTS).map(|task| upload(client.clone(), round, task, acknowledged.clone())).collect();
        // A moment that nothing in the host is in step with: some acknowledgements from now.
        for _ in 0..rand::random_range(1..20) {
            acknowledged.more.notified().await;
        }
        host.kill();
        while let Some(client) = clients.join_next().await {
            client.expect("an uploader");
        }
        host = host.restart();
    }
    until("all work is done", Duration::from_secs(120), async || {
        let services = host.wicket(&["services", "--json"]).json();
        let open = |service: &serde_json::Value| {
            service["depth"]["queued"].as_u64() != Some(0) || service["depth"]["running"].as_u64() != Some(0)
        };
        (!services.as_array().expect("a list").iter().any(open)).then_some(())
    })
    .await;

    let client = host.buckets();
    let (inputs, outputs) = (listed(&client, "in/").await, listed(&client, "out/").await);
    let (copied, failed) = (receipts(&host, "copy"), receipts(&host, "fail"));
    let keys = acknowledged.keys.lock().expect("no panic").clone();
    assert!(keys.len() > ROUNDS, "only {} uploads were acknowledged", keys.len());
    for key in &keys {
        assert!(inputs.contains_key(key), "{key} was acknowledged and is gone");
    }
    // Also what was stored and could not be acknowledged any more: an object has its end, and nothing else has.
    for (key, size) in &inputs {
        assert_eq!(*size, body(key).len() as i64, "{key}");
        if key.ends_with(".bad") {
            assert_eq!(
                (failed.get(key).map(String::as_str), outputs.get(key)),
                (Some("failed"), None),
                "{key}"
            );
        } else {
            let state = copied.get(key).map(String::as_str);
            assert_eq!((state, outputs.get(key)), (Some("succeeded"), Some(size)), "{key}");
        }
    }
    assert_eq!(copied.len() + failed.len(), inputs.len());
    assert_eq!(outputs.len(), copied.len());
    let one = keys.iter().find(|key| key.ends_with(".txt")).expect("one");
    assert_eq!(host.object("bench", &format!("out/{one}")).await.expect("a result"), body(one));
}
