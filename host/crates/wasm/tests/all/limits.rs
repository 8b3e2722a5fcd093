//! Hostile guests at every limit: a named failure, and the host goes on.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use wicket_config::{ByteSize, Span};
use wicket_core::{Failure, Limit};

use crate::guests;
use crate::kit::{Kit, body, limit};

const FOREVER: &str = "(loop $l (br $l))";

/// One guest for each shape with the same code at its heart.
fn all_shapes(top: &str, code: &str) -> [Vec<u8>; 3] {
    [
        guests::http(top, code),
        guests::preview1(top, code),
        guests::event(top, &format!("{code} (i32.const 512)")),
    ]
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_cpu_limit_in_every_shape() {
    let kit = Kit::start();
    for wasm in all_shapes("", FOREVER) {
        let run = kit.run(&kit.deploy(wasm).await).await;
        assert_eq!(run.limit(), Limit::CpuTime);
        let cpu = run.report.usage.cpu_us;
        assert!((200_000..1_000_000).contains(&cpu), "{cpu}");
    }
}

#[tokio::test]
async fn an_endless_loop_in_a_start_function_or_in_realloc_ends_too() {
    let kit = Kit::start();
    let start = format!("(func $begin {FOREVER}) (start $begin)");
    for wasm in all_shapes(&start, "") {
        assert_eq!(kit.run(&kit.deploy(wasm).await).await.limit(), Limit::CpuTime);
    }
    let realloc = format!(
        r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {FOREVER} (unreachable))"#
    );
    let wasm = guests::http_with(&realloc, "", "(call $random (i64.const 8) (i32.const 16))");
    assert_eq!(kit.run(&kit.deploy(wasm).await).await.limit(), Limit::CpuTime);
}

#[tokio::test]
async fn bulk_memory_operations_count_as_cpu_time() {
    let kit = Kit::start();
    let fill = "(drop (memory.grow (i32.const 100)))
        (loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.const 6000000)) (br $l))";
    let run = kit.run(&kit.deploy(guests::preview1("", fill)).await).await;
    assert_eq!(run.limit(), Limit::CpuTime);
}

#[tokio::test]
async fn a_neighbour_answers_while_others_loop() {
    let kit = Kit::start();
    let hello = kit.deploy(guests::hello()).await;
    // On a busy machine their share of CPU time comes slowly.
    let patient = |service: &mut wicket_config::Service| service.limits.timeout = Span::secs(60);
    let spins = kit.deploy_with(guests::http("", FOREVER), patient).await;
    let spinning = futures::future::join_all((0..4).map(|_| kit.get(&spins)));
    let neighbour = async {
        let began = Instant::now();
        let mut answers = 0;
        // The loops need 800 ms of CPU in all.
        while began.elapsed() < Duration::from_millis(300) {
            assert_eq!(kit.get(&hello).await.0.unwrap().0, 200);
            tokio::task::yield_now().await;
            answers += 1;
        }
        answers
    };
    let (spun, answers) = tokio::join!(spinning, neighbour);
    assert!(answers > 5, "{answers}");
    for (_, report) in spun {
        assert_eq!(limit(&report), Limit::CpuTime);
    }
}

#[tokio::test]
async fn endless_recursion_is_the_stack_limit() {
    let kit = Kit::start();
    let deep = "(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))";
    for wasm in all_shapes(deep, "(drop (call $deep (i32.const 0)))") {
        assert_eq!(kit.run(&kit.deploy(wasm).await).await.limit(), Limit::Stack);
    }
}

