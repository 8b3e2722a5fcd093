//! A preview-1 module that classifies photographs: where it runs, and what is refused.

use http::{Method, StatusCode};
use serde_json::json;
use wicket_tests::{TestHost, until};

use super::{SOON, classifier, classify, deploy, fetched, hex, host, sample, upload, workflow};
use crate::api::bearer;

#[tokio::test]
async fn a_preview1_module_infers_with_a_model_by_its_name_and_the_receipt_says_where() {
    let host = host();
    deploy(&host, &workflow("classify.yaml"));
    host.put("photographs", "in/chelsea.png", sample("chelsea.png")).await;
    let made = until("it is classified", SOON, async || host.object("photographs", "out/chelsea.json").await);
    let made = String::from_utf8_lossy(&made.await).into_owned();
    assert!(made.contains("Egyptian cat"), "{made}");
    let receipt = host.receipts("classify").await.remove(0);
    let inference = &receipt["attempts"][0]["inference"][0];
    assert_eq!(inference["model"], "imagenet", "{receipt}");
    assert_eq!((&inference["device"], &inference["backend"]), (&json!("cpu"), &json!("onnxruntime")));
    assert!(inference["run_us"].as_u64().is_some_and(|us| us > 100), "{receipt}");
    let shown = host.wicket(&["show", receipt["id"].as_str().expect("an id")]).stdout;
    assert!(shown.contains("model imagenet on cpu by onnxruntime: 1 call"), "{shown}");
}

#[tokio::test]
async fn a_bare_host_infers_without_any_library() {
    let host = TestHost::start();
    let digest = upload(&host, "efficientnet-lite0").await;
    let model = json!({"name": "imagenet", "sha256": digest});
    let token = classifier(&host, "bare", model.clone(), json!({})).await.expect("it is taken");
    let (seen, receipt) = classify(&host, "bare", &token, "chelsea.png").await;
    assert_eq!(seen[0], "Egyptian cat");
    assert_eq!(receipt["attempts"][0]["inference"][0]["backend"], "builtin", "{receipt}");
    // The other one is not there, and nothing takes its place without a word.
    let mut wanted = model;
    wanted["backend"] = "onnxruntime".into();
    let refused = classifier(&host, "wants", wanted, json!({})).await.expect_err("there is no library");
    assert!(refused.contains("no_device") && refused.contains("onnxruntime"), "{refused}");
}

#[tokio::test]
async fn a_target_that_is_not_there_is_refused_or_the_stated_fallback_is_taken() {
    let host = host();
    let digest = upload(&host, "efficientnet-lite0").await;
    let gpu = json!({"name": "imagenet", "sha256": digest, "target": "gpu:7"});
    let refused = classifier(&host, "gpu", gpu.clone(), json!({})).await.expect_err("there is no such GPU");
    assert!(refused.contains("no_device") && refused.contains("gpu:7"), "{refused}");
    let mut fallback = gpu;
    fallback["fallback"] = "cpu".into();
    let token = classifier(&host, "either", fallback, json!({})).await.expect("the CPU is there");
    let (_, receipt) = classify(&host, "either", &token, "coffee.png").await;
    let inference = &receipt["attempts"][0]["inference"][0];
    assert_eq!((&inference["device"], &inference["fallback"]), (&json!("cpu"), &json!(true)), "{receipt}");
}

#[tokio::test]
async fn a_model_is_fetched_once_and_checked_or_its_service_is_refused() {
    let host = host();
    let bytes = std::fs::read(fetched("models/efficientnet-lite0.onnx")).expect("it was fetched");
    let digest = hex(&bytes);
    let missing = json!({"name": "imagenet", "sha256": digest});
    let refused = classifier(&host, "missing", missing, json!({})).await.expect_err("nobody brought it");
    assert!(refused.contains("unknown_model") && refused.contains("/system/models/"), "{refused}");
    host.buckets().create_bucket().bucket("weights").send().await.expect("a bucket");
    host.put("weights", "e/lite0.onnx", bytes).await;
    let from = |sha256: &str| json!({"name": "imagenet", "sha256": sha256, "source": "weights/e/lite0.onnx"});
    let other = "a".repeat(64);
    let refused = classifier(&host, "other", from(&other), json!({})).await.expect_err("another content");
    assert!(refused.contains("bad_model_file") && refused.contains(&digest), "{refused}");
    let token = classifier(&host, "fetched", from(&digest), json!({})).await.expect("it is fetched");
    assert_eq!(classify(&host, "fetched", &token, "chelsea.png").await.0[0], "Egyptian cat");
    let listed = host.admin(Method::GET, "/system/models", "").await.json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    // What is no model is told at deploy.
    let junk = b"not a model".to_vec();
    let digest = hex(&junk);
    let put = host.admin(Method::PUT, &format!("/system/models/{digest}"), junk).await;
    assert!(put.status.is_success());
    let junk = json!({"name": "imagenet", "sha256": digest});
    let refused = classifier(&host, "junk", junk, json!({})).await.expect_err("it is no model");
    assert!(refused.contains("model_refused") && refused.contains("bad model"), "{refused}");
}

#[tokio::test]
async fn what_is_no_picture_or_no_model_of_the_service_is_a_named_failure_and_others_go_on() {
    let host = host();
    let digest = upload(&host, "efficientnet-lite0").await;
    let imagenet = json!({"name": "imagenet", "sha256": digest});
    let token = classifier(&host, "classify", imagenet, json!({})).await.expect("it is taken");
    let answer = bearer(&host, Method::POST, "/run/classify", &token, &[], "not a picture").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{}", answer.text());
    let other = json!({"name": "another", "sha256": digest});
    let lost = classifier(&host, "lost", other, json!({})).await.expect("it is taken");
    let answer = bearer(&host, Method::POST, "/run/lost", &lost, &[], sample("chelsea.png")).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{}", answer.text());
    let log = host.wicket(&["logs", answer.invocation()]).stdout;
    assert!(log.contains("the service has no model `imagenet`; it has: another"), "{log}");
    assert_eq!(classify(&host, "classify", &token, "chelsea.png").await.0[0], "Egyptian cat");
}

#[tokio::test]
async fn a_pinned_model_goes_with_the_last_service_that_names_it() {
    let host = host();
    let digest = upload(&host, "efficientnet-lite0").await;
    let model = json!({"name": "imagenet", "sha256": digest, "pinned": true});
    for name in ["first", "second"] {
        classifier(&host, name, model.clone(), json!({})).await.expect("it is taken");
    }
    let shown = || host.wicket(&["devices", "--json"]).json()[0]["models"][0].clone();
    assert_eq!(shown()["names"], json!(["first.imagenet", "second.imagenet"]));
    for (name, loaded) in [("first", true), ("second", false)] {
        host.wicket(&["rm", name]);
        let model = shown();
        assert_eq!((&model["loaded"], &model["pinned"]), (&json!(loaded), &json!(loaded)), "{name}: {model}");
    }
    assert!(host.wicket(&["devices"]).stdout.contains("not loaded"));
}
