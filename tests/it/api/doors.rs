//! Who gets in, and what those hear who do not.

use http::{Method, StatusCode, header};
use wicket_tests::TestHost;

use super::{basic, bearer, code, deploy};

/// Every operation of the document, with something in the places of its parameters.
async fn operations(host: &TestHost) -> Vec<(Method, String, bool)> {
    let document = host.get("/openapi.json").await;
    assert_eq!(document.status, StatusCode::OK);
    let mut found = Vec::new();
    for (path, item) in document.json()["paths"].as_object().expect("paths") {
        let filled = path
            .replace("{name}", "nobody")
            .replace("{service}", "nobody")
            .replace("{bucket}", "nothing")
            .replace("{id}", &"0".repeat(32))
            .replace("{sha256}", &"0".repeat(64));
        for (method, operation) in item.as_object().expect("operations") {
            let method = method.to_uppercase().parse().expect("a method");
            found.push((method, filled.clone(), operation.get("security").is_some()));
        }
    }
    assert!(found.len() > 30, "{found:?}");
    found
}

#[tokio::test]
async fn every_documented_route_is_there_and_lets_nobody_in_without_credentials() {
    let host = TestHost::start();
    let wrong = basic("wrong");
    for (method, path, guarded) in operations(&host).await {
        let open = host.admin(method.clone(), &path, "").await;
        assert_ne!(open.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert!(!open.text().contains("unknown_path"), "{method} {path}");
        assert!(open.status.as_u16() < 500, "{method} {path}: {}", open.text());
        if !guarded {
            assert_eq!(host.send(method, &path, &[], "".into()).await.status, StatusCode::OK);
            continue;
        }
        for headers in [&[][..], &[("authorization", wrong.as_str())], &[("authorization", "Bearer x")]] {
            let shut = host.send(method.clone(), &path, headers, "".into()).await;
            assert_eq!(shut.status, StatusCode::UNAUTHORIZED, "{method} {path} {headers:?}");
            assert!(shut.headers.contains_key(header::WWW_AUTHENTICATE), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_token_opens_its_own_service_and_nothing_else() {
    let host = TestHost::start();
    let token = deploy(&host, "one", "echo", serde_json::json!({})).await;
    let other = deploy(&host, "two", "echo", serde_json::json!({})).await;
    assert_ne!(token, other);
    let status =
        async |path: &str, token: &str| bearer(&host, Method::POST, path, token, &[], "x").await.status;
    assert_eq!(status("/run/one", &token).await, StatusCode::OK);
    assert_eq!(status("/job/one", &token).await, StatusCode::CREATED);
    // What is not there, and what is somebody else's, look the same.
    for path in [
        "/run/two",
        "/job/two",
        "/run/three",
        "/job/three",
        "/run/NO!",
        "/system/services",
        "/system/explain",
    ] {
        assert_eq!(status(path, &token).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(host.admin(Method::POST, "/run/one", "x").await.status, StatusCode::OK);
    assert_eq!(code(&host.admin(Method::POST, "/run/three", "x").await), "unknown_service");
    assert_eq!(code(&host.admin(Method::POST, "/run/NO!", "x").await), "bad_name");
}

#[tokio::test]
async fn errors_come_as_text_or_as_json_and_say_what_to_do() {
    let host = TestHost::start();
    let text = host.get("/system/nowhere").await;
    assert_eq!(text.status, StatusCode::NOT_FOUND);
    assert!(text.headers[header::CONTENT_TYPE].to_str().is_ok_and(|value| value.starts_with("text/plain")));
    assert_eq!(text.text(), "there is nothing at /system/nowhere\nGET /openapi.json lists what there is\n");
    let json = host.admin(Method::GET, "/system/nowhere", "").await;
    assert_eq!(json.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(json.json()["error"]["code"], "unknown_path");
    let method = host.admin(Method::PATCH, "/system/services", "").await;
    assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(code(&method), "method_not_allowed");
    let allow = method.headers[header::ALLOW].to_str().unwrap_or_default().to_owned();
    assert!(allow.contains("PUT") && allow.contains("POST") && allow.contains("GET"), "{allow}");
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let host = TestHost::start();
    let admin = basic(&host.password());
    let headers = [("authorization", admin.as_str()), ("sec-fetch-site", "cross-site")];
    let refused = host.send(Method::DELETE, "/system/services/one", &headers, "".into()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let read = host.send(Method::GET, "/system/services", &headers, "".into()).await;
    assert_eq!(read.status, StatusCode::OK);
}

#[tokio::test]
async fn oscars_clients_find_what_they_look_for() {
    let host = TestHost::start();
    assert_eq!(host.get("/health").await.text(), "Ok");
    let info = host.admin(Method::GET, "/system/info", "").await.json();
    assert_eq!(info["serverless_backend"]["name"], "wicketgate");
    for path in ["/system/config", "/system/config/"] {
        let config = host.admin(Method::GET, path, "").await.json();
        assert_eq!(config["config"]["name"], "oscar");
        assert_eq!(config["minio_provider"]["endpoint"], host.s3);
        assert!(config["minio_provider"]["secret_key"].as_str().is_some_and(|key| key.len() > 20));
    }
    let stats = host.admin(Method::GET, "/system/stats", "").await.json();
    assert_eq!(stats["services"], 0);
}
