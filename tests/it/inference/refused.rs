//! Inputs that nobody should take, given to functions that infer: each is refused by name, and the neighbour answers.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::Value;
use wicket_tests::{TestHost, failure, until};

use super::{SOON, ended, fetched, host, made, python, sample};

/// The neighbour's worst answer, with two cores for everything.
const WORST: Duration = Duration::from_secs(5);

/// Functions that look at pictures, one that listens, and who has nothing to do with it.
fn deploy(host: &TestHost) {
    let model = |name: &str| fetched(&format!("models/{name}.onnx")).display().to_string();
    let mut services =
        "- node:\n    name: neighbour\n    wasm: {guest:hello}\n    http: { path: /neighbour }\n".to_owned();
    for (name, called, file, folder) in [
        ("blur-faces", "faces", "centerface", "pictures"),
        ("classify", "imagenet", "efficientnet-lite0", "pictures"),
        ("object-detector", "objects", "centernet", "pictures"),
        ("speech", "vad", "silero-vad-sequence", "sounds"),
    ] {
        services += &format!(
            "- node:\n    name: {name}\n    wasm: {{guest:{name}}}\n    \
             models: [{{ name: {called}, source: '{}' }}]\n    \
             limits: {{ memory: 256MiB, cpu_time: 20s }}\n    \
             input: [{{ path: {folder}/in }}]\n    output: [{{ path: {folder}/{name} }}]\n",
            model(file)
        );
    }
    host.apply(&services);
}

/// Waits until a service has refused what it was given, while the neighbour answers; the receipt.
async fn refusal(host: &TestHost, service: &str) -> Value {
    let mut receipts = until(&format!("{service} has refused it"), SOON, async || {
        let asked = Instant::now();
        let answer = host.get("/neighbour").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert!(asked.elapsed() < WORST, "the neighbour answered after {:?}", asked.elapsed());
        let receipts = host.receipts(service).await;
        (receipts.len() == 1 && receipts[0]["finished"].is_string()).then_some(receipts)
    })
    .await;
    let receipt = receipts.remove(0);
    assert_eq!((receipt["state"].as_str(), failure(&receipt)), (Some("failed"), "function"), "{receipt}");
    receipt
}

/// Why the last attempt failed.
fn message(receipt: &Value) -> &str {
    let last = receipt["attempts"].as_array().and_then(|attempts| attempts.last());
    last.and_then(|attempt| attempt["failure"]["message"].as_str()).unwrap_or_default()
}

#[tokio::test]
async fn a_picture_of_400_million_pixels_is_refused_by_its_size_before_it_takes_memory() {
    let host = host();
    deploy(&host);
    let made_huge = python(include_str!("huge.py")).output().expect("python3 is there");
    assert!(made_huge.status.success(), "{}", String::from_utf8_lossy(&made_huge.stderr));
    assert!(made_huge.stdout.len() < 1 << 20, "{} bytes are no trap", made_huge.stdout.len());
    let before = host.rss();
    host.put("pictures", "in/huge.png", made_huge.stdout).await;
    for service in ["blur-faces", "classify", "object-detector"] {
        let receipt = refusal(&host, service).await;
        let told = message(&receipt);
        assert!(told.contains("20000x20000 pixels are more than 12582912"), "{service}: {told}");
        let peak = receipt["attempts"][0]["peak_memory"].as_u64().expect("bytes");
        assert!(peak < 32 << 20, "{service} took {peak} bytes to refuse it");
    }
    let grown = host.rss().saturating_sub(before);
    assert!(grown < 200 << 20, "the host took {grown} bytes, and the picture has 400 MB");
    // All of them go on.
    host.put("pictures", "in/astronaut.png", sample("astronaut.png")).await;
    let faces = made(&host, "pictures", "blur-faces/astronaut.json").await;
    assert_eq!(faces["faces"].as_array().map(Vec::len), Some(1), "{faces}");
    let objects = made(&host, "pictures", "object-detector/astronaut.json").await;
    assert_eq!(objects["objects"][0]["label"], "person", "{objects}");
    assert!(made(&host, "pictures", "classify/astronaut.json").await["classes"].is_array());
}

#[tokio::test]
async fn a_sound_without_a_sample_is_refused_as_0_seconds_long() {
    let host = host();
    deploy(&host);
    let whole = sample("talk.wav");
    // The header of the same, of no data.
    let mut empty = whole[..44].to_vec();
    empty[4..8].copy_from_slice(&36_u32.to_le_bytes());
    empty[40..44].copy_from_slice(&0_u32.to_le_bytes());
    host.put("sounds", "in/empty.wav", empty).await;
    let receipt = refusal(&host, "speech").await;
    assert_eq!(message(&receipt), "empty.wav: there is no sound in it: 0 s");
    assert_eq!(receipt["attempts"].as_array().map(Vec::len), Some(1), "it would never do: {receipt}");
    host.put("sounds", "in/talk.wav", whole).await;
    ended(&host, "speech", 2).await;
    let heard = made(&host, "sounds", "speech/talk.json").await;
    assert_eq!(heard["segments"].as_array().map(Vec::len), Some(3), "{heard}");
}
