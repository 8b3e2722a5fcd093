//! What goes in comes out, whatever it is of, on both backends.

use std::time::Duration;

use wicket_inference::{Backend, Dtype, InferenceError, InputKey, Model, Target};

use crate::kit::{BACKENDS, Kit, on, only, to_floats, within};
use crate::onnx::{Dim, Graph, node, one, value};

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_loaded_once_and_says_what_it_takes() {
    let kit = Kit::start();
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Any("batch"), Dim::Is(3)]));
    for backend in BACKENDS {
        let model = on(backend, &model);
        let info = kit.inference.prepare(&model).await.unwrap();
        assert_eq!(info.backend, backend);
        assert_eq!(
            (info.inputs.len(), info.inputs[0].name.as_str(), info.inputs[0].dtype),
            (1, "x", Dtype::F32)
        );
        assert_eq!(info.inputs[0].dims.as_deref().unwrap(), [None, Some(3)]);
        assert_eq!(info.outputs[0].name, "y");
        assert!(info.batchable && !info.fallback);
        let input = kit.floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let answer = kit.infer(&model, input).await.unwrap();
        assert_eq!(answer.outputs[0].0, "y");
        assert_eq!(answer.outputs[0].1.shape(), [2, 3]);
        assert_eq!(only(&answer), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
        let used = &answer.used;
        assert_eq!((used.batch, used.device, used.backend, used.fallback), (1, Target::Cpu, backend, false));
        assert!(std::sync::Arc::ptr_eq(&kit.inference.prepare(&model).await.unwrap(), &info), "loaded again");
    }
    kit.inference.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_through_as_it_is() {
    let kit = Kit::start();
    for dtype in Dtype::ALL {
        let model = kit.model(&one("Identity", dtype, &[Dim::Any("a"), Dim::Any("b")]));
        let bytes: Vec<u8> =
            (0..6 * dtype.size()).map(|at| if dtype == Dtype::Bool { at % 2 } else { at } as u8).collect();
        let small: Vec<u8> =
            (0..6).flat_map(|at: u8| [vec![at], vec![0; dtype.size() - 1]].concat()).collect();
        for backend in BACKENDS {
            let served = backend == Backend::OnnxRuntime
                || matches!(
                    dtype,
                    Dtype::F32 | Dtype::I32 | Dtype::I64 | Dtype::U8 | Dtype::I8 | Dtype::Bool
                );
            // Inside the built-in one 64 bits are 32.
            let bytes = if dtype == Dtype::I64 && backend == Backend::Builtin { &small } else { &bytes };
            let input = kit.inference.tensor(dtype, &[2, 3], bytes).unwrap();
            match kit.infer(&on(backend, &model), input).await {
                Ok(answer) => {
                    let (_, output) = &answer.outputs[0];
                    assert_eq!(
                        (output.dtype(), output.shape(), &output.data()[..]),
                        (dtype, &[2, 3][..], &bytes[..])
                    );
                }
                Err(InferenceError::BadModel { why, .. }) if !served => {
                    assert!(why.contains(dtype.name()) && why.contains("built-in"), "{why}");
                }
                Err(error) => panic!("{dtype} on {backend}: {error}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_go_by_name_or_place_and_all_outputs_come() {
    let kit = Kit::start();
    let number = |name| value(name, Dtype::F32, &[Dim::Is(1)]);
    let graph = Graph::new(
        vec![node("Sub", &["a", "b"], &["less"], &[]), node("Mul", &["a", "b"], &["times"], &[])],
        vec![number("a"), number("b")],
        vec![number("less"), number("times")],
    );
    let model = kit.model(&graph.model());
    for backend in BACKENDS {
        let model = on(backend, &model);
        let (a, b) = (kit.floats(&[1], &[7.0]), kit.floats(&[1], &[2.0]));
        let inputs = vec![(InputKey::Name("b".into()), b), (InputKey::Index(0), a)];
        let answer = kit.infer_all(&model, inputs, "test").await.unwrap();
        let outputs: Vec<_> =
            answer.outputs.iter().map(|(name, tensor)| (&name[..], to_floats(tensor)[0])).collect();
        assert_eq!(outputs, [("less", 5.0), ("times", 14.0)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_tensors_and_an_answer_as_the_next_input() {
    let kit = Kit::start();
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Any("n")]));
    for backend in BACKENDS {
        let model = on(backend, &model);
        let answer = kit.infer(&model, kit.floats(&[0], &[])).await.unwrap();
        assert_eq!((answer.outputs[0].1.shape(), answer.outputs[0].1.data().len()), (&[0][..], 0));
        let once = kit.infer(&model, kit.floats(&[2], &[1.0, 2.0])).await.unwrap();
        let twice = kit.infer(&model, once.outputs[0].1.clone()).await.unwrap();
        assert_eq!(only(&twice), [4.0, 8.0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_does_not_take_is_named() {
    let kit = Kit::start();
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Any("batch"), Dim::Is(3)]));
    let good = kit.floats(&[1, 3], &[0.0; 3]);
    let longs = kit.longs(&[1, 3], &[0; 3]);
    let x = |tensor: &wicket_inference::Tensor| (InputKey::Name("x".into()), tensor.clone());
    let wrong = [
        (vec![(InputKey::Name("z".into()), good.clone())], r#"an input: wants one of ["x"], got Name("z")"#),
        (vec![(InputKey::Index(1), good.clone())], r#"an input: wants one of ["x"], got Index(1)"#),
        (vec![x(&longs)], r#"input "x": wants f32[?, 3], got i64[1, 3]"#),
        (vec![x(&kit.floats(&[3], &[0.0; 3]))], r#"input "x": wants f32[?, 3], got f32[3]"#),
        (vec![x(&kit.floats(&[1, 4], &[0.0; 4]))], r#"input "x": wants f32[?, 3], got f32[1, 4]"#),
        (vec![x(&good), x(&good)], r#"input "x": wants one tensor, got two"#),
        (vec![], r#"input "x": wants f32[?, 3], got none"#),
    ];
    for (inputs, said) in wrong {
        let error = kit.infer_all(&model, inputs, "test").await.unwrap_err();
        assert!(matches!(error, InferenceError::Invalid { .. }));
        assert_eq!(error.to_string(), said);
    }
    let truth = kit.model(&one("Identity", Dtype::Bool, &[Dim::Is(1)]));
    let neither = kit.inference.tensor(Dtype::Bool, &[1], &[7]).unwrap();
    let error = kit.infer(&truth, neither).await.unwrap_err();
    assert_eq!(error.to_string(), r#"input "x": wants bool[1], got a bool of 7"#);
    let short = kit.inference.tensor(Dtype::F32, &[2, 2], &[0; 12]).unwrap_err();
    assert_eq!(short.to_string(), "a tensor f32[2, 2]: wants 16 bytes, got 12");
    let endless = kit.inference.tensor(Dtype::F32, &[u64::MAX, 2, 0], &[]).unwrap_err();
    assert!(endless.to_string().contains("a size that can be counted"), "{endless}");
    kit.infer(&model, good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_library_the_built_in_backend_serves_and_a_model_that_wants_it_is_told() {
    let missing = "/nowhere/libonnxruntime.so";
    let kit = Kit::with(|settings| settings.onnxruntime = Some(missing.into()));
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Is(1)]));
    let answer = kit.infer(&model, kit.floats(&[1], &[2.0])).await.unwrap();
    assert_eq!((only(&answer), answer.used.backend), (vec![4.0], Backend::Builtin));
    let error = kit.inference.prepare(&on(Backend::OnnxRuntime, &model)).await.unwrap_err();
    let InferenceError::NoLibrary { backend, why, help } = error else { panic!("{error}") };
    assert_eq!(backend, "onnxruntime");
    assert!(why.contains(missing) && help.contains("set-up"), "{why}; {help}");
    let status = kit.inference.probe(Target::Cpu).await.unwrap();
    assert!(status.onnxruntime.unwrap().unwrap_err().contains(missing));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_that_is_another_one_is_refused_by_name() {
    let kit = Kit::with(|settings| settings.onnxruntime = Some(settings.worker.program.clone()));
    let status = kit.inference.probe(Target::Cpu).await.unwrap();
    let why = status.onnxruntime.unwrap().unwrap_err();
    assert!(why.contains("loading"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_that_is_not_there_is_an_error_or_the_stated_fallback() {
    let kit = Kit::start();
    let gpu = Target::Gpu(31);
    let model = Model { target: gpu, ..kit.model(&one("Add", Dtype::F32, &[Dim::Is(1)])) };
    let error = kit.inference.prepare(&model).await.unwrap_err();
    let InferenceError::NoDevice { device, why, .. } = error else { panic!("{error}") };
    assert_eq!(device, "gpu:31");
    assert!(why.contains("CUDA"), "{why}");
    let model = Model { fallback: Some(Target::Cpu), ..model };
    assert!(kit.inference.prepare(&model).await.unwrap().fallback);
    let answer = kit.infer(&model, kit.floats(&[1], &[3.0])).await.unwrap();
    assert_eq!((only(&answer), answer.used.device, answer.used.fallback), (vec![6.0], Target::Cpu, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_each_get_their_own_answer() {
    let kit = Kit::start();
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Any("batch"), Dim::Is(2)]));
    for backend in BACKENDS {
        let model = on(backend, &model);
        let calls = (0..200_u16).map(|at| {
            let input = kit.floats(&[1, 2], &[f32::from(at), 1.0]);
            let (kit, model) = (&kit, &model);
            async move { (at, kit.infer(model, input).await.unwrap()) }
        });
        for (at, answer) in futures::future::join_all(calls).await {
            assert_eq!(only(&answer), [f32::from(at) * 2.0, 2.0]);
        }
    }
    let status = &kit.inference.devices()[0];
    assert_eq!(status.models.iter().map(|model| model.calls).sum::<u64>(), 400);
    assert_eq!((status.queued, status.running, status.crashes), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_service_says_so_and_leaves_no_process() {
    let kit = Kit::start();
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Is(1)]));
    kit.infer(&model, kit.floats(&[1], &[1.0])).await.unwrap();
    let process = kit.process();
    let counts = kit.model(&crate::onnx::counts());
    let endless = kit.count(&counts, -1, within("test", Duration::from_secs(60)));
    kit.until("running", |device| device.running == 1).await;
    kit.inference.close().await;
    assert_eq!(endless.await.unwrap().unwrap_err(), InferenceError::Closed);
    assert!(!std::path::Path::new(&format!("/proc/{process}")).exists());
    let error = kit.infer(&model, kit.floats(&[1], &[1.0])).await.unwrap_err();
    assert_eq!(error, InferenceError::Closed);
}
