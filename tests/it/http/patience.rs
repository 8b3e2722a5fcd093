//! Clients that take their time, and clients that go.

use std::time::{Duration, Instant};

use http::StatusCode;
use wicket_tests::{TestHost, failure, until};

use super::{SOON, host, service};

/// How long the host took to close a connection.
async fn closed(wire: &mut wicket_tests::Wire) -> Duration {
    let begun = Instant::now();
    wire.rest().await;
    begun.elapsed()
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_too_little_is_closed() {
    let host = host("header_timeout = \"1s\"");
    let patience = Duration::from_millis(900)..Duration::from_secs(10);
    // Nothing at all.
    let mut silent = host.connect().await;
    // Half a head.
    let mut half = host.connect().await;
    half.send("GET /health HTTP/1.1\r\nhost:").await;
    // One request, and then nothing.
    let mut idle = host.connect().await;
    idle.send("GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(idle.answer().await.expect("an answer").status, StatusCode::OK);
    let times = tokio::join!(closed(&mut silent), closed(&mut half), closed(&mut idle));
    for time in [times.0, times.1, times.2] {
        assert!(patience.contains(&time), "{time:?}");
    }
    // A byte now and then does not help.
    let mut trickle = host.connect().await;
    let begun = Instant::now();
    for byte in "GET /health HTTP/1.1\r\n".bytes().chain(std::iter::repeat(b'x')) {
        trickle.send([byte]).await;
        let open = tokio::time::timeout(Duration::from_millis(50), trickle.rest()).await;
        if open.is_ok() {
            break;
        }
    }
    assert!(patience.contains(&begun.elapsed()), "{:?}", begun.elapsed());
    // One request after the other is no idling.
    let mut busy = host.connect().await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        busy.send("GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(busy.answer().await.expect("an answer").status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_holds_nobody() {
    let host = host("body_timeout = \"1s\"");
    host.apply(&service("echo", "hostile-http", "    limits: { timeout: 1s }"));
    let token = host.admin_header();
    let post = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: {token}\r\ncontent-length: 5000\r\n\r\nhalf of"
        )
    };
    // What the API reads whole, what it hands over, and what a function reads.
    for (path, statuses) in [
        ("/job/echo", &[408][..]),
        ("/events", &[408]),
        ("/run/echo", &[408]),
        ("/system/explain", &[408]),
        ("/echo/slowly", &[504]),
    ] {
        let mut wire = host.connect().await;
        let begun = Instant::now();
        wire.send(post(path)).await;
        let answer = wire.answer().await.expect("an answer");
        assert!(statuses.contains(&answer.status.as_u16()), "{path}: {answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{path}: {:?}", begun.elapsed());
    }
    // A byte now and then does not help.
    let mut trickle = host.connect().await;
    trickle.send(post("/job/echo")).await;
    let begun = Instant::now();
    let answer = loop {
        trickle.send("x").await;
        if let Ok(answer) = tokio::time::timeout(Duration::from_millis(50), trickle.head()).await {
            break answer.expect("an answer");
        }
    };
    assert!(answer.status.is_client_error() && begun.elapsed() < Duration::from_secs(10), "{answer:?}");
    // A slow one that does come is taken.
    let mut slow = host.connect().await;
    slow.send(post("/job/echo")).await;
    let rest = "x".repeat(5000 - "half of".len());
    for piece in rest.as_bytes().chunks(1250) {
        tokio::time::sleep(Duration::from_millis(600)).await;
        slow.send(piece).await;
    }
    assert_eq!(slow.answer().await.expect("an answer").status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_left() {
    let host = host("write_timeout = \"1s\"");
    host.apply(&service("web", "hostile-http", "    limits: { concurrency: 1, output: 4GiB }"));
    let mut wire = host.connect().await;
    wire.send("GET /web/flood HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let id = wire.head().await.expect("it began to answer").invocation().to_owned();
    let receipt = host.receipt(&id).await;
    assert_eq!((failure(&receipt), &receipt["state"]), ("cancelled", &"failed".into()));
    assert!(receipt.to_string().contains("the client went away"), "{receipt}");
    // The place is free again.
    assert_eq!(host.get("/web/fine").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_goes_cancels_its_function_and_leaves_a_receipt() {
    let host = TestHost::start();
    host.apply(&service("web", "hostile-http", "    limits: { concurrency: 1 }"));
    // While the function thinks, while it answers, and while the client still sends.
    for (request, state) in [
        ("GET /web/sleep HTTP/1.1\r\nhost: a\r\n\r\n", "failed"),
        ("GET /web/flood HTTP/1.1\r\nhost: a\r\n\r\n", "failed"),
        // This one is told that its body broke off, and copes.
        ("POST /web/slowly HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nhalf", "succeeded"),
    ] {
        let before = host.receipts("web").await.len();
        let mut wire = host.connect().await;
        wire.send(request).await;
        until("it runs", SOON, async || running(&host).await.then_some(())).await;
        drop(wire);
        let receipt = until("a receipt", SOON, async || {
            let mut receipts = host.receipts("web").await;
            (receipts.len() > before).then(|| receipts.remove(0))
        })
        .await;
        assert_eq!(receipt["state"], state, "{request}: {receipt}");
        until("the function has gone", SOON, async || (!running(&host).await).then_some(())).await;
        assert_eq!(host.get("/web/fine").await.status, StatusCode::OK);
        until("its receipt", SOON, async || (host.receipts("web").await.len() == before + 2).then_some(()))
            .await;
    }
}

/// Whether an instance lives.
async fn running(host: &TestHost) -> bool {
    let stats = host.admin(http::Method::GET, "/system/stats", "").await;
    stats.json()["instances"] != 0
}
