//! What guests ask for by the standard's own bindings, rightly and wrongly.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use wicket_tests::guests;

use super::{hex, host, upload};

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
