//! Bodies, paths and headers that nobody would send.

use http::{Method, StatusCode};
use serde_json::json;
use wicket_tests::TestHost;

use super::{basic, deploy};

#[tokio::test]
async fn no_body_brings_the_host_down() {
    let mut host = TestHost::start();
    deploy(&host, "echo", "hello", json!({})).await;
    let deep = "[".repeat(50_000);
    let deep_object = "{\"a\":".repeat(50_000);
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"{\"name\":null}".to_vec(),
        b"{\"name\":{\"name\":[]}}".to_vec(),
        b"\"\"".to_vec(),
        b"1e999".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"{\"Records\":[{\"s3\":{}}]}".to_vec(),
        b"{\"specversion\":1}".to_vec(),
        b"{\"bucket\":\"\\u0000\",\"key\":\"\"}".to_vec(),
        deep.into_bytes(),
        deep_object.into_bytes(),
        vec![b'{'; 2 << 20],
    ];
    let routes = [
        (Method::POST, "/system/services"),
        (Method::PUT, "/system/services"),
        (Method::PUT, "/system/services/echo"),
        (Method::POST, "/system/services/echo/rollback"),
        (Method::POST, "/system/buckets"),
        (Method::PUT, "/system/buckets"),
        (Method::POST, "/system/explain"),
        (Method::POST, "/events"),
        (Method::POST, "/job/echo"),
        (Method::PUT, "/system/modules/0000000000000000000000000000000000000000000000000000000000000000"),
    ];
    let admin = basic(&host.password());
    for (method, path) in routes {
        for body in &bodies {
            for kind in
                ["application/json", "application/cloudevents+json", "application/cloudevents-batch+json"]
            {
                let headers = [("authorization", admin.as_str()), ("content-type", kind)];
                let answer = host.send(method.clone(), path, &headers, body.clone().into()).await;
                let start = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
                assert!(answer.status.as_u16() < 500, "{method} {path} {kind} {start}: {}", answer.text());
                assert!(answer.body.len() < 20_000, "{method} {path} {kind} {start}");
            }
        }
    }
    assert!(host.runs());
    assert!(!host.stderr().contains("panicked"), "{}", host.stderr());
}

#[tokio::test]
async fn no_path_and_no_header_brings_the_host_down() {
    let mut host = TestHost::start();
    let long = "x".repeat(8_000);
    for path in [
        "/system/services/%ff",
        "/system/services/%00",
        "/system/services/..",
        "/system/services/a%2Fb",
        "/system/buckets/..%2F..%2Fetc",
        "/system/logs/%ff/%ff",
        "/system/logs//",
        "/run/",
        "/job/%2e%2e",
        "/system/invocations/zz",
        "/system/invocations?limit=99999999999",
        "/system/invocations?service=%ff",
        "/system/buckets/photos?page=%00",
        "/system/services/?",
        "/health/x",
        "/events",
        "/system/modules/%",
        &format!("/system/services/{long}"),
        &format!("/system/{long}"),
        &format!("/health?{long}"),
    ] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::HEAD]
        {
            let answer = host.admin(method.clone(), path, "x").await;
            assert!(answer.status.as_u16() < 500, "{method} {path}: {}", answer.text());
            assert!(answer.body.len() < 20_000, "{method} {path}");
        }
    }
    let headers =
        [("accept", "\u{7f}"), ("authorization", "Basic"), ("content-type", ";;;"), ("idempotency-key", "")];
    let odd: Vec<_> =
        headers.iter().filter(|(_, value)| http::HeaderValue::from_str(value).is_ok()).copied().collect();
    assert_eq!(host.send(Method::POST, "/events", &odd, "".into()).await.status, StatusCode::UNAUTHORIZED);
    assert!(host.runs());
    assert!(!host.stderr().contains("panicked"), "{}", host.stderr());
}
