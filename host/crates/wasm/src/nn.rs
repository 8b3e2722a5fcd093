//! `wasi:nn`: guests infer with the models of their service.
//!
//! Both forms of the interface end here: [`component`] (0.2.0-rc-2024-10-28) and [`preview1`] (`wasi_ephemeral_nn`). A
//! model is run elsewhere, by [`wicket_inference`]; here are a guest's handles on it, their limits, and the words in which
//! it is told of an error.

pub(crate) mod component;
pub(crate) mod preview1;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wicket_config::{Backend, Device, ServiceModel};
use wicket_core::Inferred;
use wicket_inference::{
    Batch, Call, Dtype, Inference, InferenceError, InputKey, Model, ModelInfo, Target, Tensor,
};

use crate::meter::Meter;
use crate::state::State;
use crate::{DigestFiles, WasmError};

/// What a name or a text from a guest is cut to where it is told.
const LONGEST_NAME: usize = 64;

/// What guests infer with.
#[derive(Clone, Debug)]
pub struct Models {
    inference: Inference,
    files: DigestFiles,
}

impl Models {
    /// Models whose files are in this folder, which is made when it is missing.
    pub fn open(inference: Inference, dir: &Path) -> Result<Self, WasmError> {
        let failed = |source| WasmError::Folder { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        crate::library::remove_drafts(dir).map_err(failed)?;
        Ok(Self { inference, files: DigestFiles::models(dir) })
    }

    /// The service that runs them.
    pub fn inference(&self) -> &Inference {
        &self.inference
    }

    /// Their files.
    pub fn files(&self) -> &DigestFiles {
        &self.files
    }

    /// A service's model, as the inference service knows it.
    pub fn model(&self, model: &ServiceModel) -> Model {
        let target = |device: Device| match device {
            Device::Cpu => Target::Cpu,
            Device::Gpu(number) => Target::Gpu(number),
        };
        Model {
            target: target(model.target),
            fallback: model.fallback.map(target),
            backend: match model.backend {
                Backend::Auto => wicket_inference::Backend::Auto,
                Backend::OnnxRuntime => wicket_inference::Backend::OnnxRuntime,
                Backend::Builtin => wicket_inference::Backend::Builtin,
            },
            batch: Batch {
                size: model.batch.size,
                window: model.batch.window.0,
                independent: model.batch.independent,
            },
            pinned: model.pinned,
            ..Model::new(model.sha256.as_str(), self.files.path(model.sha256.as_str()))
        }
    }
}

/// A model that a guest has loaded.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// What the receipt calls it.
    name: Arc<str>,
    model: Arc<Model>,
    info: Arc<ModelInfo>,
    /// The file of a model that the guest brought; it goes with the last handle.
    _file: Option<Arc<tempfile::TempPath>>,
}

/// Why a guest does not get what it wants.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) message: String,
}

/// As the standard has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidArgument,
    InvalidEncoding,
    Timeout,
    Runtime,
    Unsupported,
    TooLarge,
    NotFound,
    Security,
    Busy,
    Unknown,
}

impl Fault {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<InferenceError> for Fault {
    fn from(error: InferenceError) -> Self {
        let kind = match &error {
            InferenceError::Invalid { .. } => Kind::InvalidArgument,
            InferenceError::TooLarge { .. } => Kind::TooLarge,
            InferenceError::Busy { .. } => Kind::Busy,
            InferenceError::Timeout { .. } => Kind::Timeout,
            InferenceError::NoDevice { .. } | InferenceError::NoLibrary { .. } => Kind::Unsupported,
            InferenceError::BadModel { .. } => Kind::InvalidEncoding,
            InferenceError::Crashed { .. }
            | InferenceError::SetAside { .. }
            | InferenceError::Runtime { .. } => Kind::Runtime,
            _ => Kind::Unknown,
        };
        Self::new(kind, error.to_string())
    }
}

/// A text from a guest, as it may stand in a message.
fn shown(name: &str) -> String {
    name.chars().take(LONGEST_NAME).flat_map(char::escape_default).collect()
}

/// A model that a guest wants, and may have.
pub(crate) struct Wanted {
    models: Models,
    name: Arc<str>,
    model: Model,
    file: Option<Arc<tempfile::TempPath>>,
}

impl Wanted {
    pub(crate) async fn load(self) -> Result<Loaded, Fault> {
        let model = Arc::new(self.model);
        let info = self.models.inference.prepare(&model).await?;
        Ok(Loaded { name: self.name, model, info, _file: self.file })
    }
}

/// A model that a guest brings, and may bring.
pub(crate) struct Brought {
    models: Models,
    bytes: Vec<u8>,
    target: Target,
}

impl Brought {
    pub(crate) async fn load(self) -> Result<Loaded, Fault> {
        let Self { models, bytes, target } = self;
        let dir = models.files.dir().to_owned();
        let stored = tokio::task::spawn_blocking(move || store(&dir, &bytes)).await;
        let stored = stored.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let (digest, path) =
            stored.map_err(|error| Fault::new(Kind::Unknown, format!("cannot keep the model: {error}")))?;
        let model = Model { target, ..Model::new(digest, path.to_path_buf()) };
        let file = Some(Arc::new(path));
        Wanted { models, name: "loaded by the guest".into(), model, file }.load().await
    }
}

/// A run of a model that a guest asks for.
pub(crate) struct Run {
    inference: Inference,
    loaded: Loaded,
    inputs: Vec<(InputKey, Tensor)>,
    call: Call,
    meter: Arc<Meter>,
}

impl Run {
    pub(crate) async fn outputs(self) -> Result<Vec<(String, Tensor)>, Fault> {
        let answer = self.inference.infer(&self.loaded.model, self.inputs, self.call).await?;
        let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.meter.inferred(Inferred {
            model: self.loaded.name.to_string(),
            device: answer.used.device.to_string(),
            backend: answer.used.backend.to_string(),
            fallback: answer.used.fallback,
            calls: 1,
            batch: answer.used.batch,
            queue_us: us(answer.used.queue),
            run_us: us(answer.used.inference),
        });
        Ok(answer.outputs)
    }
}

impl State {
    pub(crate) fn models(&self) -> Result<&Models, Fault> {
        self.models.as_ref().ok_or_else(|| Fault::new(Kind::Unsupported, "this host runs no models"))
    }

