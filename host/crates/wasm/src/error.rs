//! Why the executor did not start, and why a module was refused.

use std::path::PathBuf;

use wicket_config::ModuleDigest;

use crate::FileError;

/// The executor cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WasmError {
    /// A folder cannot be made or used.
    #[error("cannot use the folder {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// wasmtime refuses this machine or these settings.
    #[error("cannot start the wasm engine")]
    Engine(#[source] wasmtime::Error),
    /// A thread cannot be started.
    #[error("cannot start the epoch thread")]
    Thread(#[source] std::io::Error),
}

/// A module is refused.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// Nobody uploaded it.
    #[error("there is no module {0} on this host: upload it first")]
    Missing(ModuleDigest),
    /// Its file is not taken, or cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// No wasm, or wasm that does not validate.
    #[error("the module is malformed: {0}")]
    Malformed(String),
    /// It is wasm, and exports nothing that this host can call.
    #[error(
        "the module exports no wasi:http handler, no wasi:cli/run or _start, and no wicketgate:function handler: {0}"
    )]
    NoShape(String),
    /// It imports what this host does not have or does not grant.
    #[error("the module imports {0}, which this host does not grant")]
    Import(String),
    /// Compiling took more time or memory than it may, or crashed.
    #[error("the module cannot be compiled: {0}")]
    Compile(String),
    /// The disk, or the compile child, failed.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl ModuleError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
