//! Outgoing HTTP: by name, then by address, and never further.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use wicket_config::{Service, Span};
use wicket_core::Limit;

use crate::guests;
use crate::kit::{Kit, limit};

pub(crate) const DENIED: u16 = 515;
pub(crate) const PROHIBITED: u16 = 504;

/// A server on loopback that says the same to everyone, and counts.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) asked: Arc<AtomicU32>,
    heard: Arc<Mutex<String>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    pub(crate) async fn saying(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let heard: Arc<Mutex<String>> = Arc::default();
        let heads = heard.clone();
        let task = TaskTracker::new().spawn(async move {
            let mut silent = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let mut head = [0; 1024];
                let size = stream.read(&mut head).await.unwrap_or(0);
                heads.lock().unwrap().push_str(&String::from_utf8_lossy(&head[..size]));
                if answer.is_empty() {
                    silent.push(stream);
                } else {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            }
        });
        Self { port, asked, heard, _task: AbortOnDropHandle::new(task) }
    }
}

pub(crate) fn granting(http: Vec<String>, networks: &[&str]) -> impl FnOnce(&mut Service) {
    let networks = networks.iter().map(ToString::to_string).collect();
    move |service| {
        service.grants.http = http;
        service.grants.networks = networks;
    }
}

pub(crate) const OK: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_name_and_a_network_that_are_granted_are_reached() {
    let (kit, server) = (Kit::start(), Server::saying(OK).await);
    for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"] {
        let at = format!("{host}:{}", server.port);
        let gets = kit.deploy_with(guests::gets(&at), granting(vec![at], &["127.0.0.0/8", "::1/128"])).await;
        assert_eq!(kit.get(&gets).await.0.unwrap().0, 204, "{host}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_granted_is_not_even_resolved() {
    let (kit, server) = (Kit::start(), Server::saying(OK).await);
    let at = format!("127.0.0.1:{}", server.port);
    for http in [vec![], vec!["example.org".into()], vec!["127.0.0.1".into()], vec!["*.0.0.1".into()]] {
        let gets = kit.deploy_with(guests::gets(&at), granting(http, &["0.0.0.0/0"])).await;
        let (answer, _, log) = kit.call(&gets, crate::kit::body("")).await;
        assert_eq!(answer.unwrap().status(), DENIED);
        assert!(log.take().lines[0].text.contains("is not in the service's grants.http"));
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn own_networks_are_refused_in_every_spelling_of_their_addresses() {
    let (kit, server) = (Kit::start(), Server::saying(OK).await);
    let spellings = [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "[::ffff:a9fe:a9fe]",
        "10.0.0.1",
        "100.100.100.200",
        "[fd00:ec2::254]",
        "[fe80::1]",
    ];
    for host in spellings {
        let at = format!("{host}:{}", server.port);
        let gets = kit.deploy_with(guests::gets(&at), granting(vec![at], &[])).await;
        let status = kit.get(&gets).await.0.unwrap().0;
        // Where the resolver does not take a spelling: a DNS error (1), or none found (2).
        assert!(status == PROHIBITED || status == 501 || status == 502, "{host}: {status}");
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let inside = Server::saying(OK).await;
    let outside =
        Server::saying("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
            .await;
    let kit = Kit::start();
    let at = format!("127.0.0.1:{}", outside.port);
    let gets = kit.deploy_with(guests::gets(&at), granting(vec![at], &["127.0.0.1/32"])).await;
    assert_eq!(kit.get(&gets).await.0.unwrap().0, 302);
    assert_eq!((outside.asked.load(Ordering::SeqCst), inside.asked.load(Ordering::SeqCst)), (1, 0));
}

/// Sends a GET after `also` changed the request `$r` or its fields `$f`, and answers with what came of it, or with 400
/// and the result of `also`.
fn sends(at: &str, data: &str, also: &str) -> Vec<u8> {
    guests::http(
        &format!(r#"(data (i32.const 1024) "{at}") (data (i32.const 1200) "/") {data}"#),
        &format!(
            r"(local $f i32) (local $r i32) (local $code i32) (local $refused i32)
            (local.set $f (call $fields))
            (local.set $r (call $outgoing (call $fields)))
            (drop (call $set_scheme (local.get $r) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
            (drop (call $set_authority (local.get $r) (i32.const 1) (i32.const 1024) (i32.const {})))
            (drop (call $set_path (local.get $r) (i32.const 1) (i32.const 1200) (i32.const 1)))
            {also}
            (if (local.get $refused) (then (call $done (call $answer (local.get $out) (i32.const 401))) (return)))
            (call $send (local.get $r) (i32.const 0) (i32.const 0) (i32.const 128))
            (if (i32.load8_u (i32.const 128)) (then
              (call $done (call $answer (local.get $out) (i32.add (i32.const 500) (i32.load8_u (i32.const 136)))))
              (return)))
            (local.set $r (i32.load (i32.const 136)))
            (call $block (call $subscribe (local.get $r)))
            (call $get (local.get $r) (i32.const 192))
            (local.set $code (if (result i32) (i32.load8_u (i32.const 208))
              (then (i32.add (i32.const 500) (i32.load8_u (i32.const 216))))
              (else (call $got (i32.load (i32.const 216))))))
            (call $done (call $answer (local.get $out) (local.get $code)))",
            at.len()
        ),
    )
}

#[tokio::test]
async fn the_host_header_says_where_the_request_went_and_nothing_can_be_smuggled_into_its_head() {
    let (kit, server) = (Kit::start(), Server::saying(OK).await);
    let at = format!("127.0.0.1:{}", server.port);
    let grant = || granting(vec![at.clone()], &["127.0.0.1/32"]);
    assert_eq!(kit.get(&kit.deploy_with(sends(&at, "", ""), grant()).await).await.0.unwrap().0, 204);
    let heard = std::mem::take(&mut *server.heard.lock().unwrap());
    assert!(heard.starts_with("GET / HTTP/1.1\r\n") && heard.contains(&format!("host: {at}\r\n")), "{heard}");
    // Each of these is refused when it is said: the guest sees an error, and nothing is sent.
    let append = |name: &str, value: &str| {
        let data = format!(r#"(data (i32.const 1300) "{name}") (data (i32.const 1400) "{value}")"#);
        // `\\0d` is one byte.
        let value = value.len() - 2 * value.matches('\\').count();
        let code = format!(
            "(call $append (local.get $f) (i32.const 1300) (i32.const {}) (i32.const 1400) (i32.const {value})
              (i32.const 64)) (local.set $refused (i32.load8_u (i32.const 64)))",
            name.len()
        );
        (data, code)
    };
    for (name, value) in [
        ("host", "169.254.169.254"),
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("content-length", "1, 2"),
        ("x-a", "b\\0d\\0aHost: evil"),
    ] {
        let (data, code) = append(name, value);
        let sends = kit.deploy_with(sends(&at, &data, &code), grant()).await;
        assert_eq!(kit.get(&sends).await.0.unwrap().0, 401, "{name}: {value}");
    }
    for (path, length) in [("http://evil/", 12), ("/ HTTP/1.1\\0d\\0a", 12), ("//a b", 5)] {
        let data = format!(r#"(data (i32.const 1300) "{path}")"#);
        let code = format!(
            "(local.set $refused (call $set_path (local.get $r) (i32.const 1) (i32.const 1300) (i32.const {length})))"
        );
        let sends = kit.deploy_with(sends(&at, &data, &code), grant()).await;
        assert_eq!(kit.get(&sends).await.0.unwrap().0, 401, "{path}");
    }
    assert!(server.heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_user_in_the_authority_and_other_spellings_do_not_pass_the_allow_list() {
    let (kit, server) = (Kit::start(), Server::saying(OK).await);
    let port = server.port;
    for at in [
        format!("granted.example@127.0.0.1:{port}"),
        format!("127.0.0.1:{port}@granted.example"),
        format!("granted.example:80@127.0.0.1:{port}"),
        format!("granted.example.127.0.0.1:{port}"),
        format!("127.0.0.1:{port}#granted.example"),
        format!("127.0.0.1:{port}/granted.example"),
        format!("[::1]granted.example:{port}"),
    ] {
        let grant = granting(
            vec!["granted.example".into(), format!("granted.example:{port}")],
            &["0.0.0.0/0", "::/0"],
        );
        let status = kit.get(&kit.deploy_with(sends(&at, "", ""), grant).await).await.0.unwrap().0;
        assert!(status >= 500, "{at}: {status}");
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_services_time_only() {
    let (kit, server) = (Kit::start(), Server::saying("").await);
    let at = format!("127.0.0.1:{}", server.port);
    let gets = kit
        .deploy_with(guests::gets(&at), |service| {
            granting(vec![at.clone()], &["127.0.0.1/32"])(service);
            service.limits.timeout = Span(Duration::from_millis(300));
        })
        .await;
    let began = std::time::Instant::now();
    let (_, report) = kit.get(&gets).await;
    assert!(began.elapsed() < Duration::from_secs(3));
    assert!(report.result.is_err() || report.result.unwrap().status == Some(509));
}

#[tokio::test]
async fn too_many_outgoing_requests_at_once_are_a_limit() {
    let (kit, server) = (Kit::start(), Server::saying("").await);
    let at = format!("127.0.0.1:{}", server.port);
    let many = guests::http(
        &format!(r#"(data (i32.const 1024) "{at}") (data (i32.const 1200) "/")"#),
        &format!(
            r"(local $r i32) (local $n i32)
            (loop $l
              (local.set $r (call $outgoing (call $fields)))
              (drop (call $set_scheme (local.get $r) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
              (drop (call $set_authority (local.get $r) (i32.const 1) (i32.const 1024) (i32.const {})))
              (drop (call $set_path (local.get $r) (i32.const 1) (i32.const 1200) (i32.const 1)))
              (call $send (local.get $r) (i32.const 0) (i32.const 0) (i32.const 128))
              (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 3))))
            (call $block (call $after (i64.const 100000000)))
            (unreachable)",
            at.len()
        ),
    );
    let many = kit.deploy_with(many, granting(vec![at], &["127.0.0.1/32"])).await;
    let (_, report) = kit.get(&many).await;
    assert_eq!(limit(&report), Limit::Outgoing);
    assert!(server.asked.load(Ordering::SeqCst) <= 2);
}