    /// The model of this service that has this name.
    pub(crate) fn named(&self, name: &str) -> Result<Wanted, Fault> {
        let models = self.models()?;
        let named = &self.deployment.service.models;
        let Some(found) = named.iter().find(|one| one.name.as_str() == name) else {
            let there = named.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
            let there = if there.is_empty() { "none".to_owned() } else { there };
            let message = format!("the service has no model `{}`; it has: {there}", shown(name));
            return Err(Fault::new(Kind::NotFound, message));
        };
        let (name, model) = (found.name.as_str().into(), models.model(found));
        Ok(Wanted { models: models.clone(), name, model, file: None })
    }

    /// A model that the guest brings, where it may.
    pub(crate) fn brought(&self, parts: Vec<Vec<u8>>, target: Target) -> Result<Brought, Fault> {
        let models = self.models()?.clone();
        if !self.deployment.service.grants.load_models {
            let message = "the service may not bring models of its own (`grants.load_models`)";
            return Err(Fault::new(Kind::Security, message));
        }
        let [bytes] = <[Vec<u8>; 1]>::try_from(parts).map_err(|parts| {
            Fault::new(Kind::InvalidArgument, format!("an ONNX model is one buffer, not {}", parts.len()))
        })?;
        self.meter.read(bytes.len() as u64);
        Ok(Brought { models, bytes, target })
    }

    /// A run of a model.
    pub(crate) fn run(&self, loaded: Loaded, inputs: Vec<(InputKey, Tensor)>) -> Result<Run, Fault> {
        let inference = self.models()?.inference.clone();
        let inputs = inputs.into_iter().map(|(key, tensor)| {
            let port = match &key {
                InputKey::Name(name) => loaded.info.inputs.iter().find(|port| port.name == *name),
                InputKey::Index(index) => loaded.info.inputs.get(*index),
            };
            let tensor = match port {
                Some(port) => as_type(port.dtype, tensor)?,
                None => tensor,
            };
            Ok((key, tensor))
        });
        let inputs = inputs.collect::<Result<Vec<_>, InferenceError>>()?;
        let service = self.deployment.service.name.as_str().into();
        let call = Call { service, deadline: self.meter.deadline() };
        Ok(Run { inference, loaded, inputs, call, meter: self.meter.clone() })
    }
}

/// Keeps a guest's model in a file while the guest has it; its digest too.
fn store(dir: &Path, bytes: &[u8]) -> std::io::Result<(String, tempfile::TempPath)> {
    let mut file = crate::files::draft(dir)?;
    std::io::Write::write_all(&mut file, bytes)?;
    Ok((hex::encode(Sha256::digest(bytes)), file.into_temp_path()))
}

/// The types that `wasi:nn` has travel as they are. Those that it lacks travel as those of their size: a byte for a
/// truth value, a signed number for an unsigned one.
fn travels_as(dtype: Dtype) -> Dtype {
    match dtype {
        Dtype::Bool | Dtype::I8 => Dtype::U8,
        Dtype::U32 => Dtype::I32,
        Dtype::U64 => Dtype::I64,
        other => other,
    }
}

/// A guest's tensor as the model's own type, where it travelled as another.
fn as_type(wanted: Dtype, tensor: Tensor) -> Result<Tensor, InferenceError> {
    if wanted == tensor.dtype() || travels_as(wanted) != tensor.dtype() {
        return Ok(tensor);
    }
    Tensor::new(wanted, tensor.shape().to_vec(), tensor.data().clone())
}
