//! `[inference]` of the operator's file.

use std::path::PathBuf;

use toml::de::DeValue;

use super::{Field, Section};
use crate::{ByteSize, Span};

section! {
    /// `[inference]`: models that functions ask for.
    InferenceSection {
        /// The library of ONNX Runtime; none: it is looked for where its Python package and Debian put it.
        onnxruntime: Option<PathBuf> = None,
        /// Folders in which the libraries of a GPU are found, as `LD_LIBRARY_PATH` names them.
        libraries: Vec<String> = Vec::new(),
        /// Bytes of loaded models on the CPU.
        cpu_memory: ByteSize = ByteSize::mib(2048),
        /// Bytes of loaded models on each GPU.
        gpu_memory: ByteSize = ByteSize::mib(4096),
        /// Bytes that runs may need beside their models.
        working_memory: ByteSize = ByteSize::mib(2048),
        /// Largest model.
        max_model: ByteSize = ByteSize::mib(2048),
        /// Bytes of all tensors of one call, in and out each.
        max_tensors: ByteSize = ByteSize::mib(256),
        /// Bytes of all tensors of all calls.
        shared_memory: ByteSize = ByteSize::mib(1024),
        /// Threads of one run on the CPU; none: as many as there are processors, at most 8.
        threads: Option<u32> = None,
        /// Runs at once on one device.
        runs: u32 = 2,
        /// Calls that wait for one device.
        queue: u32 = 1024,
        /// Of these, calls of one service.
        service_queue: u32 = 256,
        /// How long a model may take to load.
        load_timeout: Span = Span::secs(120),
    }
}
