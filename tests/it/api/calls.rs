//! `POST /run` and `POST /job`.

use std::time::Duration;

use http::{Method, StatusCode, header};
use serde_json::json;
use wicket_tests::{Setup, TestHost, until};

use super::{bearer, code, deploy, ended};

#[tokio::test]
async fn a_call_is_answered_with_what_the_function_says_and_has_a_receipt() {
    let host = TestHost::start();
    let token = deploy(&host, "echo", "echo", json!({})).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(40_000).collect();
    let kind = [("content-type", "image/png")];
    let answer = bearer(&host, Method::POST, "/run/echo", &token, &kind, bytes.clone()).await;
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &bytes[..]));
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    let id = answer.headers["wicket-invocation"].to_str().expect("an id").to_owned();
    let receipt = ended(&host, &id).await;
    assert_eq!((&receipt["state"], &receipt["trigger"]), (&json!("succeeded"), &json!("run")));
    // Bytes that look like base64 are bytes.
    let plain =
        bearer(&host, Method::POST, "/run/echo", &token, &[("content-type", "text/plain")], "aGVsbG8=").await;
    assert_eq!(plain.text(), "aGVsbG8=");
    let json = bearer(
        &host,
        Method::POST,
        "/run/echo",
        &token,
        &[("content-type", "application/json")],
        "{\"a\":1}",
    )
    .await;
    assert_eq!(json.text(), "{\"a\":1}");
}

#[tokio::test]
async fn oscars_python_client_gets_back_base64_when_it_sends_base64() {
    let host = TestHost::start();
    let token = deploy(&host, "echo", "echo", json!({})).await;
    let headers = [("content-type", "application/json")];
    let answer = bearer(&host, Method::POST, "/run/echo", &token, &headers, "aGVsbG8gd29ybGQ=").await;
    assert_eq!(answer.text(), "aGVsbG8gd29ybGQ=");
    let upper = deploy(&host, "said", "event-echo", json!({})).await;
    let answer = bearer(&host, Method::POST, "/run/said", &upper, &headers, "aGVsbG8=").await;
    let text =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &answer.body).expect("base64");
    assert!(String::from_utf8_lossy(&text).ends_with("hello"), "{}", answer.text());
}

