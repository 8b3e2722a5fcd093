//! The host is told to stop.

use std::time::{Duration, Instant};

use http::StatusCode;
use rustix::process::Signal;
use tokio::net::TcpStream;
use wicket_tests::{Setup, TestHost, failure, until};

use super::{SOON, service};

/// A host with a service that answers when its request's body is whole, and one request whose body is not.
async fn busy(deadline: &str) -> (TestHost, wicket_tests::Wire) {
    let config = format!("[drain]\ndeadline = \"{deadline}\"\n[http]\nheader_timeout = \"10m\"");
    let host = TestHost::with(Setup { config, ..Setup::default() });
    host.apply(&service("web", "hostile-http", "    limits: { timeout: 10m }"));
    let mut wire = host.connect().await;
    wire.send("POST /web/slowly HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nhalf").await;
    until("it runs", SOON, async || {
        let stats = host.admin(http::Method::GET, "/system/stats", "").await;
        (stats.json()["instances"] == 1).then_some(())
    })
    .await;
    (host, wire)
}

async fn draining(host: &TestHost) {
    host.signal(Signal::TERM);
    let address = host.http.trim_start_matches("http://").to_owned();
    until("nobody is let in", SOON, async || TcpStream::connect(&address).await.is_err().then_some(())).await;
}

#[tokio::test]
async fn what_is_under_way_ends_and_idle_connections_close() {
    let (mut host, mut wire) = busy("10m").await;
    let mut idle = host.connect().await;
    idle.send("GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(idle.answer().await.expect("an answer").status, StatusCode::OK);
    let mut silent = host.connect().await;
    draining(&host).await;
    assert!(idle.rest().await.is_empty() && silent.rest().await.is_empty());
    assert!(host.runs(), "a request is under way");
    wire.send("half").await;
    let answer = wire.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "8".to_owned()));
    assert_eq!(answer.headers["connection"], "close");
    assert!(host.wait(SOON).success());
    let id = answer.invocation().to_owned();
    assert_eq!(failure(&host.restart().receipt(&id).await), "none");
}

#[tokio::test]
async fn a_second_signal_and_a_deadline_end_what_is_under_way() {
    let (mut host, mut wire) = busy("10m").await;
    draining(&host).await;
    let begun = Instant::now();
    host.signal(Signal::INT);
    host.wait(SOON);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(wire.rest().await.is_empty());
    let host = host.restart();
    // What was cut off has its receipt.
    let receipts = host.receipts("web").await;
    assert_eq!((receipts.len(), &receipts[0]["state"]), (1, &"failed".into()), "{receipts:?}");
    // Its client was there to the end.
    let cut = &receipts[0]["attempts"][0]["failure"];
    assert_eq!((&cut["kind"], &cut["message"]), (&"cancelled".into(), &"the host was stopping".into()));
    drop(host);

    let (mut host, mut wire) = busy("1s").await;
    draining(&host).await;
    host.wait(SOON);
    assert!(wire.rest().await.is_empty());
}
