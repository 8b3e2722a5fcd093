//! What each shape gets and gives.

use std::sync::Arc;

use bytes::Bytes;
use wicket_core::{Data, Event, EventId, Failure};

use crate::guests;
use crate::kit::{Buckets, Kit, created};

#[tokio::test]
async fn an_http_handler_answers_with_a_fresh_instance_each_time() {
    let kit = Kit::start();
    let hello = kit.deploy(guests::hello()).await;
    for _ in 0..3 {
        let (answer, report) = kit.get(&hello).await;
        assert_eq!(answer.unwrap(), (200, Bytes::from_static(b"hello")));
        assert_eq!(report.result.unwrap().status, Some(200));
        assert_eq!(report.usage.bytes_out, 5);
        assert!(
            report.usage.startup_us > 0 && report.usage.cpu_us > 0 && report.usage.peak_memory >= 2 << 16
        );
    }
    kit.empty().await;
}

#[tokio::test]
async fn an_event_reaches_an_http_handler_as_a_post() {
    let kit = Kit::start();
    let hello = kit.deploy(guests::hello()).await;
    let run = kit.run(&hello).await;
    assert_eq!(run.text(), "hello");
    let refuses = guests::http("", "(call $done (call $answer (local.get $out) (i32.const 422)))");
    let run = kit.run(&kit.deploy(refuses).await).await;
    assert!(matches!(run.failure(), Failure::Function { permanent: true, .. }), "{run:?}");
    let fails = guests::http("", "(call $done (call $answer (local.get $out) (i32.const 503)))");
    let run = kit.run(&kit.deploy(fails).await).await;
    assert!(matches!(run.failure(), Failure::Function { permanent: false, .. }), "{run:?}");
}

#[tokio::test]
async fn a_request_body_streams_through_a_handler() {
    let kit = Kit::start();
    let echo = guests::http(
        "",
        r"(local $in i32) (local $s i32)
        (call $consume (local.get $request) (i32.const 16))
        (call $stream (i32.load (i32.const 20)) (i32.const 16))
        (local.set $in (i32.load (i32.const 20)))
        (local.set $s (call $answer (local.get $out) (i32.const 200)))
        (block $end (loop $more
          (call $read (local.get $in) (i64.const 4096) (i32.const 32))
          (br_if $end (i32.load8_u (i32.const 32)))
          (call $flush (local.get $s) (i32.load (i32.const 36)) (i32.load (i32.const 40)) (i32.const 64))
          (br $more)))
        (call $done (local.get $s))",
    );
    let echo = kit.deploy(echo).await;
    let sent: Bytes = vec![b'x'; 50_000].into();
    let (answer, report, _) = kit.call(&echo, crate::kit::body(sent.clone())).await;
    let got = http_body_util::BodyExt::collect(answer.unwrap().into_body()).await.unwrap().to_bytes();
    assert!(got == sent);
    let usage = report.await.unwrap().usage;
    assert_eq!((usage.bytes_in, usage.bytes_out), (50_000, 50_000));
}

const COPY: &str = r#"(data (i32.const 1024) "x.jpgdone/out.txt../escape/done")"#;

