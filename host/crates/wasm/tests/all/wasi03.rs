//! WASI 0.3: what 0.2 can, within the same limits and grants.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use wicket_config::{Service, Span};
use wicket_core::{Data, Event, EventId, Failure, Limit};
use wicket_wasm::{Shape, Wasi, inspect};

use crate::egress::{DENIED, OK, PROHIBITED, Server, granting};
use crate::kit::{Buckets, Kit, created, limit};
use crate::{guests, guests03};

const FOREVER: &str = "(loop $l (br $l))";

/// A handler and a command with the same code at their hearts.
fn both(top: &str, code: &str) -> [Vec<u8>; 2] {
    [guests03::http(top, code), guests03::command(top, &format!("{code} (i32.const 0)"))]
}

fn short(service: &mut Service) {
    service.limits.timeout = Span(Duration::from_millis(300));
}

#[test]
fn inspection_tells_the_version() {
    let hello = inspect(&guests03::hello()).unwrap();
    assert_eq!((hello.shape, hello.wasi), (Shape::Http, Wasi::V03));
    let command = inspect(&guests03::command("", "(i32.const 0)")).unwrap();
    assert_eq!((command.shape, command.wasi), (Shape::Command, Wasi::V03));
    assert!(inspect(&guests03::gets("x")).unwrap().needs.iter().any(|need| need.contains("grants.http")));
    assert_eq!(inspect(&guests::hello()).unwrap().wasi, Wasi::V02);
    assert_eq!(inspect(&guests::preview1("", "")).unwrap().wasi, Wasi::Preview1);
    let run = r#"(module (func (export "wasi:cli/run@0.3.0-rc-2026-01-01#run") (result i32) (i32.const 0)))"#;
    let error = inspect(&guests::component("snapshot", run)).unwrap_err().to_string();
    assert!(error.contains("wasi:cli/run@0.3.0-rc-2026-01-01, a snapshot from before WASI 0.3.0"), "{error}");
}

#[tokio::test]
async fn a_handler_of_0_3_answers_beside_one_of_0_2() {
    let kit = Kit::start();
    let (new, old) = (kit.deploy(guests03::hello()).await, kit.deploy(guests::hello()).await);
    for guest in [&new, &old, &new] {
        let (answer, report) = kit.get(guest).await;
        assert_eq!(answer.unwrap(), (200, Bytes::from_static(b"hello")));
        assert_eq!((report.result.unwrap().status, report.usage.bytes_out), (Some(200), 5));
        assert!(
            report.usage.startup_us > 0 && report.usage.cpu_us > 0 && report.usage.peak_memory >= 2 << 16
        );
    }
    assert_eq!(kit.run(&new).await.text(), "hello");
    kit.empty().await;
}

#[tokio::test]
async fn a_handler_of_0_3_reads_and_writes_in_parts() {
    let kit = Kit::start();
    let echo = guests03::http(
        "",
        &format!(
            r"(local $in i32) (local $n i32) (local $b i32) {}
            (local.set $b (call $answer (i32.const 201)))
            (block $end (loop $more
              (local.set $n (call $read (local.get $in) (i32.const 2048) (i32.const 1000)))
              (drop (call $write (local.get $b) (i32.const 2048) (i32.shr_u (local.get $n) (i32.const 4))))
              (br_if $more (i32.eqz (i32.and (local.get $n) (i32.const 15))))))
            (call $done (local.get $b))",
            guests03::CONSUME
        ),
    );
    for guest in [echo, guests03::mirror()] {
        let guest = kit.deploy(guest).await;
        let sent = Bytes::from(vec![b'x'; 50_000]);
        let (answer, report, _) = kit.call(&guest, crate::kit::body(sent.clone())).await;
        assert_eq!(answer.unwrap().into_body().collect().await.unwrap().to_bytes(), sent);
        let usage = report.await.unwrap().usage;
        assert_eq!((usage.bytes_in, usage.bytes_out), (50_000, 50_000));
    }
}

