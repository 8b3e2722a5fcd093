//! Requests as no well-behaved client writes them.

use http::StatusCode;
use wicket_tests::TestHost;

use super::{host, service};

/// The status of every answer on a connection that the host has closed.
fn statuses(said: &str) -> Vec<u16> {
    said.lines()
        .filter_map(|line| {
            line.rsplit_once("HTTP/1.").or(line.split_once("HTTP/1."))?.1.split(' ').nth(1)?.parse().ok()
        })
        .collect()
}

fn echo() -> TestHost {
    let host = TestHost::start();
    host.apply(&service("echo", "echo-http", ""));
    host
}

#[tokio::test]
async fn old_and_odd_clients_are_answered() {
    let host = echo();
    // Without a keep-alive, an old client is left after one answer.
    let said = host.exchange("GET /echo/old HTTP/1.0\r\n\r\n").await;
    assert_eq!(statuses(&said), [200], "{said}");
    assert!(said.contains("x-path: /echo/old"), "{said}");
    let mut wire = host.connect().await;
    for _ in 0..2 {
        wire.send("GET /health HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
        assert_eq!(wire.answer().await.expect("an answer").status, StatusCode::OK);
    }
    // The whole URI, as a proxy's client writes it.
    let said = host
        .exchange("GET http://x.org/echo/whole?a HTTP/1.1\r\nhost: y.org\r\nconnection: close\r\n\r\n")
        .await;
    assert!(statuses(&said) == [200] && said.contains("x-path: /echo/whole?a"), "{said}");
    let said = host.exchange("OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!(statuses(&said), [204], "{said}");
    // Line ends of before a request, as old browsers send them.
    let said = host.exchange("\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!(statuses(&said), [200], "{said}");
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let host = echo();
    let one = |n: usize| format!("POST /echo/{n} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{n:02}");
    let mut wire = host.connect().await;
    wire.send((0..50).map(one).collect::<String>()).await;
    for n in 0..50 {
        let answer = wire.answer().await.expect("an answer");
        assert_eq!(answer.headers["x-path"], format!("/echo/{n}"));
        assert_eq!(answer.text(), format!("{n:02}"));
    }
    wire.send(one(50).replace("host: x", "host: x\r\nconnection: close") + &one(51)).await;
    assert_eq!(
        statuses(&String::from_utf8_lossy(&wire.rest().await)),
        [200],
        "after a close nothing is answered"
    );
}

#[tokio::test]
async fn what_could_mean_two_things_is_refused() {
    let host = echo();
    for (head, status) in [
        ("GET /echo/a HTTP/1.1\r\n", 400),
        ("GET /echo/a HTTP/1.1\r\nhost: a\r\nhost: b\r\n", 400),
        ("GET /echo/a HTTP/1.1\r\nhost: a\r\nhost: a\r\n", 400),
        ("GET /echo/a HTTP/1.1\r\nhost: a b\r\n", 400),
        ("GET /echo/a HTTP/1.1\r\nhost: user@a\r\n", 400),
        ("GET http://user@a/echo/a HTTP/1.1\r\nhost: a\r\n", 400),
        ("GET echo HTTP/1.1\r\nhost: a\r\n", 400),
        ("CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n", 400),
        ("GET /echo/a HTTP/1.1\r\nhost : a\r\n", 400),
        ("GET /echo/a HTTP/1.1\r\nhost: a\r\n folded: b\r\n", 400),
        ("GET /echo/a HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n", 400),
        ("GET /echo/a b HTTP/1.1\r\nhost: a\r\n", 400),
        ("GET /echo/a HTTP/3.1\r\nhost: a\r\n", 400),
        ("G@T /echo/a HTTP/1.1\r\nhost: a\r\n", 400),
        ("POST /echo/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n", 400),
        ("POST /echo/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1, 1\r\n", 400),
        ("POST /echo/a HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n", 400),
        ("POST /echo/a HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n", 400),
        ("POST /echo/a HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n", 400),
        ("POST /echo/a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n", 400),
        ("POST /echo/a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n", 400),
        ("POST /echo/a HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n", 400),
        ("\u{1}\u{2}\u{3} nothing like HTTP\r\n", 400),
    ] {
        let said = host.exchange(format!("{head}connection: close\r\n\r\n")).await;
        assert_eq!(statuses(&said), [status], "{head:?}: {said}");
    }
    // HTTP/2 is not spoken here.
    let said = host.exchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(statuses(&said).iter().all(|status| *status >= 400), "{said}");
    // Bytes of TLS.
    let said = host.exchange(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    assert!(statuses(&said).iter().all(|status| *status >= 400), "{said}");
    assert!(host.receipts("echo").await.is_empty(), "nothing of it reached a function");
}

#[tokio::test]
async fn no_request_is_smuggled_behind_another() {
    let host = echo();
    let hidden = "GET /echo/hidden HTTP/1.1\r\nhost: a\r\n\r\n";
    // Both lengths: the chunks count, and the connection ends, so that nobody can differ about where the next begins.
    for lengths in [
        "content-length: 100\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 100\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\ncontent-length: 6\r\n",
    ] {
        let said = host
            .exchange(format!("POST /echo/both HTTP/1.1\r\nhost: a\r\n{lengths}\r\n0\r\n\r\n{hidden}"))
            .await;
        assert_eq!(statuses(&said).len(), 1, "{lengths}: {said}");
        assert!(!said.contains("hidden"), "{said}");
    }
    // The body that a function did not read is not the next request.
    let unread =
        format!("POST /nothing HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len());
    let said =
        host.exchange(format!("{unread}GET /nothing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
    assert!(!said.contains("x-path"), "{said}");
    // Chunks that are none.
    for chunks in [
        "5\r\nabcd\r\n0\r\n\r\n",
        "zz\r\nab\r\n0\r\n\r\n",
        "-1\r\nab\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nab\r\n",
        "2\nab\n0\n\n",
        "2;a\nb\r\nab\r\n0\r\n\r\n",
    ] {
        let request =
            format!("POST /echo/c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}{hidden}");
        assert!(!host.exchange(request).await.contains("hidden"), "{chunks:?}");
    }
    let unread = |receipt: &serde_json::Value| {
        receipt["subject"].as_str().is_some_and(|subject| subject.contains("hidden"))
    };
    assert!(!host.receipts("echo").await.iter().any(unread));
}

#[tokio::test]
async fn a_head_has_limits() {
    let host = host("header_timeout = \"20s\"");
    host.apply(&service("echo", "echo-http", ""));
    let head = |more: &str| format!("GET /echo/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{more}\r\n");
    let large = |size: usize| format!("x: {}\r\n", "v".repeat(size));
    assert_eq!(statuses(&host.exchange(head(&large(30_000))).await), [200]);
    assert_eq!(statuses(&host.exchange(head(&large(40_000))).await), [431]);
    assert_eq!(statuses(&host.exchange(head(&large(1 << 20))).await), [431]);
    assert_eq!(statuses(&host.exchange(head(&"x: y\r\n".repeat(90))).await), [200]);
    assert_eq!(statuses(&host.exchange(head(&"x: y\r\n".repeat(200))).await), [431]);
    let long = |size: usize| {
        format!("GET /echo/{} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "p".repeat(size))
    };
    assert_eq!(statuses(&host.exchange(long(20_000)).await), [200]);
    assert_eq!(statuses(&host.exchange(long(100_000)).await), [431]);
    // A head without an end is not waited for.
    assert_eq!(statuses(&host.exchange("GET /".to_owned() + &"a".repeat(1 << 20)).await), [431]);
    assert_eq!(host.get("/health").await.status, StatusCode::OK);
}

#[tokio::test]
async fn who_asks_before_he_sends_is_told() {
    let host = echo();
    host.apply(&service("small", "echo-http", "    limits: { body: 10 }"));
    let ask = |path: &str, size: usize| {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {size}\r\n\r\n")
    };
    let mut wire = host.connect().await;
    wire.send(ask("/echo/a", 5)).await;
    assert_eq!(wire.answer().await.expect("an answer").status, StatusCode::CONTINUE);
    wire.send("hello").await;
    assert_eq!(wire.answer().await.expect("an answer").text(), "hello");
    // Refused before a byte of it is sent.
    for (path, status) in [("/small/a", 413), ("/nothing", 404), ("/job/echo", 401)] {
        let mut wire = host.connect().await;
        wire.send(ask(path, 11)).await;
        assert_eq!(wire.answer().await.expect("an answer").status, status, "{path}");
    }
}