#[tokio::test]
async fn a_command_reads_its_input_file_and_its_output_files_are_staged() {
    let kit = Kit::start();
    // Descriptors of the folders: 3 /input, 4 /output, 5 /event. Copies x.jpg to done/out.txt, links to /, and escapes.
    let copy = guests::preview1(
        COPY,
        r"(local $n i32)
        (local.set $n (call $take (call $open (i32.const 3) (i32.const 1024) (i32.const 5) (i32.const 0))
          (i32.const 2048) (i32.const 100)))
        (drop (call $mkdir (i32.const 4) (i32.const 1029) (i32.const 4)))
        (call $put (call $open (i32.const 4) (i32.const 1029) (i32.const 12) (i32.const 1)) (i32.const 2048) (local.get $n))
        (drop (call $path_symlink (i32.const 1029) (i32.const 4) (i32.const 4) (i32.const 1024) (i32.const 5)))
        (if (i32.ne (call $open (i32.const 4) (i32.const 1041) (i32.const 9) (i32.const 1)) (i32.const -1)) (then unreachable))
        (if (i32.ne (call $open (i32.const 3) (i32.const 1029) (i32.const 4) (i32.const 1)) (i32.const -1)) (then unreachable))
        (call $put (i32.const 1) (i32.const 1024) (i32.const 5))",
    );
    let copy = kit.deploy(copy).await;
    let run = kit.execute(&copy, created("in/x.jpg"), Buckets::with("in/x.jpg", "pixels")).await;
    assert_eq!(run.text(), "x.jpg");
    assert_eq!(run.log, ["x.jpg"]);
    let outputs: Vec<_> = run.outputs.iter().map(|(name, (_, bytes))| (name.as_str(), &bytes[..])).collect();
    assert_eq!(outputs, [("done/out.txt", &b"pixels"[..])]);
    assert_eq!(run.report.usage.bytes_in, 6);
}

const PRINT_ENVIRONMENT: &str = r"
(drop (call $environ_sizes (i32.const 16) (i32.const 20)))
(drop (call $environ (i32.const 32768) (i32.const 40960)))
(call $put (i32.const 1) (i32.const 40960) (i32.load (i32.const 20)))";

#[tokio::test]
async fn a_command_sees_its_own_environment_and_nothing_else() {
    let kit = Kit::start();
    let print = guests::preview1("", PRINT_ENVIRONMENT);
    let print = kit
        .deploy_with(print, |service| {
            service.environment.insert("MODE".into(), "small".into());
            service.secrets.push("TOKEN".into());
        })
        .await;
    let run = kit.execute(&print, created("in/x.jpg"), Buckets::with("in/x.jpg", "p")).await;
    let all: Vec<&str> = run.text().trim_end_matches('\0').split('\0').collect();
    let names: Vec<&str> = all.iter().map(|pair| pair.split('=').next().unwrap()).collect();
    let expected = [
        "MODE",
        "TOKEN",
        "TMP_INPUT_DIR",
        "TMP_OUTPUT_DIR",
        "INPUT_FILE_PATH",
        "STORAGE_OBJECT_KEY",
        "EVENT_TIME",
        "EVENT_FILE",
        "EVENT",
    ];
    assert_eq!(names, expected);
    assert!(all.contains(&"INPUT_FILE_PATH=/input/x.jpg") && all.contains(&"STORAGE_OBJECT_KEY=in/x.jpg"));
}

#[tokio::test]
async fn a_secret_that_a_guest_prints_is_not_in_its_log_nor_in_its_failure() {
    let kit = Kit::start();
    let with_secret = |service: &mut wicket_config::Service| service.secrets.push("TOKEN".into());
    let at = r#"(data (i32.const 1024) "a s3cret!\n")"#;
    let prints = guests::preview1(
        at,
        "(call $put (i32.const 2) (i32.const 1024) (i32.const 10)) (call $put (i32.const 1) (i32.const 1024) (i32.const 9))",
    );
    let run = kit.run(&kit.deploy_with(prints, with_secret).await).await;
    assert_eq!(run.log, ["a [secret]!", "a [secret]!"]);
    // What it answers is its own business.
    assert_eq!(run.text(), "a s3cret!");
    let fails = guests::event(
        at,
        "(call $log (i32.const 1) (i32.const 1024) (i32.const 9))
        (i32.store8 (i32.const 512) (i32.const 1)) (i32.store8 (i32.const 516) (i32.const 1))
        (i32.store (i32.const 520) (i32.const 1024)) (i32.store (i32.const 524) (i32.const 9)) (i32.const 512)",
    );
    let run = kit.run(&kit.deploy_with(fails, with_secret).await).await;
    assert_eq!(run.log, ["a [secret]!"]);
    assert_eq!(run.failure(), &Failure::Function { message: "a [secret]!".into(), permanent: true });
    let refuses = guests::http(
        at,
        "(local $s i32)
        (call $flush (call $stderr) (i32.const 1024) (i32.const 10) (i32.const 64))
        (local.set $s (call $answer (local.get $out) (i32.const 418)))
        (call $flush (local.get $s) (i32.const 1024) (i32.const 9) (i32.const 64))
        (call $done (local.get $s))",
    );
    let run = kit.run(&kit.deploy_with(refuses, with_secret).await).await;
    assert_eq!(run.log, ["a [secret]!"]);
    assert!(
        matches!(run.failure(), Failure::Function { message, .. } if message.ends_with("a [secret]!")),
        "{run:?}"
    );
}

