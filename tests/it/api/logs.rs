//! Logs and buckets.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use wicket_tests::{TestHost, until};

use super::{code, deploy, ended};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[tokio::test]
async fn a_log_is_read_as_text_and_as_json_lines() {
    let host = TestHost::start();
    deploy(&host, "echo", "event-echo", json!({})).await;
    let job = host.admin(Method::POST, "/job/echo", "log a line").await.json();
    let id = job["id"].as_str().expect("an id").to_owned();
    ended(&host, &id).await;

    let jobs = host.admin(Method::GET, "/system/logs/echo", "").await.json();
    assert_eq!(jobs["jobs"][&id]["status"], "Succeeded");
    assert!(jobs["jobs"][&id]["finish_time"].is_string() && jobs.get("next_page").is_none());
    let text = host.admin(Method::GET, &format!("/system/logs/echo/{id}"), "").await.text();
    assert_eq!(text.matches("a line").count(), 2, "{text}");
    let timed = host.admin(Method::GET, &format!("/system/logs/echo/{id}?timestamps=true"), "").await.text();
    assert!(timed.lines().all(|line| line.starts_with("20")), "{timed}");
    let json = host.admin(Method::GET, &format!("/system/invocations/{id}/logs"), "").await;
    assert_eq!(json.headers["content-type"], "application/x-ndjson");
    let told = lines(&json.text());
    assert!(
        told.iter()
            .any(|line| line["attempt"] == 1 && line["text"].as_str().is_some_and(|t| t.contains("a line")))
    );

    let none = "0".repeat(32);
    for path in [
        format!("/system/logs/other/{id}"),
        format!("/system/logs/echo/{none}"),
        format!("/system/invocations/{none}/logs"),
        format!("/system/invocations/{none}/logs?follow=true"),
        "/system/logs/nobody".to_owned(),
    ] {
        assert_eq!(host.admin(Method::GET, &path, "").await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(code(&host.admin(Method::GET, "/system/invocations/xyz/logs", "").await), "bad_id");
}

#[tokio::test]
async fn invocations_are_forgotten_with_their_logs_and_what_runs_stays() {
    let host = TestHost::start();
    deploy(&host, "echo", "event-echo", json!({})).await;
    deploy(&host, "exit", "exit", json!({"args": ["3"], "retry": {"attempts": 1}})).await;
    let fields = json!({"args": ["20000"], "limits": {"concurrency": 1}});
    deploy(&host, "sleeper", "sleeper", fields).await;
    let job = async |name: &str| {
        let job = host.admin(Method::POST, &format!("/job/{name}"), "x").await.json();
        job["id"].as_str().expect("an id").to_owned()
    };
    let delete = async |path: String| host.admin(Method::DELETE, &path, "").await;
    let jobs = async |name: &str| {
        let jobs = host.admin(Method::GET, &format!("/system/logs/{name}"), "").await.json();
        jobs["jobs"].as_object().expect("a map").len()
    };

    let (one, two) = (job("echo").await, job("echo").await);
    ended(&host, &one).await;
    ended(&host, &two).await;
    assert_eq!(delete(format!("/system/logs/exit/{one}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(delete(format!("/system/logs/echo/{one}")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(delete(format!("/system/logs/echo/{one}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(jobs("echo").await, 1);
    assert_eq!(delete("/system/logs/echo".to_owned()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(jobs("echo").await, 0);

    ended(&host, &job("exit").await).await;
    assert_eq!(delete("/system/logs/exit".to_owned()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(jobs("exit").await, 1, "it failed");
    assert_eq!(delete("/system/logs/exit?all=true".to_owned()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(jobs("exit").await, 0);

    let runs = job("sleeper").await;
    until("it runs", Duration::from_secs(20), async || {
        let receipt = host.admin(Method::GET, &format!("/system/invocations/{runs}"), "").await.json();
        (receipt["state"] == "running").then_some(())
    })
    .await;
    job("sleeper").await;
    assert_eq!(code(&delete(format!("/system/logs/sleeper/{runs}")).await), "running");
    assert_eq!(delete("/system/logs/sleeper?all=true".to_owned()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(jobs("sleeper").await, 1, "what waits goes, what runs stays");
    assert_eq!(delete("/system/logs/nobody".to_owned()).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_follower_gets_every_line_once_over_all_attempts_and_is_let_go_at_the_end() {
    let host = TestHost::start();
    let fields = json!({"args": ["300"], "retry": {"attempts": 1}});
    deploy(&host, "sleeper", "sleeper", fields).await;
    let job = host.admin(Method::POST, "/job/sleeper", "x").await.json();
    let id = job["id"].as_str().expect("an id").to_owned();
    let followed = host.admin(Method::GET, &format!("/system/invocations/{id}/logs?follow=true"), "").await;
    let told = lines(&followed.text());
    assert_eq!(told.iter().filter(|line| line["text"] == "slept 300 ms").count(), 1, "{told:?}");

    let fields = json!({"args": ["4"], "retry": {"attempts": 2, "backoff": "300ms"}});
    deploy(&host, "exit", "exit", fields).await;
    let job = host.admin(Method::POST, "/job/exit", "x").await.json();
    let id = job["id"].as_str().expect("an id").to_owned();
    let followed = host.admin(Method::GET, &format!("/system/invocations/{id}/logs?follow=true"), "").await;
    let told = lines(&followed.text());
    let attempts: Vec<_> =
        told.iter().filter(|line| line["text"] == "on stderr").map(|line| &line["attempt"]).collect();
    assert_eq!(attempts, [1, 2]);
    let after = host.admin(Method::GET, &format!("/system/invocations/{id}/logs"), "").await;
    assert_eq!(lines(&after.text()), told);
}

#[tokio::test]
async fn a_log_over_its_limit_says_how_much_is_gone() {
    let host = TestHost::start();
    deploy(&host, "exit", "exit", json!({"args": ["0"], "limits": {"log": "12B"}})).await;
    let job = host.admin(Method::POST, "/job/exit", "x").await.json();
    let id = job["id"].as_str().expect("an id").to_owned();
    ended(&host, &id).await;
    let text = host.admin(Method::GET, &format!("/system/logs/exit/{id}"), "").await.text();
    assert!(text.contains("more bytes were over the service's `limits.log`"), "{text}");
}

#[tokio::test]
async fn buckets_are_made_listed_and_removed() {
    let host = TestHost::start();
    let make = async |body: Value| host.admin(Method::POST, "/system/buckets", body.to_string()).await;
    assert_eq!(make(json!({"bucket_name": "photos"})).await.status, StatusCode::CREATED);
    assert_eq!(code(&make(json!({"bucket_name": "photos"})).await), "bucket_exists");
    assert_eq!(code(&make(json!({"bucket_name": "NO"})).await), "bad_name");
    assert_eq!(code(&make(json!({"bucket_name": "other", "visibility": "public"})).await), "bad_visibility");
    let put = async |body: Value| host.admin(Method::PUT, "/system/buckets", body.to_string()).await;
    assert_eq!(
        put(json!({"bucket_name": "photos", "visibility": "private"})).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(code(&put(json!({"bucket_name": "nowhere"})).await), "unknown_bucket");
    let list = host.admin(Method::GET, "/system/buckets", "").await.json();
    assert_eq!(list, json!([{"bucket_name": "photos", "visibility": "private", "allowed_users": []}]));

    for key in ["a/1", "a/2", "b"] {
        host.put("photos", key, "bytes").await;
    }
    let page = host.admin(Method::GET, "/system/buckets/photos?limit=2", "").await.json();
    assert_eq!((&page["is_truncated"], &page["returned_items"]), (&json!(true), &json!(2)));
    assert_eq!(
        (&page["objects"][0]["object_name"], &page["objects"][0]["size_bytes"]),
        (&json!("a/1"), &json!(5))
    );
    let next = page["next_page"].as_str().expect("a next page");
    let rest =
        host.admin(Method::GET, &format!("/system/buckets/photos?limit=2&page={next}"), "").await.json();
    assert_eq!((&rest["objects"][0]["object_name"], &rest["is_truncated"]), (&json!("b"), &json!(false)));
    let only = host.admin(Method::GET, "/system/buckets/photos?prefix=a/", "").await.json();
    assert_eq!(only["returned_items"], 2);
    assert_eq!(code(&host.admin(Method::DELETE, "/system/buckets/photos", "").await), "bucket_not_empty");
    for key in ["a/1", "a/2", "b"] {
        host.buckets().delete_object().bucket("photos").key(key).send().await.expect("deleted");
    }
    assert_eq!(host.admin(Method::DELETE, "/system/buckets/photos", "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(code(&host.admin(Method::GET, "/system/buckets/photos", "").await), "unknown_bucket");
}

#[tokio::test]
async fn a_presigned_url_puts_or_gets_one_object_for_a_while() {
    let host = TestHost::start();
    host.wicket(&["bucket", "mb", "photos"]);
    let ask = async |body: Value| {
        host.admin(Method::POST, "/system/buckets/photos/presign", body.to_string()).await
    };
    let upload = json!({"object_key": "in/a b.jpg", "operation": "upload", "expires_in": 60,
        "content_type": "image/jpeg", "extra_headers": {"x-amz-meta-by": "ada"}});
    let answer = ask(upload).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let put = answer.json();
    assert_eq!((&put["method"], &put["operation"]), (&json!("PUT"), &json!("upload")));
    assert_eq!(put["headers"], json!({"content-type": "image/jpeg", "x-amz-meta-by": "ada"}));
    assert!(put["expires_at"].as_str().is_some_and(|time| time.starts_with("20")), "{put}");
    let url = put["url"].as_str().expect("a URL");
    let bare = host.send(Method::PUT, url, &[], "bytes".into()).await;
    assert_eq!(bare.status, StatusCode::FORBIDDEN, "the headers are signed");
    let headers = [("content-type", "image/jpeg"), ("x-amz-meta-by", "ada")];
    let stored = host.send(Method::PUT, url, &headers, "bytes".into()).await;
    assert_eq!(stored.status, StatusCode::OK, "{}", stored.text());

    let got = ask(json!({"object_key": "in/a b.jpg", "operation": "download"})).await.json();
    assert_eq!((&got["method"], &got["headers"]), (&json!("GET"), &json!({})));
    let got = host.get(got["url"].as_str().expect("a URL")).await;
    assert_eq!(
        (got.text().as_str(), &got.headers["content-type"]),
        ("bytes", &"image/jpeg".parse().unwrap())
    );

    let bad = async |more: Value| {
        let mut body = json!({"object_key": "a", "operation": "upload"});
        body.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        code(&ask(body).await)
    };
    assert_eq!(bad(json!({"expires_in": 604_801})).await, "bad_expiry");
    assert_eq!(bad(json!({"expires_in": 0})).await, "bad_expiry");
    assert_eq!(bad(json!({"object_key": ""})).await, "bad_name");
    assert_eq!(bad(json!({"operation": "delete"})).await, "bad_json");
    assert_eq!(bad(json!({"extra_headers": {"host": "evil.example"}})).await, "bad_header");
    let nowhere = json!({"object_key": "a", "operation": "download"}).to_string();
    let nowhere = host.admin(Method::POST, "/system/buckets/nowhere/presign", nowhere).await;
    assert_eq!(code(&nowhere), "unknown_bucket");
}
