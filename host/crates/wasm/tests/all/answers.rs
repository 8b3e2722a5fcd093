//! Answers and requests that would confuse whoever stands before or behind this host.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wicket_config::Span;
use wicket_core::{Failure, Limit};

use crate::guests;
use crate::kit::{Kit, limit};

/// Appends a header to `$f`; whether it was refused stands at 64.
fn append(name: &str, value: &str) -> (String, String) {
    let data = format!(r#"(data (i32.const 1024) "{name}") (data (i32.const 1100) "{value}")"#);
    let (name, value) = (name.len(), value.len());
    let code = format!(
        "(call $append (local.get $f) (i32.const 1024) (i32.const {name}) (i32.const 1100) (i32.const {value})
            (i32.const 64))"
    );
    (data, code)
}

/// Answers 200 with a header, and runs `then` with the body's stream in `$s`.
fn with_header(name: &str, value: &str, then: &str) -> Vec<u8> {
    let (data, code) = append(name, value);
    guests::http(
        &data,
        &format!(
            "(local $f i32) (local $r i32) (local $s i32)
            (local.set $f (call $fields)) {code}
            (local.set $r (call $response (local.get $f)))
            (call $body (local.get $r) (i32.const 16))
            (global.set $said (i32.load (i32.const 20)))
            (call $set (local.get $out) (i32.const 0) (local.get $r) (i32.const 0) (i64.const 0) (i32.const 0)
              (i32.const 0) (i32.const 0) (i32.const 0))
            (call $write (global.get $said) (i32.const 16))
            (local.set $s (i32.load (i32.const 20))) {then}"
        ),
    )
}

#[tokio::test]
async fn headers_that_belong_to_the_connection_are_not_the_guests() {
    let kit = Kit::start();
    for name in ["transfer-encoding", "Connection", "upgrade", "keep-alive", "host", "proxy-connection"] {
        let (data, code) = append(name, "chunked");
        let tries = format!(
            "(local $f i32) (local.set $f (call $fields)) {code}
            (call $done (call $answer (local.get $out) (i32.add (i32.const 200) (i32.load8_u (i32.const 64)))))"
        );
        assert_eq!(kit.get(&kit.deploy(guests::http(&data, &tries)).await).await.0.unwrap().0, 201, "{name}");
    }
}

#[tokio::test]
async fn an_answer_has_the_length_that_it_announces() {
    let kit = Kit::start();
    let say = "(call $flush (local.get $s) (i32.const 1100) (i32.const 5) (i32.const 64))";
    let wait = "(call $block (call $after (i64.const 1000000)))";
    for (announced, then, fits) in [
        ("00005", format!("{say} (call $done (local.get $s))"), true),
        ("00005", format!("{say} {wait} (call $done (local.get $s))"), true),
        ("00010", format!("{say} {wait} {say} {wait} (call $done (local.get $s))"), true),
        // Too little, in one piece and streamed, finished and left.
        ("00009", format!("{say} (call $done (local.get $s))"), false),
        ("00009", format!("{say} {wait} (call $done (local.get $s))"), false),
        ("00009", say.to_owned(), false),
        ("00009", format!("{say} {wait}"), false),
        // Too much.
        ("00004", format!("{say} (call $done (local.get $s))"), false),
        ("00004", format!("{say} {wait} (call $done (local.get $s))"), false),
        ("00007", format!("{say} {wait} {say}"), false),
    ] {
        let guest = kit.deploy(with_header("content-length", announced, &then)).await;
        let (answer, report) = kit.get(&guest).await;
        assert_eq!(answer.is_ok(), fits, "{announced} {then}: {answer:?}");
        assert_eq!(report.result.is_ok(), fits, "{announced} {then}: {report:?}");
    }
    // An answer to HEAD announces what it does not send.
    let head = kit.deploy(with_header("content-length", "12345", "")).await;
    let (answer, report, _) = kit.request(&head, |request| *request.method_mut() = http::Method::HEAD).await;
    let answer = answer.unwrap();
    assert_eq!(answer.headers()["content-length"], "12345");
    assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
    assert!(report.await.unwrap().result.is_ok());
}