#[tokio::test]
async fn a_body_that_never_comes_ends_at_the_time_limit_even_behind_a_guest_that_is_over() {
    let kit = Kit::start();
    let mirror = kit.deploy_with(guests03::mirror(), short).await;
    let frames = futures::stream::iter([Ok(http_body::Frame::data(Bytes::from_static(b"part")))]);
    let stuck = http_body_util::StreamBody::new(frames.chain(futures::stream::pending()));
    let (answer, report, _) = kit.call(&mirror, stuck.boxed_unsync()).await;
    let mut body = answer.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "part");
    assert!(body.frame().await.unwrap().unwrap_err().to_string().contains("timeout limit reached"));
    assert_eq!(limit(&report.await.unwrap()), Limit::Timeout);
}

#[tokio::test]
async fn time_and_memory_and_stack_end_at_their_limits() {
    let kit = Kit::start();
    let deep = "(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))";
    let start = format!("(func $begin {FOREVER}) (start $begin)");
    let grow = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
    let tables = "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1)))) (unreachable)";
    for (top, code, expected) in [
        ("", FOREVER, Limit::CpuTime),
        (&start, "", Limit::CpuTime),
        ("", "(call $wait (i64.const 3600000000000))", Limit::Timeout),
        ("", grow, Limit::Memory),
        ("(table $t 1 funcref)", tables, Limit::TableElements),
        (deep, "(drop (call $deep (i32.const 0)))", Limit::Stack),
    ] {
        for wasm in both(top, code) {
            let deployed = kit.deploy_with(wasm, |service| {
                if expected == Limit::Timeout {
                    short(service);
                }
            });
            let run = kit.run(&deployed.await).await;
            assert_eq!(run.limit(), expected, "{code}");
            assert!(run.report.usage.cpu_us < 1_000_000, "{run:?}");
        }
    }
    kit.empty().await;
}

#[tokio::test]
async fn handles_of_every_kind_end_at_their_limit() {
    let kit = Kit::start();
    for hoard in
        ["(drop (call $fields))", "(drop (call $pipe))", "(drop (call $trailers))", "(drop (call $set_new))"]
    {
        let hoards = guests03::http("", &format!("(loop $l {hoard} (br $l))"));
        assert_eq!(kit.run(&kit.deploy(hoards).await).await.limit(), Limit::Handles, "{hoard}");
    }
}

/// Answers, and writes 4 KiB for ever.
const FLOOD: &str = r"(local $b i32)
    (local.set $b (call $answer (i32.const 200)))
    (loop $l (br_if $l (i32.eqz (i32.and (i32.const 15) (call $write (local.get $b) (i32.const 0) (i32.const 4096))))))
    (call $done (local.get $b))";

