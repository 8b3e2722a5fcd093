//! Hostile functions of every shape, started in every way, at every limit: each has a failure with a name, and the
//! neighbour answers all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use wicket_tests::{Setup, TestHost, failure, until};

const SOON: Duration = Duration::from_secs(60);
/// The neighbour's worst answer, with two cores for everything.
const WORST: Duration = Duration::from_secs(5);

/// Three functions that do what they are told, each of another shape, with narrow limits.
const SERVICES: &str = "\
- node:
    name: neighbour
    wasm: {guest:hello}
    http: { path: /neighbour }
- node:
    name: web
    wasm: {guest:hostile-http}
    http: { path: '/web/{*rest}' }
    grants: { http: ['127.0.0.1:{port}'], networks: [127.0.0.0/8] }
    limits: { memory: 16MiB, cpu_time: 300ms, timeout: {timeout}, output: 1MiB, log: 64KiB, body: 1KiB, handles: 50, outgoing: 3 }
    retry: { attempts: 1 }
    input: [{ path: web/in }]
- node:
    name: command
    wasm: {guest:hostile-command}
    limits: { memory: 16MiB, cpu_time: 300ms, timeout: {timeout}, output: 1MiB, log: 64KiB, body: 1KiB, handles: 50 }
    retry: { attempts: 1 }
    input: [{ path: command/in }]
- node:
    name: event
    wasm: {guest:hostile-event}
    limits: { memory: 16MiB, cpu_time: 300ms, timeout: {timeout}, output: 1MiB, log: 64KiB, body: 1KiB, handles: 50 }
    retry: { attempts: 1 }
    input: [{ path: event/in }]";

/// What a function is told, the failure that it ends with, and the status that a caller who waits gets.
const TOLD: [(&str, &str, u16); 8] = [
    ("spin", "cpu_time", 502),
    ("hog", "memory", 502),
    ("sleep", "timeout", 504),
    ("recurse", "stack", 502),
    ("panic", "trap", 502),
    ("chatter", "log", 502),
    ("flood", "output", 502),
    ("hoard", "handles", 502),
];

/// Somebody who has nothing to do with it, and asks all the time.
struct Neighbour {
    stop: Arc<AtomicBool>,
    asking: JoinSet<(u32, Duration)>,
}

impl Neighbour {
    fn watch(host: &Arc<TestHost>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ask = |host: Arc<TestHost>, stop: Arc<AtomicBool>| async move {
            let (mut answers, mut worst) = (0, Duration::ZERO);
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let answer = host.get("/neighbour").await;
                assert_eq!(answer.status, StatusCode::OK, "the neighbour's answer: {}", answer.text());
                worst = worst.max(begun.elapsed());
                answers += 1;
            }
            (answers, worst)
        };
        let asking = (0..2).map(|_| ask(host.clone(), stop.clone())).collect();
        Self { stop, asking }
    }

    /// Every answer so far was good, and none was late.
    async fn well(self) {
        self.stop.store(true, Ordering::Relaxed);
        for (answers, worst) in self.asking.join_all().await {
            assert!(answers > 10 && worst < WORST, "{answers} answers, the worst after {worst:?}");
        }
    }
}

/// A host with the services, and an address that takes connections and says nothing.
async fn start(config: &str) -> (Arc<TestHost>, TcpListener) {
    // Long enough for 300 ms of CPU on a busy machine.
    start_with(config, "5s").await
}

/// The same, with another `limits.timeout`.
async fn start_with(config: &str, timeout: &str) -> (Arc<TestHost>, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let host = TestHost::with(Setup { config: config.to_owned(), ..Setup::default() });
    host.apply(&SERVICES.replace("{port}", &port).replace("{timeout}", timeout));
    assert_eq!(host.get("/neighbour").await.status, StatusCode::OK);
    (Arc::new(host), listener)
}

/// The host is itself: it answers, it has not restarted, and nothing in it panicked.
async fn unharmed(host: Arc<TestHost>) {
    until("no instance is left behind", SOON, async || {
        let stats = host.admin(Method::GET, "/system/stats", "").await.json();
        (stats["instances"] == 0).then_some(())
    })
    .await;
    let mut host = Arc::into_inner(host).expect("nobody else has it");
    assert!(host.runs());
    assert_eq!(host.get("/health").await.status, StatusCode::OK);
    assert!(!host.stderr().contains("panicked"), "{}", host.stderr());
}