#[tokio::test]
async fn a_secret_across_the_cut_of_a_long_line_is_not_in_the_log() {
    let kit = Kit::start();
    // 20,000 times `x`, with the secret in it at the place that is given.
    let prints = |at: usize, times: u32| {
        guests::preview1(
            r#"(data $secret "s3cret")"#,
            &format!(
                "(local $n i32)
                (memory.fill (i32.const 20000) (i32.const 120) (i32.const 20000))
                (memory.init $secret (i32.const {}) (i32.const 0) (i32.const 6))
                (loop $l
                  (call $put (i32.const 2) (i32.add (i32.const 20000) (local.get $n)) (i32.const {}))
                  (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const {}))) (i32.const 20000))))",
                20000 + at,
                20000 / times,
                20000 / times,
            ),
        )
    };
    for (at, times) in [(16381, 1), (16384 - 6, 1), (16384, 1), (16386, 4), (9998, 2)] {
        let edit = |service: &mut wicket_config::Service| {
            service.secrets.push("TOKEN".into());
            service.limits.log = wicket_config::ByteSize::kib(64);
        };
        let run = kit.run(&kit.deploy_with(prints(at, times), edit).await).await;
        assert!(run.log.len() > 1, "{} lines", run.log.len());
        let expected = format!("{}[secret]{}", "x".repeat(at), "x".repeat(20_000 - at - 6));
        assert!(run.log.concat() == expected, "at {at}, {times} times");
    }
}

/// Where there are only zeros.
const ZEROS: usize = 2 << 16;

/// An event handler that fails with so many zeros.
fn fails_with(len: usize) -> Vec<u8> {
    let code = format!(
        "(drop (memory.grow (i32.const 100)))
        (i32.store8 (i32.const 512) (i32.const 1)) (i32.store8 (i32.const 516) (i32.const 0))
        (i32.store (i32.const 520) (i32.const {ZEROS})) (i32.store (i32.const 524) (i32.const {len})) (i32.const 512)"
    );
    guests::event("", &code)
}

/// An HTTP handler that answers with an internal error, in these bytes of its memory.
fn errs_with(at: usize, len: usize) -> Vec<u8> {
    guests::http(
        r#"(data (i32.const 1024) "a s3cret!")"#,
        // The last case of error-code, its text's option, and that.
        &format!(
            "(drop (memory.grow (i32.const 100)))
            (call $set (local.get $out) (i32.const 1) (i32.const 38) (i32.const 1) (i64.const {at}) (i32.const {len})
            (i32.const 0) (i32.const 0) (i32.const 0))"
        ),
    )
}

