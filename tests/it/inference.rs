//! Functions that infer, on real models: `cargo xtask models` fetches them.

use std::path::PathBuf;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wicket_tests::{Setup, TestHost, guests, until};

use crate::api::bearer;

const SOON: Duration = Duration::from_secs(60);

/// A file that the set-up put below `target/`.
fn fetched(name: &str) -> PathBuf {
    let built = guests::path("classify");
    let file = built.ancestors().nth(2).expect("target/guests is in target/").join(name);
    assert!(file.exists(), "{} is missing: run `cargo xtask models`", file.display());
    file
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(fetched(&format!("samples/{name}"))).expect("it was fetched")
}

/// A program for Python with OpenCV and Triton's client.
fn python(program: &str) -> std::process::Command {
    let mut python = std::process::Command::new("python3");
    python.env("PYTHONPATH", fetched("inference-tools")).env("PYTHONDONTWRITEBYTECODE", "1");
    python.args(["-c", program]);
    python
}

/// A host with ONNX Runtime.
fn host() -> TestHost {
    let config = format!("[inference]\nonnxruntime = {:?}\n", fetched("onnxruntime/libonnxruntime.so"));
    TestHost::with(Setup { config, ..Setup::default() })
}

/// Applies a workflow of `functions/` as it stands.
fn deploy(host: &TestHost, name: &str) {
    let built = guests::path("classify");
    let target = built.ancestors().nth(2).expect("target/guests is in target/");
    let functions = target.parent().expect("target/ is in the repository").join("functions");
    let text = std::fs::read_to_string(functions.join(name)).expect("the workflow is there");
    let text = text.replace("../target/", &format!("{}/", target.display()));
    let text = text.replace("split/split.sh", functions.join("split/split.sh").to_str().expect("text"));
    let file = host.scratch().join(name);
    std::fs::write(&file, text).expect("the temporary folder is writable");
    host.wicket(&["apply", file.to_str().expect("text")]);
}

