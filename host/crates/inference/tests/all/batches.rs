//! Calls run together where that changes nothing, and services take turns.

use std::time::Duration;

use futures::future::join_all;
use wicket_inference::{Batch, Dtype, InferenceError, InputKey, Model};

use crate::kit::{BACKENDS, Kit, on, only, to_floats, within};
use crate::onnx::{Dim, counts, looks_up, mixes_rows, one};

/// Long enough for all calls to come, on the busiest machine.
const WINDOW: Duration = Duration::from_secs(5);

fn batched(model: Model, size: u32, window: Duration) -> Model {
    Model { batch: Batch { size, window, independent: false }, ..model }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_agree_are_one_run_and_each_gets_its_own_rows() {
    let kit = Kit::start();
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Any("batch"), Dim::Is(2)]));
    for backend in BACKENDS {
        // Ten rows make it full before the window is over.
        let model = batched(on(backend, &model), 10, WINDOW);
        kit.inference.prepare(&model).await.unwrap();
        let calls = [(1_u64, 1.0_f32), (2, 2.0), (3, 3.0), (4, 4.0)].map(|(rows, number)| {
            let input = kit.floats(&[rows, 2], &vec![number; rows as usize * 2]);
            let (kit, model) = (&kit, &model);
            async move { (rows, number, kit.infer(model, input).await.unwrap()) }
        });
        for (rows, number, answer) in join_all(calls).await {
            assert_eq!(answer.outputs[0].1.shape(), [rows, 2]);
            assert_eq!(only(&answer), vec![number * 2.0; rows as usize * 2]);
            assert_eq!(answer.used.batch, 4, "{backend}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_ends_without_a_full_batch() {
    let kit = Kit::start();
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Any("batch"), Dim::Is(2)]));
    let model = batched(model, 100, Duration::from_millis(300));
    kit.inference.prepare(&model).await.unwrap();
    let calls = (0..3).map(|_| kit.infer(&model, kit.floats(&[1, 2], &[1.0, 2.0])));
    for answer in join_all(calls).await {
        let used = answer.unwrap().used;
        assert_eq!(used.batch, 3);
        assert!(used.queue >= Duration::from_millis(250), "{used:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_as_ran_together_last_wait_for_nobody_else() {
    let kit = Kit::start();
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Any("batch"), Dim::Is(2)]));
    // Never full: without the rule each round below waits for its whole window.
    let window = Duration::from_secs(1);
    let model = batched(model, 100, window);
    kit.inference.prepare(&model).await.unwrap();
    for (guests, waits) in [(3, true), (3, false), (1, true), (1, false), (1, false)] {
        let calls = (0..guests).map(|_| kit.infer(&model, kit.floats(&[1, 2], &[1.0, 2.0])));
        let used: Vec<_> = join_all(calls).await.into_iter().map(|answer| answer.unwrap().used).collect();
        assert!(used.iter().all(|one| one.batch == guests), "{guests}: {used:?}");
        // The window is that of the one that came first.
        assert_eq!(used.iter().any(|one| one.queue >= window), waits, "{guests}: {used:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_other_shapes_are_not_put_together() {
    let kit = Kit::start();
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Any("batch"), Dim::Any("width")]));
    let model = batched(model, 2, WINDOW);
    kit.inference.prepare(&model).await.unwrap();
    let calls = [2_u64, 3, 2, 3].map(|width| {
        let input = kit.floats(&[1, width], &vec![width as f32; width as usize]);
        let (kit, model) = (&kit, &model);
        async move { (width, kit.infer(model, input).await.unwrap()) }
    });
    for (width, answer) in join_all(calls).await {
        assert_eq!(only(&answer), vec![width as f32 * 2.0; width as usize]);
        assert_eq!(answer.used.batch, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_rows_depend_on_each_other_is_found_out_and_never_batched() {
    let kit = Kit::start();
    for bytes in [
        // The warm-up finds it out, since the width is known.
        one_row(2),
        // Only a batch finds it out.
        mixes_rows(),
    ] {
        let model = batched(kit.model(&bytes), 3, WINDOW);
        kit.inference.prepare(&model).await.unwrap();
        let calls = [1.0, 2.0, 3.0].map(|number| kit.infer(&model, kit.floats(&[1, 2], &[number, 0.0])));
        let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.iter().map(|answer| only(answer)[0]).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
        assert!(answers.iter().all(|answer| answer.used.batch == 1));
    }
}

/// Sums up its rows, and says of its output that it has as many as its input.
fn one_row(width: i64) -> Vec<u8> {
    use crate::onnx::{Graph, node, value, weights};
    let dims = [Dim::Any("batch"), Dim::Is(width)];
    Graph::new(
        vec![node("ReduceSum", &["x", "rows"], &["y"], &[])],
        vec![value("x", Dtype::F32, &dims)],
        vec![value("y", Dtype::F32, &dims)],
    )
    .with(weights("rows", Dtype::I64, &[1], &0_i64.to_le_bytes()))
    .model()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_call_of_a_batch_fails_alone() {
    let kit = Kit::start();
    let model = kit.model(&looks_up());
    for backend in BACKENDS {
        let model = batched(on(backend, &model), 3, WINDOW);
        kit.inference.prepare(&model).await.unwrap();
        let calls = [1, 99, 3].map(|row| kit.infer(&model, kit.longs(&[1, 1], &[row])));
        let answers = join_all(calls).await;
        let good = |at: usize| only(answers[at].as_ref().unwrap());
        assert_eq!((good(0), good(2)), (vec![11.0], vec![13.0]));
        let error = answers[1].as_ref().unwrap_err();
        assert!(matches!(error, InferenceError::Runtime { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_one_call_does_not_wait_for_all_of_a_greedy_one() {
    let kit = Kit::with(|settings| settings.runs = 1);
    let model = kit.model(&counts());
    kit.inference.prepare(&model).await.unwrap();
    let long = Duration::from_secs(60);
    let first = kit.count(&model, 200_000, within("greedy", long));
    kit.until("running", |device| device.running == 1).await;
    let greedy: Vec<_> = (0..20).map(|_| kit.count(&model, 20_000, within("greedy", long))).collect();
    kit.until("queued", |device| device.queued == 20).await;
    let modest = kit.count(&model, 1, within("modest", long)).await.unwrap().unwrap();
    assert_eq!(to_floats(&modest.outputs[0].1), [1.0]);
    let done = kit.inference.devices()[0].models[0].calls;
    assert!(done <= 5, "{done} calls of the greedy service went before");
    first.await.unwrap().unwrap();
    for call in join_all(greedy).await {
        call.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once_and_another_service_still_has_room() {
    let kit = Kit::with(|settings| {
        settings.runs = 1;
        settings.service_queue = 2;
        settings.queue = 3;
    });
    let model = kit.model(&counts());
    kit.inference.prepare(&model).await.unwrap();
    let long = Duration::from_secs(60);
    let first = kit.count(&model, -1, within("a", long));
    kit.until("running", |device| device.running == 1).await;
    let waiting: Vec<_> = (0..2).map(|_| kit.count(&model, 1, within("a", long))).collect();
    kit.until("queued", |device| device.queued == 2).await;
    let refused = kit.count(&model, 1, within("a", long)).await.unwrap().unwrap_err();
    assert_eq!(refused.to_string(), "busy: the queue of a for cpu is at its limit of 2");
    let other = kit.count(&model, 1, within("b", long));
    kit.until("queued", |device| device.queued == 3).await;
    let refused = kit.count(&model, 1, within("c", long)).await.unwrap().unwrap_err();
    assert_eq!(refused.to_string(), "busy: the queue for cpu is at its limit of 3");
    first.abort();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    other.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_forms_of_what_had_to_wait_anyway() {
    let kit = Kit::with(|settings| settings.runs = 1);
    let slow = kit.model(&counts());
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Any("batch"), Dim::Is(1)]));
    let model = batched(model, 32, Duration::ZERO);
    kit.inference.prepare(&slow).await.unwrap();
    kit.inference.prepare(&model).await.unwrap();
    let busy = kit.count(&slow, 300_000, within("slow", Duration::from_secs(60)));
    kit.until("running", |device| device.running == 1).await;
    let calls = (0..8_u8).map(|at| {
        let inputs = vec![(InputKey::Index(0), kit.floats(&[1, 1], &[f32::from(at)]))];
        let (kit, model) = (&kit, &model);
        async move { kit.infer_all(model, inputs, ["a", "b"][usize::from(at % 2)]).await.unwrap() }
    });
    for answer in join_all(calls).await {
        assert_eq!(answer.used.batch, 8);
    }
    busy.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_never_takes_most_of_the_time_that_a_call_has() {
    let kit = Kit::start();
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Any("batch"), Dim::Is(1)]));
    let model = batched(model, 100, Duration::from_secs(3600));
    kit.inference.prepare(&model).await.unwrap();
    let inputs = vec![(InputKey::Index(0), kit.floats(&[1, 1], &[1.0]))];
    let call = within("test", Duration::from_secs(2));
    let used = kit.inference.infer(&model, inputs, call).await.unwrap().used;
    assert!(used.queue >= Duration::from_millis(400), "{used:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_over_before_anybody_looks_holds_up_no_call() {
    let kit = Kit::start();
    let bytes = one("Add", Dtype::F32, &[Dim::Any("batch"), Dim::Is(2)]);
    for micros in [5, 20, 50, 100, 200] {
        let model = batched(kit.model(&bytes), 8, Duration::from_micros(micros));
        for n in 0..40_u8 {
            let input = kit.floats(&[1, 2], &[f32::from(n), 1.0]);
            let call = within("a", Duration::from_secs(10));
            let answer = kit.inference.infer(&model, vec![(InputKey::Index(0), input)], call).await;
            answer.unwrap_or_else(|error| panic!("call {n} with {micros} µs: {error}"));
        }
    }
}