#[tokio::test]
async fn what_a_guest_says_of_its_failure_is_short_and_without_secrets() {
    let kit = Kit::start();
    let with_secret = |service: &mut wicket_config::Service| service.secrets.push("TOKEN".into());
    let message = |run: &crate::kit::Run| match run.failure() {
        Failure::Function { message, .. } => message.clone(),
        other => panic!("{other}"),
    };
    let long = kit.deploy_with(fails_with(6 << 20), with_secret).await;
    assert_eq!(message(&kit.run(&long).await).len(), 4 << 10);
    let long = kit.deploy_with(errs_with(ZEROS, 6 << 20), with_secret).await;
    let said = message(&kit.run(&long).await);
    assert!(said.len() < 5 << 10 && said.contains("InternalError"), "{} bytes", said.len());
    let (answer, _) = kit.get(&long).await;
    assert!(answer.unwrap_err().len() < 5 << 10);
    let secret = kit.deploy_with(errs_with(1024, 9), with_secret).await;
    let said = message(&kit.run(&secret).await);
    assert!(said.contains("a [secret]!"), "{said}");
}

#[tokio::test]
async fn a_joined_command_gets_all_parts_in_one_folder() {
    let kit = Kit::start();
    let print = kit.deploy(guests::preview1("", PRINT_ENVIRONMENT)).await;
    let buckets = Buckets::with("a/x.jpg", "1");
    buckets.objects.lock().unwrap().insert("b/x.jpg".into(), "2".into());
    let mut event = Event::new("join", "joined", EventId("1".into()));
    event.data = Data::Parts(vec![created("a/x.jpg"), created("b/x.jpg")]);
    let run = kit.execute(&print, event, buckets).await;
    assert!(run.text().contains("INPUT_FILE_PATH=/input\0"), "{}", run.text());
    assert_eq!(run.report.usage.bytes_in, 2);
}

#[tokio::test]
async fn a_command_that_fails_puts_out_nothing_and_its_last_line_is_the_reason() {
    let kit = Kit::start();
    let fails = guests::preview1(
        COPY,
        r"(call $put (call $open (i32.const 4) (i32.const 1024) (i32.const 5) (i32.const 1)) (i32.const 1024) (i32.const 5))
        (call $put (i32.const 2) (i32.const 1024) (i32.const 5))
        (call $exit (i32.const 3))",
    );
    let run = kit.run(&kit.deploy(fails).await).await;
    let expected = Failure::Function { message: "exit status 3: x.jpg".into(), permanent: false };
    assert_eq!(run.failure(), &expected);
    assert!(run.outputs.is_empty());
    assert_eq!(run.log, ["x.jpg"]);
}

#[tokio::test]
async fn an_input_that_is_gone_is_no_fault_of_the_function() {
    let kit = Kit::start();
    let nothing = kit.deploy(guests::preview1("", "")).await;
    let run = kit.execute(&nothing, created("in/gone"), Arc::default()).await;
    assert!(matches!(run.failure(), Failure::Input { message } if message.contains("in/gone")), "{run:?}");
}

#[tokio::test]
async fn a_posted_body_is_a_commands_standard_input() {
    let kit = Kit::start();
    let cat = guests::preview1(
        "",
        "(call $put (i32.const 1) (i32.const 2048) (call $take (i32.const 0) (i32.const 2048) (i32.const 100)))",
    );
    let cat = kit.deploy(cat).await;
    let mut event = Event::new("run", wicket_core::kinds::POSTED, EventId("1".into()));
    event.data = Data::Inline("a body".into());
    assert_eq!(kit.execute(&cat, event, Arc::default()).await.text(), "a body");
}

/// Reads the first object into an output of the name `made`, and answers with its bytes.
const COPY_OBJECT: &str = r"
(local $o i32)
(call $read (i32.load (i32.load offset=84 (local.get $args))) (i32.const 100) (i32.const 32))
(local.set $o (call $output (i32.const 1024) (i32.const 4) (i32.const 1) (i32.const 1028) (i32.const 10)))
(call $write (local.get $o) (i32.load (i32.const 36)) (i32.load (i32.const 40)) (i32.const 64))
(call $finish (local.get $o) (i32.const 64))
(call $log (i32.const 2) (i32.const 1024) (i32.const 4))
(i32.store8 (i32.const 512) (i32.const 0))
(i32.store (i32.const 516) (i32.load (i32.const 36)))
(i32.store (i32.const 520) (i32.load (i32.const 40)))
(i32.const 512)";