#[tokio::test]
async fn memory_ends_at_its_limit_and_a_guest_that_copes_goes_on() {
    let kit = Kit::start();
    let greedy = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
    for wasm in all_shapes("", greedy) {
        let run = kit.run(&kit.deploy(wasm).await).await;
        assert_eq!(run.limit(), Limit::Memory);
        let peak = run.report.usage.peak_memory;
        assert!(peak <= 16 << 20 && peak > 14 << 20, "{peak}");
    }
    let copes = "(drop (memory.grow (i32.const 30000)))";
    let run = kit.run(&kit.deploy(guests::preview1("", copes)).await).await;
    assert!(run.report.result.is_ok(), "{run:?}");
    let exits = "(drop (memory.grow (i32.const 30000))) (call $exit (i32.const 1))";
    let run = kit.run(&kit.deploy(guests::preview1("", exits)).await).await;
    let expected = Failure::Function { message: "exit status 1".into(), permanent: false };
    assert_eq!(run.failure(), &expected);
    // More than it may have from the beginning.
    let born = r#"(module (memory (export "memory") 300) (func (export "_start")))"#;
    let run = kit.run(&kit.deploy(wat::parse_str(born).unwrap()).await).await;
    assert_eq!(run.limit(), Limit::Memory);
}

#[tokio::test]
async fn many_small_memories_count_together() {
    let kit = Kit::start();
    let module = |pages: u32| {
        let memories = format!("(memory {pages})").repeat(3);
        format!(r#"(module (memory (export "memory") 1) {memories} (func (export "_start")))"#)
    };
    let run = kit.run(&kit.deploy(wat::parse_str(module(80)).unwrap()).await).await;
    assert!(run.report.result.is_ok(), "{run:?}");
    assert_eq!(run.report.usage.peak_memory, 241 << 16);
    let run = kit.run(&kit.deploy(wat::parse_str(module(90)).unwrap()).await).await;
    assert_eq!(run.limit(), Limit::Memory);
    // Of several instances inside of one component.
    let many = |count: usize| {
        let instance = "(core instance (instantiate $m))".repeat(count);
        wat::parse_str(format!(
            r#"(component
            (core module $m (memory 80))
            {instance}
            (core module $run (func (export "run") (result i32) (i32.const 0)))
            (core instance $run (instantiate $run))
            (func $run (result (result)) (canon lift (core func $run "run")))
            (instance $i (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $i)))"#
        ))
        .unwrap()
    };
    assert!(kit.run(&kit.deploy(many(3)).await).await.report.result.is_ok());
    assert_eq!(kit.run(&kit.deploy(many(4)).await).await.limit(), Limit::Memory);
    // More of them than any function has is refused when it is deployed.
    let refusal = kit.refusal(many(40)).await;
    assert!(matches!(refusal, wicket_wasm::ModuleError::Compile(_)), "{refusal}");
}

#[tokio::test]
async fn tables_end_at_their_limit() {
    let kit = Kit::start();
    let grow = "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1)))) (unreachable)";
    for wasm in all_shapes("(table $t 1 funcref)", grow) {
        assert_eq!(kit.run(&kit.deploy(wasm).await).await.limit(), Limit::TableElements);
    }
    let born = r#"(module (memory (export "memory") 1) (table 600 funcref) (table 600 funcref) (func (export "_start")))"#;
    let run = kit.run(&kit.deploy(wat::parse_str(born).unwrap()).await).await;
    assert_eq!(run.limit(), Limit::TableElements);
}

#[tokio::test]
async fn waiting_ends_at_the_wall_clock_limit() {
    let kit = Kit::start();
    let short =
        |service: &mut wicket_config::Service| service.limits.timeout = Span(Duration::from_millis(300));
    let sleeps = guests::http("", "(call $block (call $after (i64.const 3600000000000)))");
    let sleeps = kit.deploy_with(sleeps, short).await;
    let began = Instant::now();
    let (_, report) = kit.get(&sleeps).await;
    assert_eq!(limit(&report), Limit::Timeout);
    assert_eq!(kit.run(&sleeps).await.limit(), Limit::Timeout);
    assert!(began.elapsed() < Duration::from_secs(3));
    assert!(report.usage.cpu_us < 100_000, "{report:?}");
    kit.empty().await;
}

/// Answers, and then writes 64 KiB for ever.
const FLOOD: &str = r"(local $s i32)
    (local.set $s (call $answer (local.get $out) (i32.const 200)))
    (loop $l
      (call $flush (local.get $s) (i32.const 0) (i32.const 4096) (i32.const 64))
      (br_if $l (i32.eqz (i32.load8_u (i32.const 64)))))
    (call $done (local.get $s))";

