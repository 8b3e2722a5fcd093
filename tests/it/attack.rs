//! What somebody tries who has a token, a page on another site, or patience, and does not get.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wicket_tests::{TestHost, until};

use crate::api::{basic, bearer, code, deploy, ended, upload};

const SOON: Duration = Duration::from_secs(60);

/// A CloudEvent of this id, from this source.
async fn event(host: &TestHost, source: &str, id: &str, kind: &str) -> Value {
    let admin = basic(&host.password());
    let headers = [("authorization", admin.as_str()), ("content-type", "application/cloudevents+json")];
    let body = json!({"specversion": "1.0", "id": id, "source": source, "type": kind}).to_string();
    let answer = host.send(Method::POST, "/events", &headers, body.into()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    answer.json()
}

/// A webhook about one object.
fn told(bucket: &str, key: &str) -> String {
    let object = json!({"bucket": {"name": bucket}, "object": {"key": key}});
    json!({"Records": [{"eventName": "s3:ObjectCreated:Put", "s3": object}]}).to_string()
}

#[tokio::test]
async fn events_of_one_id_from_two_sources_both_reach_the_second_stage() {
    let host = TestHost::start();
    // Both write the same key: ids are unique within their source only, and so is what follows from them.
    let first = json!({"args": ["0"], "events": [{"type": "reading"}], "output": [{"path": "numbers/new"}]});
    deploy(&host, "first", "exit", first).await;
    deploy(&host, "second", "event-echo", json!({"input": [{"path": "numbers/new"}]})).await;
    for source in ["/sensors/1", "/sensors/2", "/sensors/1"] {
        let accepted = event(&host, source, "1", "reading").await;
        let id = accepted["events"][0]["started"][0]["id"].as_str().expect("an id").to_owned();
        assert_eq!(ended(&host, &id).await["state"], "succeeded");
    }
    until("the second stage has run twice", SOON, async || {
        let all = host.receipts("second").await;
        (all.len() == 2 && all.iter().all(|one| one["state"] == "succeeded")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_event_to_two_services_with_one_output_folder_reaches_the_next_stage_twice() {
    let host = TestHost::start();
    for name in ["left", "right"] {
        let both =
            json!({"args": ["0"], "events": [{"type": "reading"}], "output": [{"path": "numbers/new"}]});
        deploy(&host, name, "exit", both).await;
    }
    deploy(&host, "next", "event-echo", json!({"input": [{"path": "numbers/new"}]})).await;
    event(&host, "/sensors/1", "1", "reading").await;
    until("the next stage has run twice", SOON, async || {
        let all = host.receipts("next").await;
        (all.len() == 2 && all.iter().all(|one| one["state"] == "succeeded")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_service_deployed_while_an_attempt_runs_sees_what_it_makes() {
    let host = TestHost::start();
    let slow =
        json!({"args": ["3000"], "input": [{"path": "photos/in"}], "output": [{"path": "photos/out"}]});
    deploy(&host, "slow", "sleeper", slow).await;
    host.put("photos", "in/a.txt", "bytes").await;
    until("the attempt runs", SOON, async || {
        host.receipts("slow").await.first().filter(|one| one["state"] == "running").map(drop)
    })
    .await;
    deploy(&host, "late", "event-echo", json!({"input": [{"path": "photos/out"}]})).await;
    assert_eq!(host.receipts("slow").await[0]["state"], "running", "the story needs a slower attempt");
    until("the late one has run", SOON, async || {
        host.receipts("late").await.first().filter(|one| one["state"] == "succeeded").map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_token_reads_no_bucket_through_a_made_up_webhook() {
    let host = TestHost::start();
    let loot = json!({"output": [{"path": "loot/all"}], "grants": {"read_buckets": ["public"]}});
    let token = deploy(&host, "courier", "event-echo", loot).await;
    for bucket in ["vault", "public"] {
        host.wicket(&["bucket", "mb", bucket]);
        host.put(bucket, "key.txt", format!("of {bucket}")).await;
    }
    let refused = bearer(&host, Method::POST, "/job/courier", &token, &[], told("vault", "key.txt")).await;
    assert_eq!((refused.status, code(&refused).as_str()), (StatusCode::FORBIDDEN, "bucket_not_granted"));
    let granted = bearer(&host, Method::POST, "/job/courier", &token, &[], told("public", "key.txt")).await;
    assert_eq!(granted.status, StatusCode::CREATED, "{}", granted.text());
    ended(&host, granted.json()["id"].as_str().expect("an id")).await;
    assert_eq!(host.object("loot", "all/key.txt").await.expect("an output"), "of public");
    // The admin may read everything in any case.
    let admin = host.admin(Method::POST, "/job/courier", told("vault", "key.txt")).await;
    ended(&host, admin.json()["id"].as_str().expect("an id")).await;
    assert_eq!(host.object("loot", "all/key.txt").await.expect("an output"), "of vault");
}

#[tokio::test]
async fn a_token_names_only_objects_that_the_service_may_read_in_any_case() {
    let host = TestHost::start();
    let fields = json!({
        "events": [{"type": "dev.wicketgate.object.*"}],
        "input": [{"path": "photos/in", "suffix": [".txt"]}],
        "grants": {"read_buckets": ["public"]},
    });
    let token = deploy(&host, "courier", "event-echo", fields).await;
    for (bucket, key) in [("vault", "key.txt"), ("public", "key.txt"), ("photos", "in/key.txt")] {
        if bucket != "photos" {
            host.wicket(&["bucket", "mb", bucket]);
        }
        host.put(bucket, key, format!("of {bucket}")).await;
    }
    let path = "/events?storage_provider=minio.default";
    let send = async |bucket: &str, key: &str| {
        bearer(&host, Method::POST, path, &token, &[], told(bucket, key)).await
    };
    for (bucket, key) in [("vault", "key.txt"), ("photos", "private/key.txt"), ("photos", "in/key.jpg")] {
        let refused = send(bucket, key).await;
        assert_eq!((refused.status, code(&refused).as_str()), (StatusCode::FORBIDDEN, "bucket_not_granted"));
        assert!(refused.text().contains(&format!("`{key}` of bucket `{bucket}`")), "{}", refused.text());
    }
    // At the other door too: the service listens to this bucket, and its filter takes any object.
    let refused = bearer(&host, Method::POST, "/job/courier", &token, &[], told("photos", "private/a")).await;
    assert_eq!((refused.status, code(&refused).as_str()), (StatusCode::FORBIDDEN, "bucket_not_granted"));
    for (bucket, key) in [("public", "key.txt"), ("photos", "in/key.txt")] {
        let taken = send(bucket, key).await;
        assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.text());
        let id = taken.json()["events"][0]["started"][0]["id"].as_str().expect("an id").to_owned();
        assert_eq!(ended(&host, &id).await["state"], "succeeded");
    }
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_with_the_admins_password() {
    let host = TestHost::start();
    deploy(&host, "hello", "hello", json!({})).await;
    let admin = basic(&host.password());
    // To a host on a local network, by plain HTTP, a browser sends `origin` and no `sec-fetch-site`.
    for (origin, status) in [
        ("http://evil.example", StatusCode::FORBIDDEN),
        ("null", StatusCode::FORBIDDEN),
        (host.http.as_str(), StatusCode::CONFLICT),
    ] {
        let headers = [("authorization", admin.as_str()), ("origin", origin), ("content-type", "text/plain")];
        let path = "/system/services/hello/rollback";
        let answer = host.send(Method::POST, path, &headers, bytes::Bytes::new()).await;
        assert_eq!(answer.status, status, "{origin}: {}", answer.text());
    }
}

#[tokio::test]
async fn no_browser_asks_for_the_admins_password_and_keeps_it_for_the_pages_of_functions() {
    let host = TestHost::start();
    for (name, value, asked) in [
        ("accept-language", "en-US,en;q=0.5", "Bearer"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Bearer"),
        ("user-agent", "Wget/1.24.5", "Basic"),
    ] {
        let headers = [(name, value)];
        let answer = host.send(Method::GET, "/system/services", &headers, bytes::Bytes::new()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text());
        let challenge = answer.headers["www-authenticate"].to_str().expect("text");
        assert!(challenge.starts_with(asked), "{value}: {challenge}");
    }
}

#[tokio::test]
async fn the_admins_password_reaches_no_function() {
    let host = TestHost::start();
    deploy(&host, "echo", "echo-http", json!({"http": {"path": "/echo"}})).await;
    let seen = async |authorization: &str| {
        let headers = [("authorization", authorization)];
        let answer = host.send(Method::POST, "/echo", &headers, bytes::Bytes::new()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.headers.get("x-authorization").map(|value| value.to_str().expect("text").to_owned())
    };
    assert_eq!(seen(&basic(&host.password())).await, None);
    // Whoever a function knows by other means is its own business.
    let other = basic("of the function's own users");
    assert_eq!(seen(&other).await.as_deref(), Some(other.as_str()));
    assert_eq!(seen("Bearer own").await.as_deref(), Some("Bearer own"));
}

#[tokio::test]
async fn what_may_be_base64_is_held_no_longer_than_the_service_takes_it() {
    let host = TestHost::start();
    let token = deploy(&host, "tiny", "echo", json!({"limits": {"body": "1Ki"}})).await;
    let mut wire = host.connect().await;
    wire.send(format!(
        "POST /run/tiny HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n4000\r\n{}\r\n",
        "A".repeat(0x4000)
    ))
    .await;
    // The body does not end, and the answer does not wait for that.
    let answer = wire.answer().await.expect("an answer");
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text());
}

#[tokio::test]
async fn outputs_that_cannot_all_be_delivered_leave_nothing_on_the_disk() {
    let host = TestHost::start();
    let keys = json!({"endpoint": "http://127.0.0.1:1", "access_key": "a", "secret_key": "s", "region": "r"});
    let copy = json!({
        "input": [{"path": "photos/in"}],
        "output": [{"path": "photos/out"}, {"storage_provider": "s3.gone", "path": "other/out"}],
        "storage_providers": {"s3": {"gone": keys}}, "retry": {"attempts": 2, "backoff": "10ms"},
    });
    deploy(&host, "copy", "event-echo", copy).await;
    host.put("photos", "in/large.bin", vec![7; 2 << 20]).await;
    until("the copy is given up", SOON, async || {
        host.receipts("copy").await.first().filter(|one| one["state"] == "failed").map(drop)
    })
    .await;
    assert_eq!(host.object("photos", "out/large.bin").await, None);
    let files = || {
        let shards = std::fs::read_dir(host.data().join("objects")).expect("a folder").flatten();
        shards.map(|shard| std::fs::read_dir(shard.path()).expect("a folder").count()).sum::<usize>()
    };
    until("only the input's file is left", SOON, async || (files() == 1).then_some(())).await;
}

/// A module of so many functions, with a start of its own: small to send, and long to compile.
fn compile_bomb(functions: u32) -> Vec<u8> {
    fn number(mut n: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let low = (n & 0x7f) as u8;
            n >>= 7;
            if n == 0 {
                bytes.push(low);
                return bytes;
            }
            bytes.push(low | 0x80);
        }
    }
    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len()).expect("a small module");
        [&[id][..], &number(size), content].concat()
    }
    let n = number(functions);
    let kinds = [&n[..], &vec![0; functions as usize]].concat();
    let bodies = [&n[..], &[2, 0, 0x0b].repeat(functions as usize)].concat();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, b"\x01\x60\0\0"),
        section(3, &kinds),
        section(7, b"\x01\x06_start\0\0"),
        section(10, &bodies),
    ]
    .concat()
}

#[tokio::test]
async fn a_compile_that_takes_long_holds_up_no_rollback_and_no_removal() {
    let host = TestHost::start();
    deploy(&host, "hello", "hello", json!({})).await;
    let service = |name: &str, digest: &str| json!({"name": name, "wasm": digest}).to_string();
    let other = upload(&host, "echo").await;
    let put = host.admin(Method::PUT, "/system/services", service("hello", &other)).await;
    assert_eq!(put.status, StatusCode::NO_CONTENT, "{}", put.text());

    let bomb = compile_bomb(400_000);
    let digest: String = Sha256::digest(&bomb).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(host.admin(Method::PUT, &format!("/system/modules/{digest}"), bomb).await.status.is_success());
    let compiling = host.admin(Method::POST, "/system/services", service("bomb", &digest));
    let meanwhile = async {
        // A child belongs to the thread that started it.
        let has_child = |thread: std::io::Result<std::fs::DirEntry>| {
            let children = std::fs::read_to_string(thread.ok()?.path().join("children")).ok()?;
            (!children.trim().is_empty()).then_some(())
        };
        until("the compiler runs", SOON, async || {
            std::fs::read_dir(format!("/proc/{}/task", host.pid())).ok()?.find_map(has_child)
        })
        .await;
        let back = host.admin(Method::POST, "/system/services/hello/rollback", "").await;
        assert_eq!(back.status, StatusCode::OK, "{}", back.text());
        let gone = host.admin(Method::DELETE, "/system/services/hello", "").await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text());
    };
    tokio::select! {
        biased;
        compiled = compiling => panic!("the story needs a longer compile: {}", compiled.text()),
        () = meanwhile => {}
    }
}