#[tokio::test]
async fn an_event_handler_reads_objects_and_writes_outputs() {
    let kit = Kit::start();
    let copy = guests::event(r#"(data (i32.const 1024) "madetext/plain")"#, COPY_OBJECT);
    let copy = kit.deploy(copy).await;
    let run = kit.execute(&copy, created("in/x"), Buckets::with("in/x", "pixels")).await;
    assert_eq!(run.text(), "pixels");
    assert_eq!(run.outputs["made"], (Some("text/plain".into()), Bytes::from_static(b"pixels")));
    assert_eq!(run.log, ["warn: made"]);
    assert_eq!((run.report.usage.bytes_in, run.report.usage.bytes_out), (6, 12));
}

#[tokio::test]
async fn an_event_handler_is_told_an_objects_media_type() {
    let kit = Kit::start();
    let tells = guests::event(
        "",
        "(call $type (i32.load (i32.load offset=84 (local.get $args))) (i32.const 32))
        (if (i32.eqz (i32.load8_u (i32.const 32))) (then unreachable))
        (i32.store8 (i32.const 512) (i32.const 0))
        (i32.store (i32.const 516) (i32.load (i32.const 36)))
        (i32.store (i32.const 520) (i32.load (i32.const 40)))
        (i32.const 512)",
    );
    let run = kit.execute(&kit.deploy(tells).await, created("in/x"), Buckets::with("in/x", "pixels")).await;
    assert_eq!(run.text(), crate::kit::TEXT);
}

#[tokio::test]
async fn outputs_are_staged_while_they_are_written() {
    let kit = Kit::start();
    // Two outputs, of which neither is finished.
    let writes = guests::event(
        r#"(data (i32.const 1024) "ab")"#,
        "(local $a i32) (local $b i32) (drop (memory.grow (i32.const 10)))
        (local.set $a (call $output (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
        (local.set $b (call $output (i32.const 1025) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
        (call $write (local.get $a) (i32.const 0) (i32.const 400000) (i32.const 64))
        (call $write (local.get $b) (i32.const 0) (i32.const 400000) (i32.const 64))
        (call $write (local.get $a) (i32.const 0) (i32.const 10) (i32.const 64))
        (i32.store8 (i32.const 512) (i32.const 0)) (i32.store (i32.const 520) (i32.const 0)) (i32.const 512)",
    );
    let buckets = Arc::new(Buckets::default());
    let run = kit.execute(&kit.deploy(writes).await, created("in/x"), buckets.clone()).await;
    assert_eq!(run.report.usage.bytes_out, 800_010);
    assert!(run.report.result.is_ok() && run.outputs.is_empty(), "{run:?}");
    let pieces = buckets.pieces.lock().unwrap().clone();
    let (held, most) = (800_010 - pieces.iter().sum::<usize>(), *pieces.iter().max().unwrap());
    assert!(most <= 64 << 10 && held <= 2 * (64 << 10), "{held} held, {most} at once");
}

#[tokio::test]
async fn an_event_handler_says_whether_another_attempt_may_succeed() {
    let kit = Kit::start();
    for (case, expected) in [(0, false), (1, true)] {
        let never = guests::event(
            r#"(data (i32.const 1024) "no!")"#,
            &format!(
                "(i32.store8 (i32.const 512) (i32.const 1)) (i32.store8 (i32.const 516) (i32.const {case}))
                (i32.store (i32.const 520) (i32.const 1024)) (i32.store (i32.const 524) (i32.const 3)) (i32.const 512)"
            ),
        );
        let run = kit.run(&kit.deploy(never).await).await;
        assert_eq!(run.failure(), &Failure::Function { message: "no!".into(), permanent: expected });
    }
}
