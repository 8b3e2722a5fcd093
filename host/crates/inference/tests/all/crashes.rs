//! A worker that ends costs the call that ended it, and no other.

use std::time::Duration;

use wicket_inference::{Backend, Dtype, InferenceError, Model};

use crate::kit::{Kit, kill, on, only, within};
use crate::onnx::{Dim, counts, fills, one};

const LONG: Duration = Duration::from_secs(120);

/// Four bytes each are more than a worker may have.
const TOO_MUCH: i64 = i32::MAX as i64;

/// A model that ends its worker: the built-in backend gives up where there is no memory.
fn poison(kit: &Kit) -> Model {
    on(Backend::Builtin, &kit.model(&fills()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_costs_at_most_the_call_under_way() {
    let kit = Kit::start();
    let model = kit.model(&counts());
    kit.inference.prepare(&model).await.unwrap();
    let running = kit.count(&model, -1, within("test", LONG));
    kit.until("running", |device| device.running == 1).await;
    let process = kit.process();
    kill(process);
    let error = running.await.unwrap().unwrap_err();
    let InferenceError::Crashed { why, .. } = error else { panic!("{error}") };
    assert!(why.contains("signal: 9"), "{why}");
    let answer = kit.count(&model, 2, within("test", LONG)).await.unwrap().unwrap();
    assert_eq!(only(&answer), [2.0]);
    let status = &kit.inference.devices()[0];
    assert_eq!(status.crashes, 1);
    assert_ne!(status.worker, Some(process));
}

#[test]
fn a_worker_ends_with_its_host() {
    use std::io::{BufRead as _, BufReader};
    let mut host = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_host_to_be_killed", "--nocapture", "--skip", crate::kit::HOST_MARK])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(host.stderr.take().unwrap()).lines();
    let worker =
        lines.map(Result::unwrap).find_map(|line| line.strip_prefix("worker ").map(str::to_owned)).unwrap();
    let lives = || {
        let stat = std::fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
        // Who adopts it may be slow to look.
        stat.rsplit_once(')').is_some_and(|(_, state)| !state.trim_start().starts_with('Z'))
    };
    assert!(lives());
    host.kill().unwrap();
    host.wait().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while lives() {
        assert!(std::time::Instant::now() < deadline, "process {worker} still lives");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_calls_none_is_lost_with_a_worker_that_was_killed() {
    let kit = Kit::with(|settings| settings.runs = 3);
    let model = kit.model(&counts());
    kit.inference.prepare(&model).await.unwrap();
    let calls: Vec<_> = (0..6).map(|_| kit.count(&model, 150_000, within("test", LONG))).collect();
    kit.until("running", |device| device.running == 3).await;
    kill(kit.process());
    for call in calls {
        assert_eq!(only(&call.await.unwrap().unwrap()), [150_000.0]);
    }
    assert_eq!(kit.inference.devices()[0].crashes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_ends_its_worker_is_found_among_several() {
    let kit = Kit::with(|settings| settings.runs = 3);
    let (poison, model) = (poison(&kit), kit.model(&counts()));
    kit.inference.prepare(&model).await.unwrap();
    kit.inference.prepare(&poison).await.unwrap();
    let calls: Vec<_> = (0..2).map(|_| kit.count(&model, 400_000, within("test", LONG))).collect();
    kit.until("running", |device| device.running == 2).await;
    let error = kit.infer(&poison, kit.longs(&[1], &[TOO_MUCH])).await.unwrap_err();
    assert!(matches!(error, InferenceError::Crashed { .. }), "{error}");
    for call in calls {
        assert_eq!(only(&call.await.unwrap().unwrap()), [400_000.0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_ends_its_worker_again_and_again_is_set_aside_and_the_others_are_not() {
    let kit = Kit::with(|settings| settings.back_off = Duration::from_secs(3600));
    let (poison, model) = (poison(&kit), kit.model(&one("Add", Dtype::F32, &[Dim::Is(1)])));
    for _ in 0..3 {
        let error = kit.infer(&poison, kit.longs(&[1], &[TOO_MUCH])).await.unwrap_err();
        assert!(matches!(error, InferenceError::Crashed { .. }), "{error}");
        assert_eq!(only(&kit.infer(&model, kit.floats(&[1], &[1.0])).await.unwrap()), [2.0]);
    }
    let error = kit.infer(&poison, kit.longs(&[1], &[1])).await.unwrap_err();
    let InferenceError::SetAside { again, why, .. } = error else { panic!("{error}") };
    assert!(again > Duration::from_secs(3000));
    assert!(why.contains("signal: 6"), "{why}");
    assert_eq!(only(&kit.infer(&model, kit.floats(&[1], &[1.0])).await.unwrap()), [2.0]);
    let status = &kit.inference.devices()[0];
    assert_eq!((status.crashes, status.models.iter().filter(|one| one.set_aside.is_some()).count()), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_set_aside_is_tried_again_after_a_while() {
    let kit = Kit::with(|settings| settings.back_off = Duration::from_millis(1));
    let poison = poison(&kit);
    for _ in 0..3 {
        kit.infer(&poison, kit.longs(&[1], &[TOO_MUCH])).await.unwrap_err();
    }
    loop {
        match kit.infer(&poison, kit.longs(&[1], &[2])).await {
            Ok(answer) => break assert_eq!(only(&answer), [0.0, 0.0]),
            Err(error) => assert!(matches!(error, InferenceError::SetAside { .. }), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_start_is_a_named_error() {
    let kit = Kit::with(|settings| settings.worker.program = "/nowhere/wicket".into());
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Is(1)]));
    let error = kit.inference.prepare(&model).await.unwrap_err();
    assert!(error.to_string().starts_with("starting the inference worker /nowhere/wicket: "), "{error}");
    let kit = Kit::with(|settings| settings.worker.program = "/bin/false".into());
    let error = kit.inference.prepare(&model).await.unwrap_err();
    assert!(error.to_string().contains("exit status: 1"), "{error}");
}
