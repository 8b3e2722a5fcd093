//! Why a request did not get what it asked for.

use http::StatusCode;

use crate::api::view::ErrorDetail;

/// A request that did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No answer came: nobody listens, the connection broke.
    #[error("cannot reach a host at {endpoint}: {why}")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// The innermost cause.
        why: String,
    },
    /// No answer came in time.
    #[error("{endpoint} did not answer {what} within {seconds} s")]
    Slow {
        /// Where.
        endpoint: String,
        /// Method and path.
        what: String,
        /// How long was waited.
        seconds: u64,
    },
    /// What was to be sent could not be read.
    #[error("cannot read what was to be sent: {0}")]
    Sending(String),
    /// The host said no.
    #[error("{}", .detail.message)]
    Refused {
        /// Its status.
        status: StatusCode,
        /// What it said.
        detail: ErrorDetail,
        /// The invocation that failed, where one was begun.
        invocation: Option<String>,
    },
    /// The host answered what this client does not understand.
    #[error("{endpoint} gave an answer to {what} that is not understood: {why}")]
    Garbled {
        /// Where.
        endpoint: String,
        /// Method and path.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The S3 endpoint said no, or nothing.
    #[error("cannot {what}: {why}")]
    Bucket {
        /// What was tried on what.
        what: String,
        /// Its error.
        why: String,
        /// Its status, where it answered.
        status: Option<StatusCode>,
    },
}

impl ClientError {
    /// The status of the answer, where there was one.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Bucket { status, .. } => *status,
            Self::Unreachable { .. } | Self::Slow { .. } | Self::Sending(_) | Self::Garbled { .. } => None,
        }
    }

    /// The host's word for what is wrong, where it said one.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { detail, .. } => Some(&detail.code),
            _ => None,
        }
    }
}
