//! A caller that is gone, or past its deadline, costs the others nothing.

use std::time::{Duration, Instant};

use wicket_inference::{Backend, Dtype, InferenceError, Stage};

use crate::kit::{Kit, on, only, within};
use crate::onnx::{Dim, counts, one};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_past_its_deadline_is_ended_and_the_worker_lives() {
    let kit = Kit::with(|settings| settings.runs = 1);
    let model = kit.model(&counts());
    kit.inference.prepare(&model).await.unwrap();
    let process = kit.process();
    let time = Duration::from_millis(200);
    let error = kit.count(&model, -1, within("test", time)).await.unwrap().unwrap_err();
    let InferenceError::Timeout { stage, after } = error else { panic!("{error}") };
    assert_eq!(stage, Stage::Running);
    assert!(after <= time);
    // The only lane is free again, in the same process.
    let answer = kit.count(&model, 3, within("test", Duration::from_secs(60))).await.unwrap().unwrap();
    assert_eq!(only(&answer), [3.0]);
    assert_eq!(kit.process(), process);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_caller_left_is_ended() {
    let kit = Kit::with(|settings| settings.runs = 1);
    let model = kit.model(&counts());
    kit.inference.prepare(&model).await.unwrap();
    let process = kit.process();
    let long = Duration::from_secs(600);
    let running = kit.count(&model, -1, within("test", long));
    kit.until("running", |device| device.running == 1).await;
    let queued = kit.count(&model, -1, within("test", long));
    kit.until("queued", |device| device.queued == 1).await;
    queued.abort();
    kit.until("empty", |device| device.queued == 0).await;
    running.abort();
    kit.until("idle", |device| device.running == 0).await;
    assert_eq!(kit.process(), process);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_times_out_where_it_waits() {
    let kit = Kit::with(|settings| settings.runs = 1);
    let model = kit.model(&counts());
    kit.inference.prepare(&model).await.unwrap();
    let running = kit.count(&model, -1, within("a", Duration::from_secs(600)));
    kit.until("running", |device| device.running == 1).await;
    let error = kit.count(&model, 1, within("b", Duration::from_millis(50))).await.unwrap().unwrap_err();
    assert!(matches!(error, InferenceError::Timeout { stage: Stage::Queued, .. }), "{error}");
    assert_eq!(kit.inference.devices()[0].queued, 0);
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_be_ended_is_ended_with_its_worker_and_the_others_are_tried_again() {
    let kit = Kit::start();
    // The built-in backend hears nothing while it runs.
    let endless = on(Backend::Builtin, &kit.model(&counts()));
    kit.inference.prepare(&endless).await.unwrap();
    let process = kit.process();
    // A bystander that outlasts the deadline and the grace, on the other backend.
    let other = on(Backend::OnnxRuntime, &endless);
    kit.inference.prepare(&other).await.unwrap();
    let bystander = kit.count(&other, 600_000, within("other", Duration::from_secs(120)));
    kit.until("running", |device| device.running == 1).await;
    let begun = Instant::now();
    let error =
        kit.count(&endless, -1, within("test", Duration::from_millis(100))).await.unwrap().unwrap_err();
    assert!(matches!(error, InferenceError::Timeout { stage: Stage::Running, .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    kit.until("another process", |device| device.worker.is_some_and(|now| now != process)).await;
    assert_eq!(only(&bystander.await.unwrap().unwrap()), [600_000.0]);
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Is(1)]));
    assert_eq!(only(&kit.infer(&model, kit.floats(&[1], &[4.0])).await.unwrap()), [8.0]);
}