#[tokio::test]
async fn an_answer_over_the_output_limit_is_broken_off() {
    let kit = Kit::start();
    let (answer, report) = kit.get(&kit.deploy(guests::http("", FLOOD)).await).await;
    assert!(answer.unwrap_err().contains("output limit reached"));
    assert_eq!(limit(&report), Limit::Output);
    assert!(report.usage.bytes_out < (1 << 20) + 8192);
}

#[tokio::test]
async fn a_client_that_never_reads_holds_no_instance_longer_than_the_time_limit() {
    let kit = Kit::start();
    let short =
        |service: &mut wicket_config::Service| service.limits.timeout = Span(Duration::from_millis(300));
    let floods = kit.deploy_with(guests::http("", FLOOD), short).await;
    let (answer, report, _) = kit.call(&floods, body("")).await;
    let unread = answer.unwrap();
    assert_eq!(limit(&report.await.unwrap()), Limit::Timeout);
    kit.empty().await;
    // Whoever comes back to read finds that it was broken off.
    let error = unread.into_body().collect().await.expect_err("a broken answer").to_string();
    assert!(error.contains("timeout limit reached"), "{error}");
}

#[tokio::test]
async fn a_guest_that_fails_while_its_answer_streams_breaks_the_answer_off() {
    let kit = Kit::start();
    let fails = r"(local $s i32)
        (local.set $s (call $answer (local.get $out) (i32.const 200)))
        (call $flush (local.get $s) (i32.const 0) (i32.const 100) (i32.const 64))
        (call $block (call $after (i64.const 1000000)))
        (unreachable)";
    let (answer, report) = kit.get(&kit.deploy(guests::http("", fails)).await).await;
    assert!(answer.unwrap_err().contains("trapped"));
    assert!(matches!(report.result, Err(Failure::Trap { .. })), "{report:?}");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_guest() {
    let kit = Kit::start();
    let floods = kit.deploy(guests::http("", FLOOD)).await;
    let (answer, report, _) = kit.call(&floods, body("")).await;
    drop(answer);
    let report = report.await.unwrap();
    assert!(
        matches!(&report.result, Err(Failure::Cancelled { message }) if message.contains("client went away"))
    );
    kit.empty().await;
}

#[tokio::test]
async fn a_handler_without_an_answer_and_one_that_traps_say_so() {
    let kit = Kit::start();
    let (answer, _) = kit.get(&kit.deploy(guests::http("", "")).await).await;
    assert!(answer.unwrap_err().contains("returned without an answer"));
    let (answer, report) = kit.get(&kit.deploy(guests::http("", "(unreachable)")).await).await;
    assert!(answer.unwrap_err().contains("unreachable"));
    let Err(Failure::Trap { backtrace, .. }) = report.result else { panic!("{report:?}") };
    assert!(backtrace[0].contains("handle"), "{backtrace:?}");
}

#[tokio::test]
async fn a_request_body_over_its_limit_fails_even_if_the_guest_ignores_it() {
    let kit = Kit::start();
    let reads = guests::http(
        "",
        r"(call $consume (local.get $request) (i32.const 16))
        (call $stream (i32.load (i32.const 20)) (i32.const 16))
        (block $end (loop $more
          (call $read (i32.load (i32.const 20)) (i64.const 256) (i32.const 32))
          (br_if $end (i32.load8_u (i32.const 32)))
          (global.set $top (i32.const 8192))
          (br $more)))
        (call $done (call $answer (local.get $out) (i32.const 200)))",
    );
    let reads = kit.deploy(reads).await;
    let frames = (0..40).map(|_| Ok(http_body::Frame::data(bytes::Bytes::from(vec![0; 4096]))));
    let large = http_body_util::StreamBody::new(futures::stream::iter(frames));
    let (_, report, _) = kit.call(&reads, large.boxed_unsync()).await;
    assert_eq!(limit(&report.await.unwrap()), Limit::Body);
}

#[tokio::test]
async fn handles_end_at_their_limit() {
    let kit = Kit::start();
    let hoards = guests::http("", "(loop $l (drop (call $fields)) (br $l))");
    assert_eq!(kit.run(&kit.deploy(hoards).await).await.limit(), Limit::Handles);
    let files = guests::preview1(
        r#"(data (i32.const 1024) "event")"#,
        "(loop $l (br_if $l (i32.ne (i32.const -1)
            (call $open (i32.const 5) (i32.const 1024) (i32.const 5) (i32.const 0))))) (unreachable)",
    );
    assert_eq!(kit.run(&kit.deploy(files).await).await.limit(), Limit::Handles);
    // A resource of the guest's own, which no call of the host makes.
    let own = r#"(component
        (type $r (resource (rep i32)))
        (core func $new (canon resource.new $r))
        (core module $m
          (import "" "new" (func $new (param i32) (result i32)))
          (func (export "run") (result i32) (local $n i32)
            (loop $l
              (drop (call $new (i32.const 1)))
              (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
            (i32.const 0)))
        (core instance $m (instantiate $m (with "" (instance (export "new" (func $new))))))
        (func $run (result (result)) (canon lift (core func $m "run")))
        (instance $i (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $i)))"#;
    assert_eq!(kit.run(&kit.deploy(wat::parse_str(own).unwrap()).await).await.limit(), Limit::Handles);
}