#[tokio::test]
async fn a_call_that_fails_says_why() {
    let host = TestHost::start();
    deploy(&host, "exit", "exit", json!({"args": ["7"]})).await;
    deploy(&host, "spin", "spin", json!({"limits": {"cpu_time": "100ms"}})).await;
    deploy(&host, "sleeper", "sleeper", json!({"limits": {"timeout": "200ms", "body": "1KiB"}})).await;
    let run = async |name: &str, body: Vec<u8>| host.admin(Method::POST, &format!("/run/{name}"), body).await;
    let exit = run("exit", vec![]).await;
    assert_eq!((exit.status, code(&exit).as_str()), (StatusCode::BAD_GATEWAY, "function_failed"));
    assert!(exit.text().contains("exit status"), "{}", exit.text());
    assert!(exit.headers.contains_key("wicket-invocation"));
    let spin = run("spin", vec![]).await;
    assert_eq!((spin.status, code(&spin).as_str()), (StatusCode::BAD_GATEWAY, "limit"));
    let slow = run("sleeper", vec![]).await;
    assert_eq!((slow.status, code(&slow).as_str()), (StatusCode::GATEWAY_TIMEOUT, "timeout_limit"));
    let large = run("sleeper", vec![b'x'; 1025]).await;
    assert_eq!((large.status, code(&large).as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
    let large = host.admin(Method::POST, "/job/sleeper", vec![b'x'; 1025]).await;
    assert_eq!((large.status, code(&large).as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
}

#[tokio::test]
async fn a_call_that_is_refused_before_it_runs_has_a_receipt() {
    let config = "[http]\npermit_timeout = \"100ms\"".to_owned();
    let host = TestHost::with(Setup { config, ..Setup::default() });
    let fields = json!({"args": ["20000"], "limits": {"concurrency": 1, "body": "1KiB"}});
    deploy(&host, "sleeper", "sleeper", fields).await;
    let refused = async |body: Vec<u8>, status: StatusCode, limit: &str| {
        let answer = host.admin(Method::POST, "/run/sleeper", body).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let receipt = ended(&host, answer.headers["wicket-invocation"].to_str().expect("an id")).await;
        assert_eq!((&receipt["state"], &receipt["trigger"]), (&json!("failed"), &json!("run")));
        let failure = &receipt["attempts"][0]["failure"];
        assert_eq!((&failure["kind"], &failure["limit"]), (&json!("limit"), &json!(limit)), "{receipt}");
    };
    refused(vec![b'x'; 1025], StatusCode::PAYLOAD_TOO_LARGE, "body").await;
    let job = host.admin(Method::POST, "/job/sleeper", "").await.json();
    let running = format!("/system/invocations/{}", job["id"].as_str().expect("an id"));
    until("the only attempt there may be runs", Duration::from_secs(20), async || {
        let receipt = host.admin(Method::GET, &running, "").await.json();
        (receipt["state"] == "running").then_some(())
    })
    .await;
    refused(Vec::new(), StatusCode::TOO_MANY_REQUESTS, "concurrency").await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_takes_the_place_of_a_call() {
    let config = "[http]\npermit_timeout = \"200ms\"".to_owned();
    let host = TestHost::with(Setup { config, ..Setup::default() });
    let fields = json!({"args": ["quiet"], "limits": {"concurrency": 1}});
    deploy(&host, "echo", "echo", fields).await;
    // More than all buffers between the two hold.
    let body = vec![b'x'; 24 << 20];
    let mut wire = host.connect().await;
    let head = format!(
        "POST /run/echo HTTP/1.1\r\nhost: a\r\nauthorization: {}\r\ncontent-length: {}\r\n\r\n",
        host.admin_header(),
        body.len()
    );
    wire.send([head.as_bytes(), &body].concat()).await;
    let answer = wire.head().await.expect("an answer");
    assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&wire.rest().await));
    let other = host.admin(Method::POST, "/run/echo", "y").await;
    assert_eq!((other.status, code(&other).as_str()), (StatusCode::TOO_MANY_REQUESTS, "busy"));
    drop(wire);
    until("its place is free", Duration::from_secs(20), async || {
        let answer = host.admin(Method::POST, "/run/echo", "y").await;
        (answer.status == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_job_is_named_when_it_is_accepted_and_found_under_its_place() {
    let host = TestHost::start();
    let token = deploy(&host, "echo", "event-echo", json!({})).await;
    let accepted = bearer(&host, Method::POST, "/job/echo", &token, &[], "log hello there").await;
    assert_eq!(accepted.status, StatusCode::CREATED);
    let job = accepted.json();
    let id = job["id"].as_str().expect("an id").to_owned();
    assert_eq!(job["invocations"], json!([{"service": "echo", "id": id, "duplicate": false}]));
    let place = accepted.headers[header::LOCATION].to_str().expect("a path").to_owned();
    assert_eq!(ended(&host, &id).await["state"], "succeeded");
    let receipt = host.admin(Method::GET, &place, "").await.json();
    assert_eq!((&receipt["id"], &receipt["attempts"][0]["number"]), (&json!(id), &json!(1)));
    let list = host.admin(Method::GET, "/system/invocations?service=echo&state=succeeded", "").await.json();
    assert_eq!(list[0]["id"], id.as_str());
    for bad in ["state=odd", "service=NO", "before=7", "limit=-1", "colour=red"] {
        let answer = host.admin(Method::GET, &format!("/system/invocations?{bad}"), "").await;
        assert_eq!(code(&answer), "bad_query", "{bad}");
    }
}

#[tokio::test]
async fn receipts_come_in_pages() {
    let host = TestHost::start();
    deploy(&host, "echo", "echo", json!({})).await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let job = host.admin(Method::POST, "/job/echo", "x").await.json();
        ids.insert(job["id"].as_str().expect("an id").to_owned());
    }
    let mut found = std::collections::BTreeSet::new();
    let mut before = String::new();
    loop {
        let page = host.admin(Method::GET, &format!("/system/invocations?limit=2{before}"), "").await.json();
        let page: Vec<String> = page
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|one| Some(one["id"].as_str()?.to_owned()))
            .collect();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        before = format!("&before={last}");
        found.extend(page);
    }
    assert_eq!(found, ids);
}

#[tokio::test]
async fn the_same_request_with_its_key_is_queued_once() {
    let host = TestHost::start();
    let token = deploy(&host, "echo", "event-echo", json!({})).await;
    let job = async |key: &str, body: &'static str| {
        bearer(&host, Method::POST, "/job/echo", &token, &[("idempotency-key", key)], body).await
    };
    let first = job("k-1", "once").await.json();
    let second = job("k-1", "once").await;
    assert_eq!(second.status, StatusCode::CREATED);
    assert_eq!((&first["duplicate"], &second.json()["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(first["id"], second.json()["id"]);
    assert_ne!(job("k-2", "once").await.json()["id"], first["id"]);
    let reused = job("k-1", "something else").await;
    assert_eq!(
        (reused.status, code(&reused).as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused")
    );
    assert_eq!(code(&job("", "x").await), "bad_idempotency_key");
}

#[tokio::test]
async fn a_dead_letter_is_told_with_its_reason_and_driven_again() {
    let host = TestHost::start();
    deploy(&host, "exit", "exit", json!({"args": ["3"], "retry": {"attempts": 1}})).await;
    let job = host.admin(Method::POST, "/job/exit", "x").await.json();
    let id = job["id"].as_str().expect("an id").to_owned();
    assert_eq!(ended(&host, &id).await["state"], "failed");
    let dead = host.admin(Method::GET, "/system/dead-letters", "").await.json();
    assert_eq!((&dead[0]["id"], &dead[0]["failure"]["kind"]), (&json!(id), &json!("function")));
    assert!(dead[0]["reason"].as_str().is_some_and(|reason| reason.contains("exit status")), "{dead}");
    let path = format!("/system/dead-letters/{id}/redrive");
    let redriven = host.admin(Method::POST, &path, "").await;
    assert_eq!(redriven.status, StatusCode::ACCEPTED, "{}", redriven.text());
    until("a second attempt", Duration::from_secs(20), async || {
        let receipt = ended(&host, &id).await;
        (receipt["attempts"].as_array().map(Vec::len) == Some(2)).then_some(())
    })
    .await;
    let echo = deploy(&host, "echo", "echo", json!({})).await;
    let fine = bearer(&host, Method::POST, "/job/echo", &echo, &[], "x").await.json();
    let fine = fine["id"].as_str().expect("an id").to_owned();
    assert_eq!(ended(&host, &fine).await["state"], "succeeded");
    assert_eq!(
        code(&host.admin(Method::POST, &format!("/system/dead-letters/{fine}/redrive"), "").await),
        "not_dead"
    );
    let none = format!("/system/dead-letters/{}/redrive", "0".repeat(32));
    assert_eq!(code(&host.admin(Method::POST, &none, "").await), "unknown_invocation");
}
