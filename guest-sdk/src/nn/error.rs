//! Why an inference failed.

use std::fmt;

use crate::Failure;

/// Kinds of errors, as `wasi:nn` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A wrong name, shape, type or number of bytes.
    InvalidArgument,
    /// The model is none that the host can read.
    InvalidEncoding,
    /// It took too long.
    Timeout,
    /// The backend failed, or has too much to do.
    RuntimeError,
    /// The host has no such operation, or no such device.
    UnsupportedOperation,
    /// The model or a tensor is over a limit.
    TooLarge,
    /// No such model, or no such output.
    NotFound,
    /// The service was not granted it.
    Security,
    /// Whatever else.
    Unknown,
}

/// An inference that failed: on which model, and what the host says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Its kind.
    pub code: Code,
    /// The model's name; empty where a tensor was refused before it met a model.
    pub model: String,
    /// The host's words.
    pub data: String,
}

impl Error {
    /// An error, for tests and for models that stand in.
    pub fn new(code: Code, model: &str, data: &str) -> Self {
        Self { code, model: model.to_owned(), data: data.to_owned() }
    }

    #[cfg(target_family = "wasm")]
    pub(super) fn from_host(model: &str, error: &crate::wasm::bindings::wasi::nn::errors::Error) -> Self {
        use crate::wasm::bindings::wasi::nn::errors::ErrorCode;
        let code = match error.code() {
            ErrorCode::InvalidArgument => Code::InvalidArgument,
            ErrorCode::InvalidEncoding => Code::InvalidEncoding,
            ErrorCode::Timeout => Code::Timeout,
            ErrorCode::RuntimeError => Code::RuntimeError,
            ErrorCode::UnsupportedOperation => Code::UnsupportedOperation,
            ErrorCode::TooLarge => Code::TooLarge,
            ErrorCode::NotFound => Code::NotFound,
            ErrorCode::Security => Code::Security,
            ErrorCode::Unknown => Code::Unknown,
        };
        Self { code, model: model.to_owned(), data: error.data() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.model.is_empty() {
            write!(f, "model `{}`: ", self.model)?;
        }
        let kind = match self.code {
            Code::InvalidArgument => "invalid argument",
            Code::InvalidEncoding => "invalid encoding",
            Code::Timeout => "timeout",
            Code::RuntimeError => "runtime error",
            Code::UnsupportedOperation => "unsupported operation",
            Code::TooLarge => "too large",
            Code::NotFound => "not found",
            Code::Security => "not granted",
            Code::Unknown => "unknown error",
        };
        if self.data.is_empty() { f.write_str(kind) } else { write!(f, "{kind}: {}", self.data) }
    }
}

impl std::error::Error for Error {}

/// A busy or broken backend and a timeout may pass; the rest fails in the same way each time.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.code {
            Code::Timeout | Code::RuntimeError | Code::Unknown => Self::again(error),
            _ => Self::never(error),
        }
    }
}