#[tokio::test]
async fn an_answer_ends_at_the_output_limit_and_at_the_time_of_a_client_that_does_not_read() {
    let kit = Kit::start();
    let (answer, report) = kit.get(&kit.deploy(guests03::http("", FLOOD)).await).await;
    assert!(answer.unwrap_err().contains("output limit reached"));
    assert_eq!(limit(&report), Limit::Output);
    let floods = kit.deploy_with(guests03::http("", FLOOD), short).await;
    let (answer, report, _) = kit.call(&floods, crate::kit::body("")).await;
    let unread = answer.unwrap();
    assert_eq!(limit(&report.await.unwrap()), Limit::Timeout);
    kit.empty().await;
    assert!(unread.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_trap_while_the_answer_streams_breaks_it_off_and_stands_in_the_receipt() {
    let kit = Kit::start();
    let fails = r"(local $b i32)
        (local.set $b (call $answer (i32.const 200)))
        (drop (call $write (local.get $b) (i32.const 0) (i32.const 100)))
        (call $wait (i64.const 1000000))
        (unreachable)";
    let (answer, report) = kit.get(&kit.deploy(guests03::http("", fails)).await).await;
    assert!(answer.unwrap_err().contains("trapped"));
    let Err(Failure::Trap { backtrace, .. }) = report.result else { panic!("{report:?}") };
    assert!(backtrace[0].contains("handle"), "{backtrace:?}");
}

#[tokio::test]
async fn a_request_body_over_its_limit_fails_even_if_the_guest_ignores_it() {
    let kit = Kit::start();
    let reads = guests03::http(
        "",
        &format!(
            r"(local $in i32) {}
            (loop $more (br_if $more (i32.eqz (i32.and (i32.const 15)
              (call $read (local.get $in) (i32.const 2048) (i32.const 1000))))))
            (call $done (call $answer (i32.const 200)))",
            guests03::CONSUME
        ),
    );
    let reads = kit.deploy(reads).await;
    let (_, report, _) = kit.call(&reads, crate::kit::body(vec![0; 100_000])).await;
    assert_eq!(limit(&report.await.unwrap()), Limit::Body);
}

#[tokio::test]
async fn outgoing_requests_need_the_same_grants() {
    let (kit, server) = (Kit::start(), Server::saying(OK).await);
    let at = format!("127.0.0.1:{}", server.port);
    let gets = guests03::gets(&at);
    for (http, networks, expected) in [
        (vec![], &["0.0.0.0/0"][..], DENIED),
        (vec![at.clone()], &[], PROHIBITED),
        (vec![at.clone()], &["127.0.0.0/8"], 204),
    ] {
        let deployed = kit.deploy_with(gets.clone(), granting(http, networks)).await;
        assert_eq!(kit.get(&deployed).await.0.unwrap().0, expected);
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_kept_instance_of_0_3_serves_again() {
    let kit = Kit::start();
    let counts = guests03::http(
        "(global $n (mut i32) (i32.const 200))",
        r"(global.set $n (i32.add (global.get $n) (i32.const 1)))
        (call $done (call $answer (global.get $n)))",
    );
    let counts = kit.deploy_with(counts, |service| service.instance_reuse = 3).await;
    for expected in [201, 202, 203, 201] {
        assert_eq!(kit.get(&counts).await.0.unwrap().0, expected);
    }
}

#[tokio::test]
async fn a_command_of_0_3_reads_its_event_and_prints() {
    let kit = Kit::start();
    let cat = guests03::command(
        "",
        r"(local $n i32)
        (call $stdin (i32.const 16))
        (local.set $n (call $read (i32.load (i32.const 16)) (i32.const 2048) (i32.const 100)))
        (call $put (i32.const 2048) (i32.shr_u (local.get $n) (i32.const 4)))
        (i32.const 0)",
    );
    let cat = kit.deploy(cat).await;
    let mut event = Event::new("run", wicket_core::kinds::POSTED, EventId("1".into()));
    event.data = Data::Inline("a body".into());
    let run = kit.execute(&cat, event, std::sync::Arc::default()).await;
    assert_eq!((run.text(), &run.log[..]), ("a body", &["a body".to_owned()][..]));
}

#[tokio::test]
async fn a_command_of_0_3_fails_by_result_and_by_exit_status() {
    let kit = Kit::start();
    for (code, expected) in [("(i32.const 1)", 1), ("(call $exit (i32.const 7)) (i32.const 0)", 7)] {
        let run = kit.run(&kit.deploy(guests03::command("", code)).await).await;
        let message = format!("exit status {expected}");
        assert_eq!(run.failure(), &Failure::Function { message, permanent: false });
    }
    let run =
        kit.run(&kit.deploy(guests03::command("", "(call $exit (i32.const 0)) (unreachable)")).await).await;
    assert!(run.report.result.is_ok(), "{run:?}");
}

#[tokio::test]
async fn standard_output_of_0_3_ends_at_the_output_limit_even_if_the_guest_ignores_it() {
    let kit = Kit::start();
    for times in [40, 1_000_000] {
        let floods = format!(
            r"(local $n i32)
            (loop $l
              (call $put (i32.const 4096) (i32.const 60000))
              (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {times}))))
            (i32.const 0)"
        );
        let run = kit.run(&kit.deploy(guests03::command("", &floods)).await).await;
        assert_eq!(run.limit(), Limit::Output);
    }
}

#[tokio::test]
async fn a_command_of_0_3_sees_its_own_environment_only() {
    let kit = Kit::start();
    // The number of variables as exit status.
    let counts = guests03::command(
        "",
        "(call $environment (i32.const 16)) (call $exit (i32.load (i32.const 20))) (i32.const 0)",
    );
    let counts = kit.deploy(counts).await;
    let run = kit.execute(&counts, created("in/x"), Buckets::with("in/x", "p")).await;
    // TMP_INPUT_DIR, TMP_OUTPUT_DIR, INPUT_FILE_PATH, STORAGE_OBJECT_KEY, EVENT_TIME, EVENT_FILE, EVENT
    assert_eq!(run.failure().to_string(), "the function failed: exit status 7");
}