/// The receipt of the invocation that ran on an object.
async fn of_object(host: &TestHost, service: &str, key: &str) -> Value {
    until(&format!("{service} has ended on {key}"), SOON, async || {
        let receipts = host.receipts(service).await;
        let mut found = receipts.into_iter().filter(|receipt| receipt["subject"] == key);
        found.find(|receipt| receipt["finished"].is_string())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_http_handlers_end_at_every_limit_and_the_neighbour_answers() {
    let (host, silent) = start("").await;
    let neighbour = Neighbour::watch(&host);
    let reach = format!("reach/{}", silent.local_addr().expect("an address"));
    let more = [("silent", "function", 502), (reach.as_str(), "outgoing", 502)];
    for (word, named, status) in TOLD.into_iter().chain(more) {
        if word == "flood" {
            continue;
        }
        let answer = host.get(&format!("/web/{word}")).await;
        assert_eq!(answer.status, status, "{word}: {}", answer.text());
        let receipt = host.receipt(answer.invocation()).await;
        assert_eq!(failure(&receipt), named, "{word}: {receipt}");
        // A caller from anywhere learns which limit it was, and nothing from inside.
        assert!(!answer.text().contains("wasm") && !answer.text().contains("MiB"), "{}", answer.text());
    }
    // Its answer had begun: it breaks off.
    let mut wire = host.connect().await;
    wire.send("GET /web/flood HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = wire.head().await.expect("it began to answer");
    while let Ok(chunk) = wire.chunk().await {
        assert_ne!(chunk, None, "a flood that is cut off looks whole");
    }
    assert_eq!(failure(&host.receipt(head.invocation()).await), "output");
    // And what the caller does: he sends too much, or nothing.
    for (lengths, status, named) in [
        ("content-length: 2000", 413, "body"),
        ("transfer-encoding: chunked\r\n\r\n7d0", 413, "body"),
        ("content-length: 10", 504, "timeout"),
    ] {
        let mut wire = host.connect().await;
        let body = if status == 413 { "x".repeat(2000) } else { String::new() };
        let end = if lengths.contains("chunked") { "\r\n" } else { "\r\n\r\n" };
        wire.send(format!("POST /web/slowly HTTP/1.1\r\nhost: a\r\n{lengths}{end}{body}")).await;
        let answer = wire.answer().await.expect("an answer");
        assert_eq!(answer.status, status, "{lengths}: {answer:?}");
        assert_eq!(failure(&host.receipt(answer.invocation()).await), named, "{lengths}");
    }
    neighbour.well().await;
    unharmed(host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_runs_its_function_into_the_time_limit() {
    let (host, _silent) = start("").await;
    host.apply(
        "- node:\n    name: generous\n    wasm: {guest:hostile-http}\n    http: { path: '/generous/{*rest}' }\n    limits: { timeout: 2s, cpu_time: 1m }",
    );
    let neighbour = Neighbour::watch(&host);
    let mut wire = host.connect().await;
    wire.send("GET /generous/flood HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let id = wire.head().await.expect("it began to answer").invocation().to_owned();
    assert_eq!(failure(&host.receipt(&id).await), "timeout");
    drop(wire);
    neighbour.well().await;
    unharmed(host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_functions_of_every_shape_end_at_every_limit_when_they_are_run() {
    let (host, _silent) = start("").await;
    let neighbour = Neighbour::watch(&host);
    for service in ["web", "command", "event"] {
        for (word, named, status) in TOLD {
            let answer = host.admin(Method::POST, &format!("/run/{service}"), word).await;
            assert_eq!(answer.status, status, "{service} {word}: {}", answer.text());
            let receipt = host.receipt(answer.invocation()).await;
            assert_eq!(
                (failure(&receipt), &receipt["trigger"]),
                (named, &"run".into()),
                "{service} {word}: {receipt}"
            );
        }
        let fine = host.admin(Method::POST, &format!("/run/{service}"), "be good").await;
        assert_eq!((fine.status, fine.text().trim()), (StatusCode::OK, "fine"), "{service}");
        for job in ["run", "job"] {
            let large = host.admin(Method::POST, &format!("/{job}/{service}"), "x".repeat(2000)).await;
            assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE, "{job} {service}: {}", large.text());
        }
    }
    neighbour.well().await;
    unharmed(host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_functions_of_every_shape_end_at_every_limit_when_events_start_them() {
    // All at once, on two cores: each takes its CPU time late.
    let (host, _silent) = start_with("", "15s").await;
    let neighbour = Neighbour::watch(&host);
    let mut jobs = Vec::new();
    for (word, named, _) in TOLD {
        for service in ["web", "command", "event"] {
            let accepted = host.admin(Method::POST, &format!("/job/{service}"), word).await;
            assert_eq!(accepted.status, StatusCode::CREATED, "{}", accepted.text());
            jobs.push((service, word, named, accepted.json()["id"].as_str().expect("an id").to_owned()));
            host.put(service, &format!("in/{word}"), "x").await;
        }
    }
    for (service, word, named, id) in &jobs {
        let receipt = host.receipt(id).await;
        assert_eq!(
            (failure(&receipt), &receipt["state"]),
            (*named, &"failed".into()),
            "job {service} {word}: {receipt}"
        );
        let receipt = of_object(&host, service, &format!("in/{word}")).await;
        assert_eq!(failure(&receipt), *named, "upload {service} {word}: {receipt}");
    }
    // Each is a dead letter that says why.
    let dead = host.admin(Method::GET, "/system/dead-letters?limit=1000", "").await.json();
    let dead = dead.as_array().expect("a list");
    assert_eq!(dead.len(), jobs.len() * 2);
    assert!(
        dead.iter().all(|letter| letter["reason"].as_str().is_some_and(|reason| !reason.is_empty())),
        "{dead:?}"
    );
    neighbour.well().await;
    unharmed(host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_kept_is_bounded_whatever_the_limit() {
    let host = TestHost::start();
    host.apply("- node:\n    name: web\n    wasm: {guest:hostile-http}\n    retry: { attempts: 3 }");
    let run = host.admin(Method::POST, "/run/web", "flood").await;
    assert_eq!(run.status, StatusCode::BAD_GATEWAY, "{}", run.text());
    let job = host.admin(Method::POST, "/job/web", "flood").await.json();
    for id in [run.invocation(), job["id"].as_str().expect("an id")] {
        let receipt = host.receipt(id).await;
        assert_eq!(failure(&receipt), "output", "{receipt}");
        let attempts = receipt["attempts"].as_array().expect("attempts");
        assert!(attempts[0]["failure"].to_string().contains("8MiB"), "{receipt}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_start_functions_have_limits_too() {
    let (host, _silent) = start("").await;
    let wasi = |body: &str| format!(r#"(module (memory (export "memory") 1) {body})"#);
    let guests = [
        (
            "tables",
            "table_elements",
            wasi(
                r#"(table $t 1 funcref)
            (func (export "_start") (loop $l
              (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) (unreachable))"#,
            ),
        ),
        ("born-large", "table_elements", wasi(r#"(table 100000 funcref) (func (export "_start"))"#)),
        ("start", "cpu_time", wasi(r#"(func $s (loop $l (br $l))) (start $s) (func (export "_start"))"#)),
        (
            "born-fat",
            "memory",
            r#"(module (memory (export "memory") 5000) (func (export "_start")))"#.to_owned(),
        ),
        (
            "fill",
            "cpu_time",
            wasi(
                r#"(func (export "_start") (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 60000)) (br $l)))"#,
            ),
        ),
    ];
    let neighbour = Neighbour::watch(&host);
    for (name, named, wat) in guests {
        let file = host.scratch().join(format!("{name}.wasm"));
        std::fs::write(&file, wat::parse_str(wat).expect("a module"))
            .expect("the temporary folder is writable");
        host.apply(&format!(
            "- node:\n    name: {name}\n    wasm: {}\n    limits: {{ cpu_time: 300ms, timeout: 10s }}\n    retry: {{ attempts: 1 }}\n    input: [{{ path: {name}/in }}]",
            file.display()
        ));
        let run = host.admin(Method::POST, &format!("/run/{name}"), "x").await;
        assert_eq!(run.status, StatusCode::BAD_GATEWAY, "{name}: {}", run.text());
        assert_eq!(failure(&host.receipt(run.invocation()).await), named, "{name}");
        host.put(name, "in/x", "x").await;
        assert_eq!(failure(&of_object(&host, name, "in/x").await), named, "{name}");
    }
    neighbour.well().await;
    unharmed(host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_hostile_calls_takes_its_own_places_only() {
    let (host, _silent) = start("[http]\npermit_timeout = \"200ms\"").await;
    host.apply(
        "- node:\n    name: crowd\n    wasm: {guest:hostile-http}\n    http: { path: '/crowd/{*rest}' }\n    limits: { concurrency: 4, cpu_time: 300ms, timeout: 2s, memory: 16MiB }",
    );
    let neighbour = Neighbour::watch(&host);
    let words = ["spin", "hog", "sleep", "recurse", "fine"];
    let calls: JoinSet<_> = (0..60)
        .map(|n| {
            let (host, path) = (host.clone(), format!("/crowd/{}", words[n % words.len()]));
            async move { host.get(&path).await }
        })
        .collect();
    let mut seen = std::collections::BTreeMap::new();
    for answer in calls.join_all().await {
        let receipt = host.receipt(answer.invocation()).await;
        *seen.entry((answer.status.as_u16(), failure(&receipt).to_owned())).or_insert(0) += 1;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers.contains_key("retry-after"));
        }
    }
    for (status, named) in [(429, "concurrency"), (504, "timeout"), (502, "cpu_time")] {
        assert!(seen.contains_key(&(status, named.to_owned())), "no {status} {named} in {seen:?}");
    }
    let known = [
        (200, "none"),
        (429, "concurrency"),
        (502, "cpu_time"),
        (502, "memory"),
        (502, "stack"),
        (504, "timeout"),
    ];
    assert!(seen.keys().all(|(status, named)| known.contains(&(*status, named))), "{seen:?}");
    neighbour.well().await;
    unharmed(host).await;
}
