//! A service as the host runs it: everything resolved, every default filled in, nothing optional that is needed.
//!
//! The same struct is what the host stores and what its API answers with, in OSCAR's field names where OSCAR has
//! the field. How people write it is `fdl`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::container::NotAWord;
use crate::{Batch, BucketName, ByteSize, Container, Deepaas, ModuleDigest, ServiceModel, ServiceName, Span};

/// A deployable unit: code, what starts it, what it may do and how much of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Unique on a node.
    pub name: ServiceName,
    /// Its variant in WebAssembly: a module by digest; `PUT /system/modules/{sha256}` brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wasm: Option<ModuleDigest>,
    /// Its variant in a container of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Its variant as a job of AWS Batch. It has one of the three at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// The models that its module asks for by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ServiceModel>,
    /// How clients of DEEPaaS call it. One that declares a model is called by them anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deepaas: Option<Deepaas>,
    /// Which of its variants run.
    #[serde(default)]
    pub execution: Execution,
    /// What happens while a variant's turn has come, and what it runs on is away.
    #[serde(default)]
    pub unavailable: Unavailable,
    /// What an attempt may use.
    #[serde(default)]
    pub limits: Limits,
    /// When and how often a failed attempt is tried again.
    #[serde(default)]
    pub retry: Retry,
    /// Buckets whose new objects start it.
    #[serde(default)]
    pub input: Vec<Input>,
    /// Where its outputs go; every output whose filters match gets the file.
    #[serde(default)]
    pub output: Vec<Output>,
    /// CloudEvents that start it.
    #[serde(default)]
    pub events: Vec<EventFilter>,
    /// HTTP routes that it answers.
    #[serde(default)]
    pub http: Vec<HttpRoute>,
    /// Fan-in: parts are collected, and one invocation runs on all of them.
    #[serde(default)]
    pub join: Option<Join>,
    /// What it may reach beyond its own input and output.
    #[serde(default)]
    pub grants: Grants,
    /// Plain settings, handed to the function as environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Names of the secrets it gets as environment variables; the values live in the host's secret store.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Arguments of a command-shaped function, after its name.
    #[serde(default)]
    pub args: Vec<String>,
    /// How many requests one instance may serve, one after the other; 1 is a fresh instance each (the default).
    #[serde(default = "one")]
    pub instance_reuse: u32,
    /// Providers that inputs and outputs name, besides `minio.default` (this host).
    #[serde(default)]
    pub storage_providers: BTreeMap<ProviderId, StorageProvider>,
    /// Free text for people and tools.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

fn one() -> u32 {
    1
}

/// Which variants of a service run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Execution {
    /// WebAssembly only.
    Wasm,
    /// A container of this machine only.
    Container,
    /// A job of AWS Batch only.
    Batch,
    /// All that there are: the lightest that fits what is declared, what there is, and what the record says of inputs of
    /// this size; at a limit the next one.
    #[default]
    Auto,
}

/// What happens while what a variant runs on is away: no engine answers, the image is gone, Batch cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    /// Which of the two.
    pub then: Then,
    /// So long an invocation waits; then it is given up.
    pub timeout: Span,
}

/// What to do without the variant whose turn it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// Take the next variant; wait where there is none.
    #[default]
    Next,
    /// Wait for this one.
    Wait,
}

impl Default for Unavailable {
    fn default() -> Self {
        Self { then: Then::Next, timeout: Span::secs(24 * 3600) }
    }
}

impl FromStr for Then {
    type Err = NotAWord;
    fn from_str(text: &str) -> Result<Self, NotAWord> {
        match text {
            "next" => Ok(Self::Next),
            "wait" => Ok(Self::Wait),
            _ => Err(NotAWord("next or wait")),
        }
    }
}

/// One way in which a service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// WebAssembly.
    Wasm,
    /// A container of this machine's engine.
    Docker,
    /// A job of AWS Batch.
    Batch,
}

impl Service {
    /// Where the text of its script stands: it is the same in a container and in a job.
    pub(crate) fn scripts(&mut self) -> impl Iterator<Item = &mut Option<String>> {
        let container = self.container.as_mut().map(|container| &mut container.script);
        container.into_iter().chain(self.batch.as_mut().map(|batch| &mut batch.script))
    }

    /// How clients of DEEPaaS call it; none: they do not.
    pub fn as_deepaas(&self) -> Option<Cow<'_, Deepaas>> {
        match &self.deepaas {
            Some(said) => Some(Cow::Borrowed(said)),
            None => (!self.models.is_empty()).then(Cow::default),
        }
    }

    /// The ways in which it runs, the lightest first; at least one.
    pub fn variants(&self) -> Vec<Variant> {
        let runs = |only: Execution| self.execution == Execution::Auto || self.execution == only;
        let all = [
            (self.wasm.is_some() && runs(Execution::Wasm), Variant::Wasm),
            (self.container.is_some() && runs(Execution::Container), Variant::Docker),
            (self.batch.is_some() && runs(Execution::Batch), Variant::Batch),
        ];
        all.into_iter().filter_map(|(has, variant)| has.then_some(variant)).collect()
    }
}

