//! The seam behind which work runs, and what an attempt gets to work with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use serde::{Deserialize, Serialize};
use wicket_config::{BucketName, ObjectKey, Service};

use crate::{Failure, Invocation, Limit, LogSink, ObjectRef, Timestamp, Usage, chain};

/// A body in pieces.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// A service as it stands on the node: its definition, which version that is, and the values of its secrets.
#[derive(Debug)]
pub struct Deployment {
    /// The definition.
    pub service: Service,
    /// From 1, one more with every change.
    pub version: u32,
    /// Values of the secrets it names.
    pub secrets: BTreeMap<String, Secret>,
}

/// A value that shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Bytes of the shortest one that can be hidden: less stands in too many words to be told from them.
    pub const SHORTEST: usize = 6;

    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }
    /// The value, for the one who must have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it can be kept out of what a function says: it has a line that is long enough, or nothing to hide.
    pub fn can_be_hidden(&self) -> bool {
        self.0.is_empty() || self.hidden().next().is_some()
    }

    /// What of it is hidden where a function says it: each line that is long enough.
    pub fn hidden(&self) -> impl Iterator<Item = &str> {
        self.0.lines().map(str::trim).filter(|line| line.len() >= Self::SHORTEST)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One try of an invocation, with all that it needs.
#[derive(Debug)]
pub struct Attempt {
    /// What runs.
    pub deployment: Arc<Deployment>,
    /// On what.
    pub invocation: Invocation,
    /// From 1.
    pub number: u32,
    /// Reads the objects that the event is about, and those that the service was granted.
    pub objects: Arc<dyn Objects>,
    /// Takes what the function makes.
    pub outputs: Arc<dyn Outputs>,
    /// Takes what the function says.
    pub log: LogSink,
    /// A folder for this attempt alone: it exists, is empty, and the host removes it afterwards.
    pub scratch: PathBuf,
}

/// How an attempt went.
#[derive(Debug)]
pub struct Report {
    /// What it answered, or why it failed.
    pub result: Result<Reply, Failure>,
    /// What it used, either way.
    pub usage: Usage,
}

/// What a function answers when it is called and waited for. Outputs went through [`Outputs`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Standard output of a command, the answer of a handler: small, inside the output limit.
    pub body: Bytes,
    /// Media type, where the function said one.
    pub content_type: Option<String>,
    /// HTTP status or exit status, where there is one.
    pub status: Option<i32>,
}

/// Runs attempts: wasm, containers, later a batch job, another node. [`executor_of`](crate::executor_of) names them.
#[async_trait]
pub trait Executor: fmt::Debug + Send + Sync {
    /// Runs one attempt to its end. Never panics for what the guest does; dropping the future cancels the work and
    /// frees all it held. All of the service's limits, the wall-clock one included, are kept in here.
    async fn execute(&self, attempt: Attempt) -> Report;
}

/// Why an object could not be read or stored.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object or bucket.
    #[error("there is no object `{key}` in bucket `{bucket}`")]
    Missing {
        /// Where.
        bucket: String,
        /// Which.
        key: String,
    },
    /// The function may not.
    #[error("{0}")]
    Refused(String),
    /// Over a limit of the service.
    #[error("{0}")]
    Limit(String),
    /// The disk is full.
    #[error("no space left for objects")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nobody answers there, or only that it cannot now.
    #[error("cannot reach `{key}` in bucket `{bucket}`")]
    Away {
        /// Where.
        bucket: String,
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The storage, or the server behind it, failed.
    #[error("cannot reach `{key}` in bucket `{bucket}`")]
    Storage {
        /// Where.
        bucket: String,
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ObjectError {
    /// What it means for the attempt: what is missing, or not allowed, is so the next time too.
    pub fn failure(&self) -> Failure {
        let message = chain(self);
        match self {
            Self::Missing { .. } | Self::Refused(_) => Failure::Input { message },
            Self::Limit(_) => Failure::Limit { limit: Limit::Output, message },
            Self::Full(_) | Self::Away { .. } | Self::Storage { .. } => Failure::Host { message },
        }
    }
}

/// Reads objects on behalf of an attempt. Refuses those that are neither in its event nor granted.
#[async_trait]
pub trait Objects: fmt::Debug + Send + Sync {
    /// The whole object.
    async fn open(&self, object: &ObjectRef) -> Result<Opened, ObjectError>;

    /// Up to `limit` (at most 1,000) objects of a granted bucket of this host, in key order, after the key `after`.
    async fn list(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ObjectEntry>, ObjectError>;
}

/// An object, open for reading.
pub struct Opened {
    /// Size in bytes.
    pub size: u64,
    /// Media type, where it is known.
    pub content_type: Option<String>,
    /// Its bytes.
    pub body: ByteStream,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, content_type, body: _ } = self;
        f.debug_struct("Opened")
            .field("size", size)
            .field("content_type", content_type)
            .finish_non_exhaustive()
    }
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    /// The key.
    pub key: ObjectKey,
    /// Size in bytes.
    pub size: u64,
    /// When it became visible.
    pub modified: Timestamp,
}

/// The name of an output: a relative path with `/`, of plain parts only (no `.`, `..`, empty part or NUL), 1 to
/// 1,024 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OutputName(String);

impl OutputName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OutputName {
    type Error = ObjectError;
    fn try_from(text: String) -> Result<Self, ObjectError> {
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if text.len() > 1024 || !text.split('/').all(plain) {
            let shown: String = text.chars().take(64).flat_map(char::escape_default).collect();
            return Err(ObjectError::Refused(format!(
                "`{shown}` is no output name: 1 to 1,024 bytes, a relative path of plain parts"
            )));
        }
        Ok(Self(text))
    }
}

impl From<OutputName> for String {
    fn from(name: OutputName) -> Self {
        name.0
    }
}

/// Takes the outputs of an attempt, and shows nobody anything before the function has succeeded.
///
/// Those for buckets of this host become visible in the transaction that completes the invocation: all at once, or never.
/// Those for a provider outside are sent before it, one after the other, because no transaction spans two stores: when one
/// of them cannot be sent, or the host ends in between, those before it are there, and the next attempt sends all of them
/// again. So each arrives at least once, under the same key, and those of an invocation that is given up may be there in
/// part.
#[async_trait]
pub trait Outputs: fmt::Debug + Send + Sync {
    /// Stages one output; the same name again replaces it. Counts against the service's output limit.
    async fn stage(
        &self,
        name: OutputName,
        content_type: Option<String>,
        body: ByteStream,
    ) -> Result<u64, ObjectError>;
}

/// An output that is on disk and not yet visible. The bucket store makes it so inside the transaction that ends the
/// invocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedObject {
    /// Where it will be.
    pub object: ObjectRef,
    /// Its bytes.
    pub blob: Blob,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag: the MD5 in hex, as S3 has it.
    pub etag: String,
    /// Media type.
    pub content_type: Option<String>,
}

/// Where the bytes of a staged output are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blob {
    /// Here: small, they will live in the row.
    Inline(Bytes),
    /// In a file of the bucket store, by its own name for it.
    File(String),
}
