//! Which model, where it may run, and what it takes and gives.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Dtype;

/// A model's content: sha256, 64 hexadecimal digits. The host has checked it; here it is only a name.
pub type Digest = std::sync::Arc<str>;

/// A model as a service names it. Two with the same digest, target and backend are the same loaded model.
#[derive(Clone, Debug)]
pub struct Model {
    /// Which model: the sha256 of its file.
    pub digest: Digest,
    /// Its file, which the host has checked by digest, and which stays as it is. It is read when the model is loaded.
    pub path: PathBuf,
    /// How the file is read.
    pub format: Format,
    /// The device it is for.
    pub target: Target,
    /// The device that takes its place where there is no `target`. Without one that is an error.
    pub fallback: Option<Target>,
    /// What runs it.
    pub backend: Backend,
    /// How calls may be run together.
    pub batch: Batch,
    /// Never unloaded to make room for another, until [`crate::Inference::release`].
    pub pinned: bool,
}

impl Model {
    /// An ONNX model for the CPU by whatever backend there is, one call at a time, not pinned.
    pub fn new(digest: impl Into<Digest>, path: impl Into<PathBuf>) -> Self {
        Self {
            digest: digest.into(),
            path: path.into(),
            format: Format::Onnx,
            target: Target::Cpu,
            fallback: None,
            backend: Backend::Auto,
            batch: Batch::default(),
            pinned: false,
        }
    }
}

/// What a model's file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Format {
    /// One ONNX file with all its weights inside.
    #[default]
    Onnx,
}

/// A device. Written `cpu`, `gpu:0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// The processors of this machine.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its index.
    Gpu(u32),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(index) => write!(f, "gpu:{index}"),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    /// Reads `cpu`, `gpu` (the first) or `gpu:1`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "gpu" => Ok(Self::Gpu(0)),
            Some(("gpu", index)) if index.parse::<u16>().is_ok() => {
                Ok(Self::Gpu(index.parse().map_err(|_| "not a number".to_owned())?))
            }
            _ => Err(format!("no such device: {text:?}; there are `cpu`, `gpu` and `gpu:INDEX`")),
        }
    }
}

/// What runs a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Backend {
    /// ONNX Runtime where its library is found, the built-in one otherwise.
    #[default]
    Auto,
    /// ONNX Runtime, a library found at run time. All types and operators; CPU and GPU.
    OnnxRuntime,
    /// The one in this program. CPU only; slower; `f32`, `i32`, `i64`, `u8`, `i8` and `bool` only.
    Builtin,
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::OnnxRuntime => "onnxruntime",
            Self::Builtin => "builtin",
        })
    }
}

/// How calls of one model may be run together. They are only where [`ModelInfo::batchable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Most rows (first dimension, over all calls) of one run; 1 runs each call alone.
    pub size: u32,
    /// How long a call may wait for others to join it: at most a quarter of the time that it has, and not when as many are
    /// there as ran together last. At 0 only calls that had to wait anyway are run together.
    pub window: Duration,
    /// The operator knows that the rows do not depend on each other: taken as said where first dimensions are dynamic but
    /// their names do not tell.
    pub independent: bool,
}

impl Default for Batch {
    fn default() -> Self {
        Self { size: 1, window: Duration::ZERO, independent: false }
    }
}

/// An input or an output of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name in the model.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, `None` where a call decides. Without any where the model does not even say how many there are.
    pub dims: Option<Vec<Option<u64>>>,
}

/// What is known of a model that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// What it takes, in the model's order.
    pub inputs: Vec<Port>,
    /// What it gives, in the model's order.
    pub outputs: Vec<Port>,
    /// What runs it.
    pub backend: Backend,
    /// Where it is loaded.
    pub device: Target,
    /// It is on its fallback, since there is no such target.
    pub fallback: bool,
    /// Bytes of the device's budget that it takes.
    pub memory: u64,
    /// Calls may be run together: every input and output has a dynamic first dimension of the same name.
    pub batchable: bool,
    /// How long loading took.
    pub load: Duration,
}