/// What one attempt may use. Every limit is on by default, and hitting one has a name in the receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Linear memory of the instance, all its memories together.
    pub memory: ByteSize,
    /// CPU time; stops `loop {}` wherever it stands.
    pub cpu_time: Span,
    /// Wall-clock time of an attempt, waiting in host calls and on a slow client included.
    pub timeout: Span,
    /// Attempts at once, over all triggers.
    pub concurrency: u32,
    /// Bytes of all outputs and of an HTTP response body.
    pub output: ByteSize,
    /// Bytes of log kept; the rest is counted and dropped.
    pub log: ByteSize,
    /// Bytes of a request body.
    pub body: ByteSize,
    /// Elements of all tables.
    pub table_elements: u32,
    /// Open files, streams, sockets and other resources at once.
    pub handles: u32,
    /// Outgoing HTTP requests at once.
    pub outgoing: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(256),
            cpu_time: Span::secs(10),
            timeout: Span::secs(60),
            concurrency: 64,
            output: ByteSize::mib(1024),
            log: ByteSize::mib(1),
            body: ByteSize::mib(64),
            table_elements: 20_000,
            handles: 256,
            outgoing: 16,
        }
    }
}

/// When a failed attempt is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// Attempts in all, the first included; at least 1.
    pub attempts: u32,
    /// Wait before the second attempt; doubled for each one after, with jitter.
    pub backoff: Span,
    /// The wait is never longer.
    pub max_backoff: Span,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, backoff: Span::secs(1), max_backoff: Span::secs(300) }
    }
}

/// `type.id` of a storage provider, as in OSCAR; a missing id is `default`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderId(pub String);

impl ProviderId {
    /// This host's own buckets.
    pub const LOCAL: &'static str = "minio.default";

    /// Whether this names the host's own buckets.
    pub fn is_local(&self) -> bool {
        self.0 == Self::LOCAL
    }
}

impl Default for ProviderId {
    fn default() -> Self {
        Self(Self::LOCAL.to_owned())
    }
}

/// Objects that start a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Where they are.
    #[serde(default)]
    pub storage_provider: ProviderId,
    /// The bucket.
    pub bucket: BucketName,
    /// Folder inside the bucket, without leading or trailing slash; empty for the whole bucket.
    #[serde(default)]
    pub folder: String,
    /// Any of these must begin the key inside the folder; empty: all pass.
    #[serde(default)]
    pub prefix: Vec<String>,
    /// Any of these must end the key; empty: all pass.
    #[serde(default)]
    pub suffix: Vec<String>,
}

/// Where outputs go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where to.
    #[serde(default)]
    pub storage_provider: ProviderId,
    /// The bucket; made when it does not exist (on this host).
    pub bucket: BucketName,
    /// Folder inside the bucket, without leading or trailing slash.
    #[serde(default)]
    pub folder: String,
    /// Any of these must begin the output's name; empty: all pass.
    #[serde(default)]
    pub prefix: Vec<String>,
    /// Any of these must end the output's name; empty: all pass.
    #[serde(default)]
    pub suffix: Vec<String>,
    /// Keep the folders that the input's key had below the input's folder (`in/trip/a.jpg` → `out/trip/a.jpg`).
    #[serde(default)]
    pub keep_folders: bool,
}

/// CloudEvents that start a service: all given patterns must match. A pattern is the whole text, or a beginning
/// followed by one `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventFilter {
    /// The attribute `type`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The attribute `source`.
    pub source: Option<String>,
    /// The attribute `subject`.
    pub subject: Option<String>,
}

/// First path segments that belong to the host: no service has an HTTP route there.
pub const RESERVED_PATHS: [&str; 12] = [
    "health",
    "system",
    "run",
    "job",
    "events",
    "openapi.json",
    "swagger.json",
    "ui",
    "api",
    "metrics",
    "services",
    "v2",
];

/// An HTTP trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRoute {
    /// Only requests for this host name; none: any.
    #[serde(default)]
    pub host: Option<String>,
    /// `/hello`, `/items/{id}` or `/files/{*rest}`.
    pub path: String,
    /// Only these methods, in capitals; empty: any.
    #[serde(default)]
    pub methods: Vec<String>,
}

/// Fan-in: which parts belong together and when they are complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// What parts of one join share.
    pub by: JoinBy,
    /// Complete when this many parts are there.
    #[serde(default)]
    pub count: Option<u32>,
    /// Complete when no part has come for this long.
    #[serde(default)]
    pub window: Option<Span>,
}

/// What the parts of one join have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinBy {
    /// Bucket and folder of the object.
    Folder,
    /// The bucket.
    Bucket,
    /// The event that began the workflow (an uploaded archive, a video).
    Origin,
}

/// What a function may reach. Empty: nothing beyond its event, its input and its outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grants {
    /// Hosts it may call by HTTP: `api.example.org`, `*.example.org`, `example.org:8443`.
    pub http: Vec<String>,
    /// Networks that are refused otherwise (loopback, private, link-local) and are granted, as CIDR.
    pub networks: Vec<String>,
    /// Buckets it may read besides its input, on this host.
    pub read_buckets: Vec<BucketName>,
    /// It may bring models of its own (`load` of wasi:nn).
    pub load_models: bool,
}

/// An S3 outside this host.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageProvider {
    /// Base URL; none is AWS itself.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Access key.
    pub access_key: String,
    /// Secret key: never in a log, an error or an answer.
    pub secret_key: String,
    /// Region; `us-east-1` when empty.
    #[serde(default)]
    pub region: String,
}

impl std::fmt::Debug for StorageProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StorageProvider")
            .field("endpoint", &self.endpoint)
            .field("access_key", &self.access_key)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}
