//! Modules and services.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use wicket_tests::{Setup, TestHost};

use super::{code, deploy, ended, upload};

async fn put(host: &TestHost, path: &str, service: &Value) -> wicket_tests::Answer {
    host.admin(Method::PUT, path, service.to_string()).await
}

#[tokio::test]
async fn a_module_is_what_its_digest_says_and_not_too_large() {
    let host = TestHost::with(Setup { config: "[wasm]\nmax_module = \"1MiB\"".into(), ..Setup::default() });
    let digest = upload(&host, "hello").await;
    let path = format!("/system/modules/{digest}");
    let bytes = std::fs::read(wicket_tests::guests::path("hello")).expect("readable");
    assert_eq!(host.admin(Method::PUT, &path, bytes).await.status, StatusCode::OK);
    assert_eq!(host.admin(Method::HEAD, &path, "").await.status, StatusCode::OK);
    let list = host.admin(Method::GET, "/system/modules", "").await.json();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!(list[0]["digest"], digest);

    let none = format!("/system/modules/{}", "0".repeat(64));
    assert_eq!(host.admin(Method::HEAD, &none, "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(code(&host.admin(Method::PUT, &none, "other bytes").await), "digest_mismatch");
    assert_eq!(code(&host.admin(Method::PUT, &none, vec![0; (1 << 20) + 1]).await), "too_large");
    assert_eq!(code(&host.admin(Method::PUT, "/system/modules/xyz", "").await), "bad_name");
    assert_eq!(host.admin(Method::HEAD, &none, "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_service_that_could_never_work_or_never_end_is_refused() {
    let host = TestHost::start();
    let create = async |wasm: String, fields: Value| {
        let mut service = json!({"name": "odd", "wasm": wasm});
        service.as_object_mut().expect("a map").extend(fields.as_object().expect("a map").clone());
        host.admin(Method::POST, "/system/services", service.to_string()).await
    };
    let echo = upload(&host, "echo").await;
    let refused = create(echo.clone(), json!({"http": {"path": "/odd"}})).await;
    assert_eq!((refused.status, code(&refused)), (StatusCode::BAD_REQUEST, "no_http_handler".to_owned()));

    // The host's own buckets by another name: what goes there would begin anew each time.
    let port = host.s3.rsplit(':').next().expect("a port");
    let through = |endpoint: &str| {
        let provider = json!({"endpoint": endpoint, "access_key": "key", "secret_key": "secret-1"});
        json!({
            "input": [{"path": "round/in"}],
            "output": [{"storage_provider": "s3.self", "path": "round/in"}],
            "storage_providers": {"s3": {"self": provider}},
        })
    };
    for name in ["127.0.0.1", "localhost", "[::1]", "127.9.9.9"] {
        let refused = create(echo.clone(), through(&format!("http://{name}:{port}"))).await;
        assert_eq!(code(&refused), "own_endpoint", "{name}: {}", refused.text());
    }
    let elsewhere = create(echo, through("http://127.0.0.1:1")).await;
    assert_eq!(elsewhere.status, StatusCode::CREATED, "{}", elsewhere.text());
}

#[tokio::test]
async fn a_service_is_read_as_it_was_written_but_for_its_secrets() {
    let host = TestHost::start();
    let fields = json!({
        "environment": {"variables": {"PLAIN": "seen"}, "secrets": {"DEEP": "treasure-1"}},
        "storage_providers": {"minio": {"away": {"endpoint": "http://127.0.0.1:1", "access_key": "key", "secret_key": "treasure-2"}}},
        "output": [{"storage_provider": "minio.away", "path": "results/out", "suffix": [".never"]}],
        "limits": {"memory": "64MiB"},
    });
    let token = deploy(&host, "mirror", "environment", fields).await;
    let read = host.admin(Method::GET, "/system/services/mirror", "").await;
    assert!(!read.text().contains("treasure"), "{}", read.text());
    let service = read.json();
    assert_eq!((&service["token"], &service["version"]), (&Value::from(token.as_str()), &Value::from(1)));
    assert_eq!(service["environment"]["variables"]["PLAIN"], "seen");
    let list = host.admin(Method::GET, "/system/services", "").await;
    assert!(!list.text().contains("treasure") && !list.text().contains(&token), "{}", list.text());
    assert_eq!(list.json()[0]["depth"]["queued"], 0);

    // What was read can be sent back, and nothing has changed: the function still gets its secret.
    let back = put(&host, "/system/services/mirror", &service).await;
    assert_eq!(back.status, StatusCode::NO_CONTENT, "{}", back.text());
    assert_eq!(
        (&back.headers["wicket-change"], &back.headers["wicket-version"]),
        (&"unchanged".parse().unwrap(), &"1".parse().unwrap())
    );
    let said = host.admin(Method::POST, "/run/mirror", "").await.text();
    assert!(said.contains("env DEEP=treasure-1") && said.contains("env PLAIN=seen"), "{said}");

    let mut changed = service.clone();
    changed["environment"]["secrets"]["DEEP"] = "treasure-3".into();
    let changed = put(&host, "/system/services", &changed).await;
    assert_eq!(
        (&changed.headers["wicket-change"], &changed.headers["wicket-version"]),
        (&"updated".parse().unwrap(), &"2".parse().unwrap())
    );
    assert!(host.admin(Method::POST, "/run/mirror", "").await.text().contains("env DEEP=treasure-3"));
    let read = host.admin(Method::GET, "/system/services/mirror", "").await.json();
    assert_eq!(read["token"], token.as_str(), "an update keeps the token");
    assert!(!host.stderr().contains("treasure") && !host.stderr().contains(&token));
}

#[tokio::test]
async fn versions_are_listed_and_rolled_back() {
    let host = TestHost::start();
    deploy(&host, "one", "echo", json!({})).await;
    let second = json!({"name": "one", "wasm": upload(&host, "hello").await});
    assert_eq!(put(&host, "/system/services/one", &second).await.status, StatusCode::NO_CONTENT);
    let versions = host.admin(Method::GET, "/system/services/one/versions", "").await.json();
    let told: Vec<_> = versions
        .as_array()
        .expect("a list")
        .iter()
        .map(|v| (v["version"].clone(), v["current"].clone()))
        .collect();
    assert_eq!(told, [(json!(2), json!(true)), (json!(1), json!(false))]);
    assert_eq!(host.admin(Method::POST, "/run/one", "x").await.text(), "Hello from Wicketgate");

    let path = "/system/services/one/rollback";
    assert_eq!(host.admin(Method::POST, path, "").await.json(), json!({"version": 1}));
    assert_eq!(host.admin(Method::POST, "/run/one", "x").await.text(), "x");
    assert_eq!(code(&host.admin(Method::POST, path, "").await), "no_older_version");
    assert_eq!(code(&host.admin(Method::POST, path, "{\"version\":9}").await), "unknown_version");
    assert_eq!(code(&host.admin(Method::POST, path, "{\"versoin\":1}").await), "bad_json");
    assert_eq!(host.admin(Method::POST, path, "{\"version\":2}").await.json(), json!({"version": 2}));
    assert_eq!(
        host.admin(Method::GET, "/system/services/none/versions", "").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_service_is_created_once_and_goes_with_what_waits_for_it() {
    let host = TestHost::start();
    deploy(&host, "sleepy", "sleeper", json!({"limits": {"concurrency": 1}})).await;
    let again = json!({"name": "sleepy", "wasm": upload(&host, "sleeper").await}).to_string();
    let taken = host.admin(Method::POST, "/system/services", again).await;
    assert_eq!((taken.status, code(&taken).as_str()), (StatusCode::CONFLICT, "service_exists"));

    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for _ in 0..3 {
            let job = host.admin(Method::POST, "/job/sleepy", "x").await.json();
            ids.push(job["id"].as_str().expect("an id").to_owned());
        }
        ids
    };
    assert_eq!(
        host.admin(Method::DELETE, "/system/services/sleepy", "").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(host.admin(Method::DELETE, "/system/services/sleepy", "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(host.admin(Method::GET, "/system/services/sleepy", "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(code(&host.admin(Method::POST, "/job/sleepy", "x").await), "unknown_service");
    for id in &ids {
        assert_eq!(ended(&host, id).await["state"], "failed");
    }
    let dead = host.admin(Method::GET, "/system/dead-letters?service=sleepy", "").await.json();
    assert_eq!(dead.as_array().map(Vec::len), Some(3), "{dead}");
    assert!(dead[0]["reason"].as_str().is_some_and(|reason| reason.contains("removed")), "{dead}");
    let redrive = host.admin(Method::POST, &format!("/system/dead-letters/{}/redrive", ids[0]), "").await;
    assert_eq!(redrive.status, StatusCode::CONFLICT, "its service is gone");
}

#[tokio::test]
async fn what_is_wrong_with_a_service_is_told_at_once() {
    let host = TestHost::start();
    let post = async |service: Value| host.admin(Method::POST, "/system/services", service.to_string()).await;
    let wrong =
        post(json!({"name": "NO", "wasm": "x", "limits": {"memory": "much"}, "input": [{"path": "X"}]}))
            .await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let message = wrong.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.lines().count() >= 3, "{message}");
    assert!(message.contains("name") && message.contains("memory") && message.contains("input"), "{message}");

    let missing = post(json!({"name": "a", "wasm": "0".repeat(64)})).await;
    assert_eq!(code(&missing), "unknown_module");
    assert!(missing.text().contains("PUT its bytes to /system/modules/"), "{}", missing.text());
    assert_eq!(code(&post(json!({"name": "a", "script": "true"})).await), "bad_definition");
    let broken = b"\0asm\x01\0\0\0 and then nothing that makes sense".to_vec();
    let digest: String =
        <sha2::Sha256 as sha2::Digest>::digest(&broken).iter().map(|b| format!("{b:02x}")).collect();
    host.admin(Method::PUT, &format!("/system/modules/{digest}"), broken).await;
    assert_eq!(code(&post(json!({"name": "a", "wasm": digest})).await), "malformed_module");
    let hidden = json!({"name": "a", "wasm": upload(&host, "echo").await, "environment": {"secrets": {"S": "hidden"}}});
    assert_eq!(code(&post(hidden).await), "bad_definition");
    let hello = upload(&host, "hello").await;
    let short = post(json!({"name": "a", "wasm": hello, "environment": {"secrets": {"PIN": "12345"}}})).await;
    assert_eq!(code(&short), "short_secret");
    let said = short.text();
    assert!(said.contains("PIN") && said.contains("service `a`") && !said.contains("12345"), "{said}");
    let circle = json!({"name": "a", "wasm": hello, "input": [{"path": "photos/in"}], "output": [{"path": "photos/in"}]});
    assert_eq!(code(&post(circle).await), "cycle");
    let route = |name: &str| json!({"name": name, "wasm": hello, "http": {"path": "/x"}});
    assert_eq!(post(route("a")).await.status, StatusCode::CREATED);
    assert_eq!(code(&post(route("b")).await), "route_taken");
    let other = put(&host, "/system/services/b", &route("a")).await;
    assert_eq!(code(&other), "bad_definition");
    assert_eq!(code(&put(&host, "/system/services", &route("c")).await), "unknown_service");
}
