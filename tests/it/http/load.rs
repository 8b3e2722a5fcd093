//! Too much of everything.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Resource, Rlimit, getrlimit, pidfd_getfd, pidfd_open, prlimit,
    setrlimit,
};
use wicket_tests::{Setup, TestHost, Wire, failure, until};

use super::{SOON, host, service};

/// Begins a request that sleeps.
async fn sleeping(host: &TestHost, name: &str) -> Wire {
    let mut wire = host.connect().await;
    wire.send(format!("GET /{name}/sleep HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    wire
}

async fn instances(host: &TestHost, n: u64) {
    until("instances", SOON, async || {
        let stats = host.admin(Method::GET, "/system/stats", "").await.json();
        (stats["instances"] == n).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_service_at_its_concurrency_answers_429_and_others_go_on() {
    let host = host("permit_timeout = \"100ms\"");
    host.apply(&service("busy", "hostile-http", "    limits: { concurrency: 2 }"));
    host.apply(&service("hello", "hello", ""));
    let held = [sleeping(&host, "busy").await, sleeping(&host, "busy").await];
    instances(&host, 2).await;
    let refused = host.get("/busy/fine").await;
    assert_eq!(
        (refused.status, &refused.headers["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().expect("text"))
    );
    assert_eq!(refused.json()["error"]["code"], "concurrency_limit");
    assert_eq!(failure(&host.receipt(refused.invocation()).await), "concurrency");
    let run = host.admin(Method::POST, "/run/busy", "fine").await;
    assert_eq!(
        (run.status, run.headers.contains_key("retry-after")),
        (StatusCode::TOO_MANY_REQUESTS, true),
        "{run:?}"
    );
    assert_eq!(host.get("/hello/x").await.status, StatusCode::OK);
    drop(held);
    until("a place is free", SOON, async || {
        (host.get("/busy/fine").await.status == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_host_at_its_instances_answers_503() {
    let config =
        "[http]\npermit_timeout = \"100ms\"\n[wasm]\nmax_instances = 2\nqueue_wait = \"100ms\"".to_owned();
    let host = TestHost::with(Setup { config, ..Setup::default() });
    host.apply(&service("busy", "hostile-http", ""));
    host.apply(&service("hello", "hello", ""));
    let held = [sleeping(&host, "busy").await, sleeping(&host, "busy").await];
    instances(&host, 2).await;
    let refused = host.get("/hello/x").await;
    assert_eq!(
        (refused.status, &refused.headers["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().expect("text"))
    );
    assert_eq!(failure(&host.receipt(refused.invocation()).await), "concurrency");
    let run = host.admin(Method::POST, "/run/hello", "x").await;
    assert_eq!(
        (run.status, run.headers.contains_key("retry-after")),
        (StatusCode::SERVICE_UNAVAILABLE, true),
        "{run:?}"
    );
    assert_eq!(host.get("/health").await.status, StatusCode::OK);
    drop(held);
    until("a place is free", SOON, async || {
        (host.get("/hello/x").await.status == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn thousands_of_connections_cost_bounded_memory_and_harm_nobody() {
    const MANY: usize = 1_000;
    // Of the test's own, and of the host's that it starts.
    let own = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: own.maximum, ..own }).expect("up to the maximum");
    let host = host("max_connections = 1050");
    host.apply(&service("hello", "hello", ""));
    assert_eq!(host.get("/hello/x").await.status, StatusCode::OK);
    let before = host.rss();
    // Each has sent almost all of the largest head there is.
    let head = format!("GET /hello/x HTTP/1.1\r\nhost: a\r\nx: {}", "v".repeat(30_000));
    let mut wires = Vec::new();
    for _ in 0..MANY {
        let mut wire = host.connect().await;
        wire.send(&head).await;
        wires.push(wire);
    }
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(host.get("/hello/x").await.status, StatusCode::OK);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let each = || host.rss().saturating_sub(before) / MANY as u64;
    assert!(each() < 80 << 10, "{} bytes for a connection", each());
    // And go on.
    for wire in &mut wires {
        wire.send(&head).await;
        wire.send(&head).await;
        wire.send(&head).await;
    }
    assert_eq!(host.get("/hello/x").await.status, StatusCode::OK);
    assert!(each() < 80 << 10, "{} bytes for a connection", each());
    // More than there may be wait, and come in when others have gone.
    let mut wires = Vec::new();
    for _ in 0..1_050 {
        wires.push(host.connect().await);
    }
    let mut more = Vec::new();
    for _ in 0..500 {
        let mut wire = host.connect().await;
        wire.send("GET /hello/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        more.push(wire);
    }
    wires.truncate(10);
    let begun = Instant::now();
    for wire in &mut more {
        assert_eq!(wire.answer().await.expect("an answer").status, StatusCode::OK);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// The process, to ask about.
fn process(host: &TestHost) -> Pid {
    Pid::from_raw(host.pid().cast_signed()).expect("a process")
}

fn descriptors(host: &TestHost) -> u64 {
    std::fs::read_dir(format!("/proc/{}/fd", host.pid())).expect("of one's own child").count() as u64
}

#[tokio::test]
async fn a_host_without_file_descriptors_waits_for_some() {
    let mut host = TestHost::start();
    host.apply(&service("hello", "hello", ""));
    assert_eq!(host.get("/hello/x").await.status, StatusCode::OK);
    let maximum = getrlimit(Resource::Nofile).maximum;
    let few = Rlimit { current: Some(descriptors(&host) + 10), maximum };
    let before = prlimit(Some(process(&host)), Resource::Nofile, few).expect("of one's own child");
    let mut wires = Vec::new();
    for _ in 0..50 {
        wires.push(host.connect().await);
    }
    until("accept has failed", SOON, async || host.stderr().contains("could not be accepted").then_some(()))
        .await;
    assert!(host.runs());
    drop(wires);
    until("it answers", SOON, async || (host.get("/hello/x").await.status == StatusCode::OK).then_some(()))
        .await;
    prlimit(Some(process(&host)), Resource::Nofile, before).expect("of one's own child");
    assert!(host.stderr().matches("could not be accepted").count() < 5, "{}", host.stderr());
    host.buckets().list_buckets().send().await.expect("buckets answer too");
}

#[tokio::test]
async fn answers_are_not_held_back_for_more() {
    let host = TestHost::start();
    let mut wire = host.connect().await;
    wire.send("GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(wire.answer().await.expect("an answer").status, StatusCode::OK);
    let own = wire.tcp().local_addr().expect("an address");
    let process = pidfd_open(process(&host), PidfdFlags::empty()).expect("of one's own child");
    let theirs = (0..1000).filter_map(|fd| pidfd_getfd(process.as_fd(), fd, PidfdGetfdFlags::empty()).ok());
    let peer = |fd: &OwnedFd| std::net::SocketAddr::try_from(rustix::net::getpeername(fd).ok()??).ok();
    let socket = { theirs }.find(|fd| peer(fd) == Some(own)).expect("the other end");
    assert!(rustix::net::sockopt::tcp_nodelay(socket).expect("a TCP socket"));
}
