//! Runs WebAssembly functions within limits and grants.
//!
//! Read in this order: [`WasmExecutor`] (what others call), `library` (modules: stored, compiled in a child, signed,
//! loaded), `engine` (settings and pool), `meter` and `ticker` (limits), `state` and `linker` (what a guest sees),
//! `shapes` (the three ways a function is written), `nn` (inference), `egress` (outgoing HTTP), `trap` (what a guest's end means).

mod cache;
mod compile;
mod config;
mod egress;
mod engine;
mod error;
mod executor;
mod files;
mod inspect;
mod library;
mod linker;
mod meter;
mod nn;
mod shapes;
mod state;
mod stdio;
mod ticker;
mod trap;

pub use compile::child::compile_child;
pub use config::{Compiler, WasmConfig};
pub use egress::{Got, NotGot, get};
pub use engine::PoolInfo;
pub use error::{ModuleError, WasmError};
pub use executor::{WasmExecutor, WasmStats};
pub use files::{DigestFiles, FileError, StoredFile};
pub use inspect::{ModuleInfo, Shape, Wasi, inspect};
pub use library::WasmEngine;
pub use nn::Models;
pub use shapes::http::HttpCall;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A body, either way.
pub type AnswerBody = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, BoxError>;
/// An answer to an HTTP request.
pub type Answer = http::Response<AnswerBody>;