/// A service that classifies, with more fields of its model and of itself; its token.
async fn classifier(host: &TestHost, name: &str, model: Value, more: Value) -> Result<String, String> {
    let module = std::fs::read(guests::path("classify")).expect("it was built");
    let digest = hex(&module);
    let put = host.admin(Method::PUT, &format!("/system/modules/{digest}"), module).await;
    assert!(put.status.is_success(), "{}", put.text());
    let mut service = json!({"name": name, "wasm": digest, "models": [model], "retry": {"attempts": 1}});
    service.as_object_mut().expect("an object").extend(more.as_object().expect("fields").clone());
    let answer = host.admin(Method::POST, "/system/services", service.to_string()).await;
    if !answer.status.is_success() {
        return Err(answer.text());
    }
    let read = host.admin(Method::GET, &format!("/system/services/{name}"), "").await.json();
    Ok(read["token"].as_str().expect("the admin sees the token").to_owned())
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Uploads a model; its digest.
async fn upload(host: &TestHost, name: &str) -> String {
    let bytes = std::fs::read(fetched(&format!("models/{name}.onnx"))).expect("it was fetched");
    let digest = hex(&bytes);
    let put = host.admin(Method::PUT, &format!("/system/models/{digest}"), bytes).await;
    assert!(put.status.is_success(), "{}", put.text());
    digest
}

/// What is seen on a photograph, the surest first, and the receipt.
async fn classify(host: &TestHost, name: &str, token: &str, photo: &str) -> (Vec<String>, Value) {
    let answer = bearer(host, Method::POST, &format!("/run/{name}"), token, &[], sample(photo)).await;
    let receipt = host.receipt(answer.invocation()).await;
    assert_eq!(answer.status, StatusCode::OK, "{receipt}");
    let said: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let classes = said["classes"].as_array().expect("a list").iter();
    (classes.map(|one| one["label"].as_str().expect("a word").to_owned()).collect(), receipt)
}

#[tokio::test]
async fn a_preview1_module_infers_with_a_model_by_its_name_and_the_receipt_says_where() {
    let host = host();
    deploy(&host, "classify.yaml");
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
async fn a_video_of_people_becomes_blurred_frames_and_a_report_of_their_masks() {
    let host = host();
    deploy(&host, "mask.yaml");
    host.put("people-private", "in/people.avi", sample("people.avi")).await;
    let report = until("the report is there", Duration::from_secs(120), async || {
        host.object("people", "out/people.avi/report.json").await
    });
    let report: Value = serde_json::from_slice(&report.await).expect("JSON");
    // Two people in each of eight seconds; each wears a mask half of the time.
    assert_eq!((&report["frames"], &report["faces"]), (&json!(8), &json!(16)), "{report}");
    assert_eq!((&report["with_mask"], &report["without_mask"]), (&json!(8), &json!(8)), "{report}");
    until("the preview is there", SOON, async || host.object("people", "out/people.avi/preview.gif").await)
        .await;
    // No frame leaves the first stage as it was.
    let listed = host.buckets().list_objects_v2().bucket("people").send().await.expect("a list");
    let keys: Vec<&str> = listed.contents().iter().filter_map(|one| one.key()).collect();
    let blurred: Vec<&&str> =
        keys.iter().filter(|key| key.starts_with("blurred/") && key.ends_with(".jpg")).collect();
    assert_eq!(blurred.len(), 8, "{keys:?}");
    for key in blurred {
        let private = key.replacen("blurred/", "frames/", 1);
        let before = host.object("people-private", &private).await.expect("the frame that it was made of");
        let after = host.object("people", key).await.expect("it was listed");
        let faces = host.object("people", &key.replace(".jpg", ".json")).await.expect("its faces");
        let files =
            [("before.jpg", before), ("after.jpg", after), ("faces.json", faces)].map(|(name, bytes)| {
                let file = host.scratch().join(name);
                std::fs::write(&file, bytes).expect("the temporary folder is writable");
                file
            });
        let said =
            python(include_str!("inference/blurred.py")).args(files).output().expect("python3 is there");
        let left = String::from_utf8_lossy(&said.stdout).trim().parse::<f64>();
        let left = left.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
        assert!(left < 0.5, "{key}: {left} of the detail of a face is left");
    }
}

#[tokio::test]
async fn what_a_guest_asks_for_wrongly_is_told_by_kind_and_in_words_and_harms_nobody() {
    let host = host();
    let digest = upload(&host, "efficientnet-lite0").await;
    let module = std::fs::read(guests::path("infer")).expect("it was built");
    let wasm = hex(&module);
    let put = host.admin(Method::PUT, &format!("/system/modules/{wasm}"), module).await;
    assert!(put.status.is_success(), "{}", put.text());
    let service = |name: &str, grants: Value| {
        json!({"name": name, "wasm": wasm, "retry": {"attempts": 1}, "grants": grants,
            "models": [{"name": "imagenet", "sha256": digest}]})
    };
    for (name, grants) in [("infer", json!({})), ("brings", json!({"load_models": true}))] {
        let answer = host.admin(Method::POST, "/system/services", service(name, grants).to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    }
    let asked = async |service: &str, case: &str| {
        let answer = host.admin(Method::POST, &format!("/run/{service}"), case.to_owned()).await;
        assert_eq!(answer.status, StatusCode::OK, "{case}: {}", answer.text());
        answer.text()
    };
    let whole = "probabilities TensorType::Fp32 [1, 1000] of 4000 bytes";
    for (case, told) in [
        ("right", whole),
        ("no model", "NotFound: the service has no model `../../etc/passwd`; it has: imagenet"),
        ("wrong name", "InvalidArgument: "),
        ("short", "InvalidArgument: a tensor f32[1, 3, 224, 224]: wants 602112 bytes, got 5"),
        ("wrong type", "InvalidArgument: "),
        ("wrong shape", "InvalidArgument: "),
        ("wrong rank", "InvalidArgument: "),
        ("endless rank", "InvalidArgument: a tensor's shape: wants at most 16 dimensions"),
        ("overflow", "InvalidArgument: a tensor's shape"),
        ("nothing", "InvalidArgument: "),
        ("twice", "InvalidArgument: "),
        ("load junk", "Security: the service may not bring models of its own"),
        ("right", whole),
    ] {
        let said = asked("infer", case).await.replace("ErrorCode::", "");
        assert!(said.contains(told), "{case}: {said}");
    }
    // Numbers that are none are the model's affair.
    assert_eq!(asked("infer", "nan").await, whole);
    for (case, told) in [
        ("load junk", "InvalidEncoding: "),
        ("load two parts", "InvalidArgument: an ONNX model is one buffer, not 2"),
        ("right", whole),
    ] {
        let said = asked("brings", case).await.replace("ErrorCode::", "");
        assert!(said.contains(told), "{case}: {said}");
    }
}

#[tokio::test]
async fn tritons_client_calls_a_services_model_and_the_call_has_a_receipt() {
    let host = host();
    let digest = upload(&host, "efficientnet-lite0").await;
    let model = json!({"name": "imagenet", "sha256": digest, "batch": {"size": 8, "window": "2ms"}});
    let token = classifier(&host, "photos", model, json!({})).await.expect("it is taken");
    let golden = guests::path("classify").ancestors().nth(3).expect("the repository").to_owned();
    let golden = golden.join("functions/models/golden/efficientnet-lite0.json");
    let address = host.http.trim_start_matches("http://").to_owned();
    let mut python = std::process::Command::new("python3");
    python.env("PYTHONPATH", fetched("inference-tools")).env("PYTHONDONTWRITEBYTECODE", "1");
    python
        .args(["-c", include_str!("inference/triton.py")])
        .args([&address, &token, "photos.imagenet"])
        .arg(golden);
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
