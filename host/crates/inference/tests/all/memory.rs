//! Budgets: of models on a device, and of tensors between processes.

use wicket_inference::{Dtype, InferenceError, Model};

use crate::kit::{Kit, only};
use crate::onnx::{Dim, one, weighs};

const MIB: u64 = 1 << 20;

/// A model of so many MiB of weights, each with another digest.
fn heavy(kit: &Kit, mib: usize, at: usize) -> Model {
    kit.model(&weighs((mib << 18) + at))
}

fn loaded(kit: &Kit) -> Vec<String> {
    let status = &kit.inference.devices()[0];
    assert!(status.memory <= status.memory_limit, "{status:?}");
    status.models.iter().filter(|model| model.loaded).map(|model| model.digest.to_string()).collect()
}

#[track_caller]
fn are_loaded(kit: &Kit, models: &[&Model]) {
    let mut wanted: Vec<String> = models.iter().map(|model| model.digest.to_string()).collect();
    wanted.sort();
    assert_eq!(loaded(kit), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_that_was_not_used_for_longest_makes_room_unless_it_is_pinned() {
    let kit = Kit::with(|settings| settings.cpu_memory = 20 * MIB);
    let [a, b, c] = [0, 1, 2].map(|at| heavy(&kit, 8, at));
    let a = Model { pinned: true, ..a };
    let x = kit.longs(&[1], &[2]);
    for model in [&a, &b] {
        kit.infer(model, x.clone()).await.unwrap();
    }
    are_loaded(&kit, &[&a, &b]);
    kit.infer(&c, x.clone()).await.unwrap();
    are_loaded(&kit, &[&a, &c]);
    // What was unloaded is loaded again when it is called.
    let answer = kit.infer(&b, x.clone()).await.unwrap();
    assert_eq!(only(&answer), [1.0]);
    are_loaded(&kit, &[&a, &b]);
    kit.inference.release(&a).await;
    are_loaded(&kit, &[&b]);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_that_do_not_fit_together_take_turns() {
    let kit = Kit::with(|settings| settings.cpu_memory = 12 * MIB);
    let models = [0, 1].map(|at| heavy(&kit, 8, at));
    let x = kit.longs(&[1], &[2]);
    // Each has calls waiting while the other one is loaded.
    let calls = (0..24).map(|n| kit.infer(&models[n % 2], x.clone()));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(only(&answer.unwrap()), [1.0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_can_never_fit_is_refused_with_figures() {
    let kit = Kit::with(|settings| settings.cpu_memory = 4 * MIB);
    let model = heavy(&kit, 8, 0);
    let size = std::fs::metadata(&model.path).unwrap().len();
    let error = kit.inference.prepare(&model).await.unwrap_err();
    let InferenceError::TooLarge { what, size: said, limit } = error else { panic!("{error}") };
    assert_eq!((said, limit), (size, 4 * MIB));
    assert!(what.contains(&model.digest[..12]) && what.contains("cpu"), "{what}");
    let kit = Kit::with(|settings| settings.max_model = MIB);
    let error = kit.inference.prepare(&model).await.unwrap_err();
    assert!(matches!(error, InferenceError::TooLarge { limit: MIB, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_service_adds_no_memory() {
    let kit = Kit::start();
    let model = heavy(&kit, 8, 0);
    let x = kit.longs(&[1], &[2]);
    let input = || vec![(wicket_inference::InputKey::Index(0), x.clone())];
    kit.infer_all(&model, input(), "first").await.unwrap();
    let before = kit.inference.devices()[0].memory;
    kit.infer_all(&model, input(), "second").await.unwrap();
    assert_eq!(kit.inference.devices()[0].memory, before);
    assert_eq!(loaded(&kit).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tensors_are_bounded_and_their_memory_is_used_again() {
    let kit = Kit::with(|settings| {
        settings.max_tensors = MIB;
        settings.shared_memory = 4 * MIB;
    });
    let error = kit.inference.buffer(MIB as usize + 1).unwrap_err();
    assert!(matches!(error, InferenceError::TooLarge { .. }), "{error}");
    let held: Vec<_> = (0..4).map(|_| kit.inference.buffer(MIB as usize).unwrap()).collect();
    let error = kit.inference.buffer(1).unwrap_err();
    assert!(matches!(error, InferenceError::Busy { .. }), "{error}");
    drop(held);
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Any("n")]));
    let numbers = vec![1.0_f32; 100_000];
    for _ in 0..20 {
        let answer = kit.infer(&model, kit.floats(&[100_000], &numbers)).await.unwrap();
        assert_eq!(only(&answer)[99_999], 2.0);
    }
    let (all, free) = kit.inference.shared_memory();
    assert!(all <= 2 * MIB && all == free, "{all} {free}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_drops_make_the_next_call_busy_and_not_the_worker_gone() {
    let kit = Kit::with(|settings| settings.shared_memory = 8 * MIB);
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Any("n")]));
    let x = kit.floats(&[1 << 18], &vec![1.0; 1 << 18]);
    let mut held = Vec::new();
    let error = loop {
        match kit.infer(&model, x.clone()).await {
            Ok(answer) => held.push(answer),
            Err(error) => break error,
        }
        assert!(held.len() < 20);
    };
    assert!(matches!(error, InferenceError::Busy { .. }), "{error}");
    held.clear();
    kit.infer(&model, x).await.unwrap();
    assert_eq!(kit.inference.devices()[0].crashes, 0);
}

#[test]
fn what_a_buffer_held_before_is_never_seen() {
    let kit = Kit::start();
    let mut first = kit.inference.buffer(8).unwrap();
    first.put(b"a secret").unwrap();
    drop(first.freeze());
    let mut second = kit.inference.buffer(8).unwrap();
    second.put(b"ok").unwrap();
    assert_eq!(&second.freeze()[..], b"ok\0\0\0\0\0\0");
    let mut third = kit.inference.buffer(2).unwrap();
    third.put(b"long").unwrap_err();
}
