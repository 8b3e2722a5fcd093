//! Files that mean harm, or are none.

use std::time::Duration;

use wicket_inference::{Backend, Dtype, InferenceError, Model};

use crate::kit::{BACKENDS, Kit, on, only, signal, to_floats};
use crate::onnx::{Dim, Graph, fills, graph_attribute, node, one, value, weights, weights_elsewhere};

async fn refused(kit: &Kit, bytes: &[u8]) -> String {
    let model = kit.model(bytes);
    let mut said = String::new();
    for backend in BACKENDS {
        let error = kit.inference.prepare(&on(backend, &model)).await.unwrap_err();
        let InferenceError::BadModel { why, .. } = error else { panic!("{error}") };
        said = why;
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_model_is_refused_and_the_worker_goes_on() {
    let kit = Kit::start();
    let good = one("Add", Dtype::F32, &[Dim::Is(1)]);
    assert!(refused(&kit, b"").await.contains("not an ONNX file"));
    assert!(refused(&kit, b"GIF89a, surely").await.contains("not an ONNX file"));
    assert!(refused(&kit, &[0xff; 5000]).await.contains("not an ONNX file"));
    for end in (1..good.len()).step_by(7) {
        refused(&kit, &good[..end]).await;
    }
    refused(&kit, &one("NoSuchOperator", Dtype::F32, &[Dim::Is(1)])).await;
    // Weights of a terabyte that are not there.
    let input = value("x", Dtype::F32, &[Dim::Is(1)]);
    let output = value("y", Dtype::F32, &[Dim::Is(1)]);
    let huge = Graph::new(vec![node("Add", &["x", "w"], &["y"], &[])], vec![input], vec![output])
        .with(weights("w", Dtype::F32, &[1 << 38], &[0; 16]));
    refused(&kit, &huge.model()).await;
    let model = kit.model(&good);
    assert_eq!(only(&kit.infer(&model, kit.floats(&[1], &[1.0])).await.unwrap()), [2.0]);
    assert_eq!(kit.inference.devices()[0].crashes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_in_another_file_are_never_read() {
    let kit = Kit::start();
    let (x, y) = (|| value("x", Dtype::U8, &[Dim::Is(8)]), || value("y", Dtype::U8, &[Dim::Is(8)]));
    std::fs::write(kit.dir.path().join("secret"), b"treasure").unwrap();
    for place in ["../../../../../../../../etc/passwd", "secret", "/etc/passwd"] {
        let elsewhere = || weights_elsewhere("w", &[8], place);
        let plain =
            Graph::new(vec![node("Add", &["x", "w"], &["y"], &[])], vec![x()], vec![y()]).with(elsewhere());
        let why = refused(&kit, &plain.model()).await;
        assert_eq!(
            why,
            format!("the weights \"w\" are in another file, {place:?}; save the model as one file")
        );
        // In the graph of a branch, where a scan of the top would not see it.
        let branch =
            Graph::new(vec![node("Identity", &["w"], &["z"], &[])], vec![], vec![y()]).with(elsewhere());
        let branches = ["then_branch", "else_branch"].map(|name| graph_attribute(name, branch.bytes()));
        let inner = Graph::new(
            vec![node("If", &["c"], &["y"], &branches)],
            vec![value("c", Dtype::Bool, &[])],
            vec![y()],
        );
        assert_eq!(refused(&kit, &inner.model()).await, why);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tensor_of_ten_gigabytes_fails_the_call_and_not_the_machine() {
    let kit = Kit::start();
    let model = kit.model(&fills());
    kit.inference.prepare(&model).await.unwrap();
    let before = kit.process();
    // Four bytes each: more than the worker may have.
    let error = kit.infer(&model, kit.longs(&[1], &[3 << 30])).await.unwrap_err();
    assert!(matches!(error, InferenceError::Runtime { .. }), "{error}");
    // Within the memory of the worker, and over what a call may give.
    let error = kit.infer(&model, kit.longs(&[1], &[80 << 20])).await.unwrap_err();
    let InferenceError::TooLarge { size, limit, .. } = error else { panic!("{error}") };
    assert_eq!((size, limit), (320 << 20, 256 << 20));
    let answer = kit.infer(&model, kit.longs(&[1], &[3])).await.unwrap();
    assert_eq!((only(&answer), kit.process()), (vec![0.0; 3], before));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_is_not_waited_for() {
    let kit = Kit::start();
    let pipe = kit.dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let error = kit.inference.prepare(&Model::new("pipe", pipe)).await.unwrap_err();
    assert!(error.to_string().ends_with("not a file"), "{error}");
    let gone = kit.inference.prepare(&Model::new("gone", "/nowhere/model")).await.unwrap_err();
    assert!(gone.to_string().starts_with("bad model gone: opening /nowhere/model: "), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_does_not_end_is_ended_with_its_worker() {
    let kit = Kit::with(|settings| settings.load_timeout = Duration::from_millis(500));
    kit.inference.probe(wicket_inference::Target::Cpu).await.unwrap();
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Is(1)]));
    signal(kit.process(), rustix::process::Signal::STOP);
    let error = kit.inference.prepare(&model).await.unwrap_err();
    assert!(matches!(error, InferenceError::Crashed { .. }), "{error}");
    kit.inference.prepare(&model).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_no_tensor_that_is_served() {
    let kit = Kit::start();
    let text = 8;
    let mut model = one("Identity", Dtype::F32, &[Dim::Is(1)]);
    // The type of `x` and `y`: a field of number 1 within `tensor_type`.
    for at in 0..model.len() - 4 {
        if model[at..].starts_with(&[0x08, 0x01, 0x12]) {
            model[at + 1] = text;
        }
    }
    let why = refused(&kit, &model).await;
    assert!(why.contains("input \"x\" has elements of type 8"), "{why}");
}

/// ONNX Runtime leaves the place of an output as it is that is an input too, or stands there twice.
#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_no_node_makes_shows_nothing_of_another_service() {
    let kit = Kit::start();
    let dims = [Dim::Any("n")];
    let (x, y) = (|| value("x", Dtype::F32, &dims), || value("y", Dtype::F32, &dims));
    let relu = || vec![node("Relu", &["x"], &["y"], &[])];
    let model = |bytes: Vec<u8>| on(Backend::OnnxRuntime, &kit.model(&bytes));
    let passes = model(Graph::new(relu(), vec![x()], vec![x(), y()]).model());
    let twice = model(Graph::new(relu(), vec![x()], vec![y(), y()]).model());
    let other = model(one("Relu", Dtype::F32, &dims));
    let mut served = 0;
    for round in 0..4_u16 {
        let secret = vec![f32::from(round) + 1000.5; 512];
        let told = kit.infer(&other, kit.floats(&[512], &secret)).await.unwrap();
        assert_eq!(only(&told), secret);
        drop(told);
        for model in [&passes, &twice] {
            let numbers = vec![f32::from(round) + 2.0; 256];
            // Whether a runtime takes such a model is its own affair.
            let Ok(answer) = kit.infer(model, kit.floats(&[256], &numbers)).await else { continue };
            served += 1;
            for (name, output) in &answer.outputs {
                assert_eq!(to_floats(output), numbers, "{name} in round {round}");
            }
        }
    }
    assert!(served >= 4, "a model whose input is an output is a good one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_models_can_do_nothing_else() {
    let kit = Kit::start();
    let model = kit.model(&one("Add", Dtype::F32, &[Dim::Is(1)]));
    for backend in BACKENDS {
        kit.infer(&on(backend, &model), kit.floats(&[1], &[1.0])).await.unwrap();
    }
    let tasks = std::fs::read_dir(format!("/proc/{}/task", kit.process())).unwrap();
    let told = |name: &str, task: &std::path::Path| std::fs::read_to_string(task.join(name)).unwrap();
    let lanes: Vec<_> = tasks
        .map(|task| task.unwrap().path())
        .filter(|task| told("comm", task).starts_with("lane-"))
        .map(|task| told("status", &task))
        .collect();
    assert!(!lanes.is_empty());
    for lane in lanes {
        for line in ["NoNewPrivs:\t1\n", "Seccomp:\t2\n"] {
            assert!(lane.contains(line), "{lane}");
        }
    }
}
