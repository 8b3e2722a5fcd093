//! The Open Inference Protocol, as a client of others speaks it.

use serde_json::{Value, json};
use wicket_tests::{guests, until};

use super::{SOON, classifier, host, python, upload};

#[tokio::test]
async fn tritons_client_calls_a_services_model_and_the_call_has_a_receipt() {
    let host = host();
    let digest = upload(&host, "efficientnet-lite0").await;
    let model = json!({"name": "imagenet", "sha256": digest, "batch": {"size": 8, "window": "2ms"}});
    let token = classifier(&host, "photos", model, json!({})).await.expect("it is taken");
    let golden = guests::path("classify").ancestors().nth(3).expect("the repository").to_owned();
    let golden = golden.join("functions/models/golden/efficientnet-lite0.json");
    let address = host.http.trim_start_matches("http://").to_owned();
    let mut python = python(include_str!("triton.py"));
    python.args([&address, &token, "photos.imagenet"]).arg(golden);
    let ran = tokio::task::spawn_blocking(move || python.output().expect("python3 is there"));
    let ran = ran.await.expect("no panic in there");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    for (what, is) in
        [("live", true), ("ready", true), ("model_ready", true), ("no_model", false), ("version", true)]
    {
        assert_eq!(said[what], is, "{what}: {said}");
    }
    let metadata = &said["metadata"];
    assert_eq!(metadata["inputs"][0]["datatype"], "FP32", "{said}");
    assert_eq!(metadata["inputs"][0]["shape"], json!([-1, 3, 224, 224]), "{said}");
    assert_eq!(said["id"], "7", "{said}");
    for apart in said["apart"].as_array().expect("two ways") {
        assert!(apart.as_f64().is_some_and(|apart| apart < 1e-4), "{said}");
    }
    for (what, told) in
        [("wrong_shape", "400: "), ("wrong_type", "400: "), ("wrong_name", "400: "), ("no_token", "401: ")]
    {
        let refusal = said[what].as_str().expect("a text");
        assert!(refusal.starts_with(told), "{what}: {refusal}");
    }
    let receipts = until("the calls have receipts", SOON, async || {
        let receipts = host.receipts("photos").await;
        (receipts.len() >= 3).then_some(receipts)
    });
    let receipts = receipts.await;
    let good = receipts.iter().find(|receipt| receipt["state"] == "succeeded").expect("one that ended well");
    assert_eq!(good["attempts"][0]["executor"], "inference", "{good}");
    assert_eq!(good["attempts"][0]["inference"][0]["model"], "imagenet", "{good}");
    let bad = receipts.iter().find(|receipt| receipt["state"] == "failed").expect("one that was refused");
    assert!(
        bad["attempts"][0]["failure"]["message"].as_str().is_some_and(|text| text.contains("wants")),
        "{bad}"
    );
}
