//! The models that a service's functions ask for by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::container::NotAWord;
use crate::{ModelDigest, ModelName, Span};

/// A model of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceModel {
    /// What a function calls it (`load-by-name`).
    pub name: ModelName,
    /// Its content; `PUT /system/models/{sha256}` brings it, or the host fetches it from `source`.
    pub sha256: ModelDigest,
    /// Where the host fetches it from when it is not here: `https://…`, or `bucket/key` of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it runs on.
    #[serde(default)]
    pub target: Device,
    /// What takes its place where there is no such device; none: that is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Device>,
    /// What runs it.
    #[serde(default)]
    pub backend: Backend,
    /// How calls are run together.
    #[serde(default)]
    pub batch: Batching,
    /// Never unloaded to make room for another.
    #[serde(default)]
    pub pinned: bool,
}

/// A device that models run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The machine's processors.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its number.
    Gpu(u32),
}

impl FromStr for Device {
    type Err = NotAWord;
    fn from_str(text: &str) -> Result<Self, NotAWord> {
        let number = match text {
            "cpu" => return Ok(Self::Cpu),
            "gpu" => Some(0),
            text => text.strip_prefix("gpu:").and_then(|number| number.parse().ok()).filter(|n| *n < 64),
        };
        number.map(Self::Gpu).ok_or(NotAWord("cpu, gpu, or a GPU by its number like gpu:1"))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(number) => write!(f, "gpu:{number}"),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = NotAWord;
    fn try_from(text: String) -> Result<Self, NotAWord> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

/// What runs models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// ONNX Runtime where the host has it, the built-in one otherwise.
    #[default]
    Auto,
    /// ONNX Runtime.
    OnnxRuntime,
    /// The one in the host's program: slower, and no GPU.
    Builtin,
}

impl FromStr for Backend {
    type Err = NotAWord;
    fn from_str(text: &str) -> Result<Self, NotAWord> {
        match text {
            "auto" => Ok(Self::Auto),
            "onnxruntime" => Ok(Self::OnnxRuntime),
            "builtin" => Ok(Self::Builtin),
            _ => Err(NotAWord("auto, onnxruntime or builtin")),
        }
    }
}

/// How calls of a model are run together, where its first dimension allows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Batching {
    /// Most rows of one run; 1: each call alone.
    pub size: u32,
    /// How long a call waits for as many others as ran together last; 0: only those that had to wait anyway run together.
    pub window: Span,
    /// The rows do not depend on each other, although the model does not say so.
    pub independent: bool,
}

impl Default for Batching {
    fn default() -> Self {
        Self { size: 1, window: Span::secs(0), independent: false }
    }
}

#[cfg(test)]
mod tests {
    use super::Device;

    #[test]
    fn a_device_is_a_word_or_a_word_and_a_number() {
        assert_eq!("cpu".parse(), Ok(Device::Cpu));
        assert_eq!("gpu".parse(), Ok(Device::Gpu(0)));
        assert_eq!("gpu:3".parse::<Device>().unwrap().to_string(), "gpu:3");
        for bad in ["", "CPU", "gpu:", "gpu:-1", "gpu:64", "tpu", "gpu:0x1"] {
            bad.parse::<Device>().unwrap_err();
        }
    }
}
