//! A real service in a folder of its own, with this very program as its worker.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::TaskTracker;
use wicket_inference::{
    Answer, Backend, Call, Dtype, Inference, InferenceError, InputKey, Model, Settings, Target, Tensor,
    Worker,
};

use crate::onnx;

/// An argument that means nothing to the test harness, and tells the worker that it is one.
pub(crate) const CHILD_MARK: &str = "no-test-has-this-name";

/// The same for a host that is killed.
pub(crate) const HOST_MARK: &str = "nor-has-any-this-name";

pub(crate) const BACKENDS: [Backend; 2] = [Backend::OnnxRuntime, Backend::Builtin];

pub(crate) struct Kit {
    pub(crate) inference: Inference,
    pub(crate) dir: tempfile::TempDir,
    tasks: TaskTracker,
}

/// The library of ONNX Runtime that the set-up fetched.
pub(crate) fn library() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/onnxruntime/libonnxruntime.so");
    path.canonicalize().unwrap_or_else(|error| {
        panic!("{}: {error}; run `cargo xtask models` once, it fetches ONNX Runtime", path.display())
    })
}

pub(crate) fn settings() -> Settings {
    let args = ["--exact", "the_inference_worker", "--nocapture", "--skip", CHILD_MARK];
    Settings {
        worker: Worker {
            program: std::env::current_exe().unwrap(),
            args: args.map(Into::into).into(),
            env: vec![],
        },
        onnxruntime: Some(library()),
        threads: 1,
        grace: Duration::from_millis(300),
        ..Settings::default()
    }
}

impl Kit {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(edit: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        edit(&mut settings);
        Self {
            inference: Inference::start(settings),
            dir: tempfile::tempdir().unwrap(),
            tasks: TaskTracker::new(),
        }
    }

    pub(crate) fn model(&self, bytes: &[u8]) -> Model {
        onnx::store(self.dir.path(), bytes)
    }

    pub(crate) fn floats(&self, shape: &[u64], numbers: &[f32]) -> Tensor {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.inference.tensor(Dtype::F32, shape, &bytes).unwrap()
    }

    pub(crate) fn longs(&self, shape: &[u64], numbers: &[i64]) -> Tensor {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.inference.tensor(Dtype::I64, shape, &bytes).unwrap()
    }

    pub(crate) async fn infer(&self, model: &Model, input: Tensor) -> Result<Answer, InferenceError> {
        self.infer_all(model, vec![(InputKey::Index(0), input)], "test").await
    }

    pub(crate) async fn infer_all(
        &self,
        model: &Model,
        inputs: Vec<(InputKey, Tensor)>,
        service: &str,
    ) -> Result<Answer, InferenceError> {
        self.inference.infer(model, inputs, within(service, Duration::from_secs(60))).await
    }

    /// Starts counting to `n`, which takes a microsecond or so each; never ends when it is negative.
    pub(crate) fn count(
        &self,
        model: &Model,
        n: i64,
        call: Call,
    ) -> tokio::task::JoinHandle<Result<Answer, InferenceError>> {
        // The built-in backend counts to no more; it would take an hour.
        let n = if n < 0 { i64::from(i32::MAX) } else { n };
        let inputs = vec![
            (InputKey::Name("n".into()), self.longs(&[], &[n])),
            (InputKey::Name("x".into()), self.floats(&[1], &[0.0])),
        ];
        let (inference, model) = (self.inference.clone(), model.clone());
        self.tasks.spawn(async move { inference.infer(&model, inputs, call).await })
    }

    /// Waits until the device is so.
    pub(crate) async fn until(
        &self,
        what: &str,
        mut is: impl FnMut(&wicket_inference::DeviceStatus) -> bool,
    ) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.inference.devices().iter().any(|device| device.device == Target::Cpu && is(device)) {
            assert!(Instant::now() < deadline, "never {what}: {:#?}", self.inference.devices());
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn process(&self) -> u32 {
        self.inference.devices()[0].worker.unwrap()
    }
}

pub(crate) fn within(service: &str, time: Duration) -> Call {
    Call { service: Arc::from(service), deadline: Instant::now() + time }
}

pub(crate) fn on(backend: Backend, model: &Model) -> Model {
    Model { backend, ..model.clone() }
}

pub(crate) fn to_floats(tensor: &Tensor) -> Vec<f32> {
    assert_eq!(tensor.dtype(), Dtype::F32);
    tensor.data().as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

#[track_caller]
pub(crate) fn only(answer: &Answer) -> Vec<f32> {
    let [(_, tensor)] = &answer.outputs[..] else { panic!("several outputs") };
    to_floats(tensor)
}

pub(crate) fn kill(process: u32) {
    signal(process, rustix::process::Signal::KILL);
}

pub(crate) fn signal(process: u32, signal: rustix::process::Signal) {
    let process = rustix::process::Pid::from_raw(process as i32).unwrap();
    rustix::process::kill_process(process, signal).unwrap();
}
