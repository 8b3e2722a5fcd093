//! Why there is no answer.

use std::fmt::Display;
use std::time::Duration;

/// Why there is no answer. Each is of one call; the service goes on.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InferenceError {
    /// The caller's fault: a name, a type or a shape that the model does not take.
    #[error("{what}: wants {wanted}, got {got}")]
    Invalid {
        /// What was wrong, by name.
        what: String,
        /// What would be right.
        wanted: String,
        /// What was there.
        got: String,
    },
    /// More than a limit allows, and waiting does not help.
    #[error("{what} of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its bytes.
        size: u64,
        /// Bytes that there may be.
        limit: u64,
    },
    /// A queue or a memory is full; later it may go.
    #[error("busy: {what} is at its limit of {limit}")]
    Busy {
        /// What is full.
        what: String,
        /// How many, or how many bytes, there may be.
        limit: u64,
    },
    /// The deadline of the call passed.
    #[error("no answer within {after:?}: the call was {stage}")]
    Timeout {
        /// How long the call had.
        after: Duration,
        /// How far it had come.
        stage: Stage,
    },
    /// The service was closed.
    #[error("the inference service is closed")]
    Closed,
    /// The device is not there.
    #[error("no device {device}: {why}; {help}")]
    NoDevice {
        /// The device asked for.
        device: String,
        /// Why there is none.
        why: String,
        /// What to do about it.
        help: String,
    },
    /// The backend is not there.
    #[error("no backend {backend}: {why}; {help}")]
    NoLibrary {
        /// The backend asked for.
        backend: String,
        /// Why there is none.
        why: String,
        /// What to do about it.
        help: String,
    },
    /// The model's file cannot be used.
    #[error("bad model {model}: {why}")]
    BadModel {
        /// Which model.
        model: String,
        /// What is wrong with it.
        why: String,
    },
    /// The worker ended while it ran or loaded this model, and this call is why or may be.
    #[error("model {model} ended its worker: {why}")]
    Crashed {
        /// Which model.
        model: String,
        /// How the worker ended, and its last words.
        why: String,
    },
    /// The model ended its worker too often and is not tried for a while.
    #[error("model {model} is set aside for {again:?}: {why}")]
    SetAside {
        /// Which model.
        model: String,
        /// What it did last.
        why: String,
        /// When it may be tried again.
        again: Duration,
    },
    /// The runtime refused to run the model on these inputs.
    #[error("model {model} failed: {why}")]
    Runtime {
        /// Which model.
        model: String,
        /// The runtime's own words.
        why: String,
    },
    /// This host failed: no memory, no process.
    #[error("{what}: {why}")]
    Host {
        /// What was tried.
        what: String,
        /// Why it failed.
        why: String,
    },
}

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its model was being loaded.
    Loading,
    /// It waited for its turn.
    Queued,
    /// It was running.
    Running,
}

impl Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Loading => "waiting for its model to be loaded",
            Self::Queued => "waiting for its turn",
            Self::Running => "running",
        })
    }
}

impl InferenceError {
    pub(crate) fn invalid(what: impl Display, wanted: impl Display, got: impl Display) -> Self {
        Self::Invalid { what: what.to_string(), wanted: wanted.to_string(), got: got.to_string() }
    }

    pub(crate) fn host(what: impl Display, why: impl Display) -> Self {
        Self::Host { what: what.to_string(), why: why.to_string() }
    }
}