#[tokio::test]
async fn a_status_that_ends_no_request_is_a_failure() {
    let kit = Kit::start();
    for (code, wait) in [(100, ""), (101, ""), (103, "(call $block (call $after (i64.const 1000000)))")] {
        let odd = format!(
            "(local $s i32) (local.set $s (call $answer (local.get $out) (i32.const {code}))) {wait}"
        );
        let (answer, report) = kit.get(&kit.deploy(guests::http("", &odd)).await).await;
        assert!(answer.unwrap_err().contains("ends no request"), "{code}");
        assert!(matches!(report.result, Err(Failure::Function { .. })), "{report:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_dropped_before_its_end_is_a_broken_answer() {
    let kit = Kit::start();
    let say = "(call $flush (local.get $s) (i32.const 1100) (i32.const 5) (i32.const 64))";
    let wait = "(call $block (call $after (i64.const 1000000)))";
    for wait in ["", wait] {
        let then =
            format!("{say} {wait} (call $drop_stream (local.get $s)) (call $drop_body (global.get $said))");
        let (answer, report) = kit.get(&kit.deploy(with_header("x-a", "b", &then)).await).await;
        assert!(answer.unwrap_err().contains("did not finish the body"));
        assert!(matches!(report.result, Err(Failure::Function { .. })), "{report:?}");
    }
}

#[tokio::test]
async fn a_request_body_that_never_comes_ends_at_the_time_limit() {
    let kit = Kit::start();
    let reads = guests::http(
        "",
        "(call $consume (local.get $request) (i32.const 16))
        (call $stream (i32.load (i32.const 20)) (i32.const 16))
        (loop $l (call $read (i32.load (i32.const 20)) (i64.const -1) (i32.const 32)) (br $l))",
    );
    let reads =
        kit.deploy_with(reads, |service| service.limits.timeout = Span(Duration::from_millis(300))).await;
    let began = Instant::now();
    let parts = futures::stream::iter([Ok(http_body::Frame::data(Bytes::from_static(b"part")))]);
    let stuck = http_body_util::StreamBody::new(parts.chain(futures::stream::pending()));
    let (answer, report, _) = kit.call(&reads, stuck.boxed_unsync()).await;
    assert!(answer.is_err());
    assert_eq!(limit(&report.await.unwrap()), Limit::Timeout);
    assert!(began.elapsed() < Duration::from_secs(3));
    kit.empty().await;
}

#[tokio::test]
async fn odd_calls_harm_only_the_guest_that_makes_them() {
    let kit = Kit::start();
    let http = |code: &str| guests::http(r#"(data (i32.const 1024) "x")"#, code);
    let odd = [
        http("(call $block (call $after (i64.const -1)))"),
        http("(call $random (i64.const -1) (i32.const 16))"),
        http("(call $random (i64.const 0) (i32.const 16))"),
        // Handles that are none, or no longer, or not of this kind.
        http("(call $block (i32.const 77))"),
        http("(call $drop_stream (local.get $out))"),
        http("(local $s i32) (local.set $s (call $answer (local.get $out) (i32.const 200)))
            (call $drop_stream (local.get $s)) (call $drop_stream (local.get $s))"),
        http("(call $done (call $answer (local.get $out) (i32.const 200))) (call $done (i32.const 3))"),
        http("(drop (call $answer (local.get $out) (i32.const 200))) (drop (call $answer (local.get $out) (i32.const 200)))"),
        // A parent before its child.
        http("(drop (call $answer (local.get $out) (i32.const 200))) (call $drop_body (global.get $said))"),
        http("(drop (call $answer (local.get $out) (i32.const 70000)))"),
        // Addresses and lengths outside of memory, and of nothing.
        http("(call $flush (call $stderr) (i32.const -1) (i32.const -1) (i32.const 64))"),
        http("(call $flush (call $stderr) (i32.const 0) (i32.const 131072) (i32.const 131064))"),
        http("(call $flush (call $stderr) (i32.const 0) (i32.const 0) (i32.const 64))"),
        http("(call $append (call $fields) (i32.const 1024) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))"),
        http("(call $append (call $fields) (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 65536) (i32.const 64))"),
        http("(drop (call $set_authority (call $outgoing (call $fields)) (i32.const 1) (i32.const 0) (i32.const 100000)))"),
        http("(drop (call $set_path (call $outgoing (call $fields)) (i32.const 1) (i32.const 1024) (i32.const 1)))"),
        // A request without authority.
        http("(call $send (call $outgoing (call $fields)) (i32.const 0) (i32.const 0) (i32.const 128))"),
        guests::preview1("", "(drop (call $poll (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 8)))"),
        guests::preview1("", "(drop (call $poll (i32.const 0) (i32.const 65536) (i32.const 1300) (i32.const 8)))"),
        guests::preview1("", "(drop (call $poll (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8)))"),
        guests::preview1("", "(call $put (i32.const 99) (i32.const 0) (i32.const 1))"),
        guests::preview1("", "(call $put (i32.const 1) (i32.const -1) (i32.const -1))"),
        guests::preview1("", "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 8)))"),
        guests::preview1("", "(drop (call $take (i32.const 0) (i32.const 0) (i32.const -1)))"),
        guests::preview1("", "(drop (call $random (i32.const 0) (i32.const -1)))"),
        guests::preview1("", "(drop (call $fd_close (i32.const 3))) (drop (call $fd_close (i32.const 3)))"),
        guests::preview1("", "(call $exit (i32.const -1))"),
        guests::preview1("", "(drop (call $mkdir (i32.const 4) (i32.const 0) (i32.const -1)))"),
        guests::event("", "(call $read (i32.const 9) (i32.const -1) (i32.const 32)) (i32.const 512)"),
        guests::event("", "(call $finish (i32.const 9) (i32.const 32)) (i32.const 512)"),
        guests::event("", "(drop (call $output (i32.const 0) (i32.const 70000) (i32.const 0) (i32.const 0) (i32.const 0))) (i32.const 512)"),
        guests::event(
            "",
            "(local $o i32) (local.set $o (call $output (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
            (call $write (local.get $o) (i32.const 0) (i32.const 0) (i32.const 64))
            (call $finish (local.get $o) (i32.const 64)) (call $finish (local.get $o) (i32.const 64))
            (call $write (local.get $o) (i32.const 0) (i32.const 9) (i32.const 64)) (i32.const 512)",
        ),
        // A result outside of memory.
        guests::event("", "(i32.const -4)"),
        guests::event("", "(i32.store8 (i32.const 512) (i32.const 77)) (i32.const 512)"),
        guests::event("", "(i32.store (i32.const 520) (i32.const -1)) (i32.const 512)"),
    ];
    for (number, odd) in odd.into_iter().enumerate() {
        let odd =
            kit.deploy_with(odd, |service| service.limits.timeout = Span(Duration::from_millis(300))).await;
        let run = kit.run(&odd).await;
        if let Err(Failure::Host { message }) = &run.report.result {
            panic!("{number}: {message}");
        }
    }
    let works = kit.deploy(guests::hello()).await;
    assert_eq!(kit.get(&works).await.0.unwrap().0, 200);
    kit.empty().await;
}

/// What a client on a socket gets of an answer, until the host closes the connection or says that all was said.
async fn on_the_wire(kit: &Kit, guest: Vec<u8>) -> String {
    let guest = kit.deploy(guest).await;
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let service = hyper::service::service_fn(async |request: http::Request<hyper::body::Incoming>| {
        let body = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let (answer, ..) = kit.request(&guest, |request| *request = body).await;
        answer
    });
    let serve = async {
        let http = hyper::server::conn::http1::Builder::new();
        http.serve_connection(hyper_util::rt::TokioIo::new(server), service).await
    };
    let ask = async {
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        String::from_utf8_lossy(&said).into_owned()
    };
    let (_, said) = tokio::join!(serve, ask);
    said
}

#[tokio::test]
async fn a_client_can_tell_an_answer_that_broke_off_from_one_that_is_complete() {
    let kit = Kit::start();
    let say = "(call $flush (local.get $s) (i32.const 1100) (i32.const 5) (i32.const 64))
        (call $block (call $after (i64.const 300000000)))";
    let chunked = |end: &str| with_header("x-a", "value", &format!("{say} {end}"));
    let whole = on_the_wire(&kit, chunked("(call $done (local.get $s))")).await;
    assert!(
        whole.contains("transfer-encoding: chunked") && whole.ends_with("5\r\nvalue\r\n0\r\n\r\n"),
        "{whole}"
    );
    let broken = on_the_wire(&kit, chunked("(unreachable)")).await;
    assert!(broken.ends_with("5\r\nvalue\r\n"), "{broken}");
    let broken =
        on_the_wire(&kit, chunked("(call $drop_stream (local.get $s)) (call $drop_body (global.get $said))"))
            .await;
    assert!(broken.ends_with("5\r\nvalue\r\n"), "{broken}");
    let short =
        on_the_wire(&kit, with_header("content-length", "00019", &format!("{say} (unreachable)"))).await;
    assert!(short.contains("content-length: 19\r\n") && short.ends_with("\r\n\r\n00019"), "{short}");
}