#[tokio::test]
async fn headers_end_at_their_limit() {
    let kit = Kit::start();
    let floods = guests::http(
        r#"(data (i32.const 1024) "name")"#,
        r"(local $f i32) (local.set $f (call $fields))
        (loop $l
          (call $append (local.get $f) (i32.const 1024) (i32.const 4) (i32.const 1100) (i32.const 0) (i32.const 64))
          (br $l))",
    );
    let run = kit.run(&kit.deploy(floods).await).await;
    assert!(matches!(run.failure(), Failure::Trap { .. } | Failure::Limit { .. }), "{run:?}");
    assert!(run.report.usage.cpu_us < 1_000_000);
}

#[tokio::test]
async fn random_bytes_by_the_gigabyte_are_refused() {
    let kit = Kit::start();
    let greedy = guests::http("", "(call $random (i64.const 0x100000000) (i32.const 16))");
    let run = kit.run(&kit.deploy(greedy).await).await;
    assert!(matches!(run.failure(), Failure::Trap { .. }), "{run:?}");
}

#[tokio::test]
async fn a_log_keeps_its_limit_and_the_guest_goes_on() {
    let kit = Kit::start();
    let chatty = "(local $n i32) (loop $l
        (call $put (i32.const 2) (i32.const 1024) (i32.const 6))
        (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 5000))))";
    let run =
        kit.run(&kit.deploy(guests::preview1(r#"(data (i32.const 1024) "hello\n")"#, chatty)).await).await;
    assert!(run.report.result.is_ok());
    assert!(run.log.len() > 50 && run.log.len() < 70, "{}", run.log.len());
}

#[tokio::test]
async fn a_flood_of_log_is_stopped() {
    let kit = Kit::start();
    let at = "(data (i32.const 1024) \"line\\n\")";
    let floods = [
        guests::preview1(at, "(loop $l (call $put (i32.const 2) (i32.const 1024) (i32.const 5)) (br $l))"),
        // A line without an end is cut, not collected.
        guests::preview1(
            "",
            "(loop $l (call $put (i32.const 2) (i32.const 4096) (i32.const 60000)) (br $l))",
        ),
        guests::http(
            at,
            "(local $s i32) (local.set $s (call $stderr))
            (loop $l (call $flush (local.get $s) (i32.const 1024) (i32.const 5) (i32.const 64)) (br $l))",
        ),
        guests::event(
            at,
            "(loop $l (call $log (i32.const 2) (i32.const 1024) (i32.const 4)) (br $l)) (i32.const 0)",
        ),
    ];
    for floods in floods {
        let run = kit.run(&kit.deploy(floods).await).await;
        assert_eq!(run.limit(), Limit::Log);
        assert!(run.report.usage.peak_memory <= 2 << 16);
    }
}

#[tokio::test]
async fn standard_output_and_files_end_at_the_output_limit() {
    let kit = Kit::start();
    let floods = "(loop $l (call $put (i32.const 1) (i32.const 4096) (i32.const 60000)) (br $l))";
    assert_eq!(kit.run(&kit.deploy(guests::preview1("", floods)).await).await.limit(), Limit::Output);
    // At the end, by size.
    let file = r"(local $f i32) (local $n i32)
        (local.set $f (call $open (i32.const 4) (i32.const 1024) (i32.const 5) (i32.const 1)))
        (loop $l
          (call $put (local.get $f) (i32.const 4096) (i32.const 60000))
          (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 20))))";
    let name = r#"(data (i32.const 1024) "x.jpg")"#;
    let run = kit.run(&kit.deploy(guests::preview1(name, file)).await).await;
    assert_eq!(run.limit(), Limit::Output);
    assert!(run.outputs.is_empty());
    // While it runs.
    let file = file.replace("(i32.const 20)", "(i32.const -1)");
    let patient = |service: &mut wicket_config::Service| service.limits.cpu_time = Span::secs(60);
    let floods = kit.deploy_with(guests::preview1(name, &file), patient).await;
    assert_eq!(kit.run(&floods).await.limit(), Limit::Output);
    // To a file that is in no folder any more.
    let hidden = file.replace(
        "(loop $l",
        "(drop (call $unlink (i32.const 4) (i32.const 1024) (i32.const 5)))
        (loop $l",
    );
    let floods = kit.deploy_with(guests::preview1(name, &hidden), patient).await;
    assert_eq!(kit.run(&floods).await.limit(), Limit::Output);
}

#[tokio::test]
async fn nothing_of_one_call_is_seen_by_the_next() {
    let kit = Kit::start();
    // Looks for what an earlier one left in memory and in a global, then leaves it.
    let leaves = r"(drop (memory.grow (i32.const 20)))
        (if (i32.or (i32.load (i32.const 60000)) (i32.load (i32.const 1000000))) (then unreachable))
        (if (global.get $left) (then unreachable))
        (i32.store (i32.const 60000) (i32.const 0x5ec4e7))
        (i32.store (i32.const 1000000) (i32.const 0x5ec4e7))
        (global.set $left (i32.const 1))";
    let leaves = kit.deploy(guests::preview1("(global $left (mut i32) (i32.const 0))", leaves)).await;
    let looks = guests::preview1(
        "",
        "(drop (memory.grow (i32.const 20)))
        (if (i32.or (i32.load (i32.const 60000)) (i32.load (i32.const 1000000))) (then unreachable))",
    );
    let looks = kit.deploy(looks).await;
    for _ in 0..200 {
        for guest in [&leaves, &looks] {
            let run = kit.run(guest).await;
            assert!(run.report.result.is_ok(), "{run:?}");
        }
    }
}

#[tokio::test]
async fn calls_wait_for_an_instance_and_are_refused_in_the_end() {
    let kit = Kit::start();
    let sleeps = guests::http("", "(call $block (call $after (i64.const 2000000000)))");
    let sleeps = kit.deploy(sleeps).await;
    let calls = futures::future::join_all((0..51).map(|_| kit.get(&sleeps))).await;
    let refused: Vec<_> = calls
        .iter()
        .filter(|(_, report)| matches!(report.result, Err(Failure::Limit { limit: Limit::Concurrency, .. })))
        .collect();
    assert_eq!(refused.len(), 1);
}

#[tokio::test]
async fn a_guest_that_was_granted_more_uses_more() {
    let kit = Kit::start();
    let large = |service: &mut wicket_config::Service| service.limits.memory = ByteSize::mib(200);
    let grows = "(if (i32.eq (memory.grow (i32.const 3000)) (i32.const -1)) (then unreachable))";
    let run = kit.run(&kit.deploy_with(guests::preview1("", grows), large).await).await;
    assert!(run.report.result.is_ok(), "{run:?}");
    assert_eq!(run.report.usage.peak_memory, 3002 << 16);
}
