//! What goes over the wire in answers: written by this API, read by [`crate::client`].

mod buckets;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wicket_config::{ImageName, ModuleDigest, ServiceName, Variant};
use wicket_core::{Depth, Explanation, Failure, InvocationId, LogStream, Placement, Receipt, Timestamp};

pub(crate) use buckets::{BucketPage, BucketView, ObjectView, Operation, PresignAsked, Presigned};

/// The response header that names the invocation that answered.
pub(crate) const INVOCATION_HEADER: &str = "wicket-invocation";
/// The response header of a changed service: its current version.
pub(crate) const VERSION_HEADER: &str = "wicket-version";
/// The response header of a changed service: `created`, `updated` or `unchanged`.
pub(crate) const CHANGE_HEADER: &str = "wicket-change";
/// Response header: why a variant of the service cannot run on this host now, although another can.
pub(crate) const NOTE_HEADER: &str = "wicket-note";

/// An invocation: its receipt, as it is.
pub(crate) type InvocationView = Receipt;

/// Every error of this API, where JSON is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// The error.
    pub(crate) error: ErrorDetail,
}

/// What is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// One word for programs.
    #[schema(example = "unknown_service")]
    pub(crate) code: String,
    /// For people; several problems are one per line.
    #[schema(example = "there is no service `thumbnail`")]
    pub(crate) message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "create it with POST /system/services")]
    pub(crate) help: Option<String>,
}

/// `GET /system/info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct InfoView {
    /// Version of this host.
    #[schema(example = "0.1.0")]
    pub(crate) version: String,
    /// Empty: OSCAR's clients expect the field.
    pub(crate) git_commit: String,
    /// Machine architecture.
    #[schema(example = "x86_64")]
    pub(crate) architecture: String,
    /// Empty: there is no Kubernetes here.
    pub(crate) kubernetes_version: String,
    /// What runs the functions.
    pub(crate) serverless_backend: BackendView,
}

/// What runs the functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct BackendView {
    /// Its name.
    #[schema(example = "wicketgate")]
    pub(crate) name: String,
    /// Its version.
    #[schema(example = "0.1.0")]
    pub(crate) version: String,
}

/// `GET /system/config`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ConfigView {
    /// What this host is and has.
    pub(crate) config: HostFeatures,
    /// How to reach its buckets.
    pub(crate) minio_provider: BucketAccess,
    /// Always empty: nothing here runs images.
    pub(crate) allowed_image_repositories: Vec<String>,
}

/// What a host is and has, in OSCAR's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct HostFeatures {
    /// Always `oscar`, which is what its clients look for.
    #[schema(example = "oscar")]
    pub(crate) name: String,
    /// Always `oscar`.
    pub(crate) namespace: String,
    /// Always `oscar-svc`.
    pub(crate) services_namespace: String,
    /// Whether functions can use a GPU.
    pub(crate) gpu_available: bool,
    /// Always false.
    #[serde(rename = "interLink_available")]
    pub(crate) interlink_available: bool,
    /// Always false.
    pub(crate) yunikorn_enable: bool,
    /// Always false.
    pub(crate) kueue_enable: bool,
    /// Always false.
    pub(crate) volume_enable: bool,
    /// Always empty.
    pub(crate) oidc_groups: Vec<String>,
}

/// How to reach this host's buckets. Only for the admin; not shown by `Debug`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct BucketAccess {
    /// Base URL of the S3 endpoint.
    #[schema(example = "http://127.0.0.1:9000")]
    pub(crate) endpoint: String,
    /// Whether its certificate can be verified.
    pub(crate) verify: bool,
    /// Access key.
    pub(crate) access_key: String,
    /// Secret key.
    pub(crate) secret_key: String,
    /// Region.
    #[schema(example = "us-east-1")]
    pub(crate) region: String,
}

impl std::fmt::Debug for BucketAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketAccess").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// `GET /system/stats`: what this host does now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct StatsView {
    /// Services that are deployed.
    pub(crate) services: usize,
    /// How many invocations stand where, over all services.
    #[schema(value_type = Object, example = json!({"queued": 3, "running": 1, "dead": 0, "waiting_parts": 0}))]
    pub(crate) invocations: Depth,
    /// Instances that live now.
    pub(crate) instances: u32,
    /// Calls of functions since the start.
    pub(crate) calls: u64,
    /// Compiled modules in memory.
    pub(crate) loaded_modules: usize,
    /// Their bytes.
    pub(crate) loaded_bytes: u64,
    /// Receipts of synchronous calls that could not be stored since the start.
    pub(crate) receipts_dropped: u64,
}

/// What a list of services needs of `GET /system/services`, whose elements have all that OSCAR's have too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceSummary {
    /// Its name.
    pub(crate) name: ServiceName,
    /// The version that runs.
    pub(crate) version: u32,
    /// Its module, where it has one; with the algorithm before it.
    #[serde(default)]
    pub(crate) wasm: Option<ModuleDigest>,
    /// Its image, where it has one.
    #[serde(default)]
    pub(crate) image: Option<ImageName>,
    /// Buckets that start it.
    #[serde(default)]
    pub(crate) input: Vec<PlaceView>,
    /// Where its outputs go.
    #[serde(default)]
    pub(crate) output: Vec<PlaceView>,
    /// Its HTTP routes.
    #[serde(default)]
    pub(crate) http: Vec<wicket_config::HttpRoute>,
    /// Events that start it.
    #[serde(default)]
    pub(crate) events: Vec<wicket_config::EventFilter>,
    /// What it waits for before it runs.
    #[serde(default)]
    pub(crate) join: Option<wicket_config::Join>,
    /// How many of its invocations stand where.
    pub(crate) depth: Depth,
}

/// A folder of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlaceView {
    /// Whose.
    pub(crate) storage_provider: String,
    /// `bucket/folder`.
    pub(crate) path: String,
}

/// An uploaded module or model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FileView {
    /// Its SHA-256.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub(crate) digest: String,
    /// Bytes.
    pub(crate) size: u64,
}

/// What an event started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct StartedView {
    /// The service.
    #[schema(value_type = String, example = "thumbnail")]
    pub(crate) service: ServiceName,
    /// The invocation.
    #[schema(value_type = String, example = "6f1ed002ab5595859014ebf0951522d9")]
    pub(crate) id: InvocationId,
    /// Whether it was known already, so that nothing was queued.
    pub(crate) duplicate: bool,
}

/// `POST /job/{service}`: on disk, not yet run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct JobAccepted {
    /// The first invocation; none when the body was a notification of which a join keeps all, or nothing starts one.
    #[schema(value_type = Option<String>, example = "6f1ed002ab5595859014ebf0951522d9")]
    pub(crate) id: Option<InvocationId>,
    /// Whether the first was known already.
    pub(crate) duplicate: bool,
    /// All of them: one for each record of a notification.
    pub(crate) invocations: Vec<StartedView>,
    /// Whether some of it waits for the rest of its join, which starts the service when it is complete.
    #[serde(default)]
    pub(crate) waiting: bool,
}

/// `POST /events`: on disk, not yet run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventsAccepted {
    /// One for each event, in their order.
    pub(crate) events: Vec<EventAccepted>,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventAccepted {
    /// Its `id`.
    #[schema(example = "A234-1234-1234")]
    pub(crate) event: String,
    /// What it started.
    pub(crate) started: Vec<StartedView>,
    /// Joins in which it waits for others.
    pub(crate) waiting: u32,
}

/// `GET /system/dead-letters`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeadLetterView {
    /// The last failure in one sentence.
    pub(crate) reason: String,
    /// The last failure.
    pub(crate) failure: Option<Failure>,
    /// The whole receipt.
    #[serde(flatten)]
    pub(crate) receipt: Receipt,
}

/// What `POST /system/explain` asks about: an object of this host (or of a provider), or a whole CloudEvent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainObject {
    /// The bucket.
    #[schema(example = "photos")]
    pub(crate) bucket: String,
    /// The key.
    #[schema(example = "in/trip/a.jpg")]
    pub(crate) key: String,
    /// Whose bucket; this host's when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "minio.default")]
    pub(crate) storage_provider: Option<String>,
    /// Its size in bytes; that of the object, where it is on this host, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 5_000_000)]
    pub(crate) size: Option<u64>,
}

/// Which routes an event matches, and why the others do not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExplainView {
    /// The event.
    pub(crate) event: EventView,
    /// Every service, with its reasons.
    pub(crate) routes: Vec<Explanation>,
    /// Where each service that it starts would run now, if it has more than one variant or cannot run.
    #[serde(default)]
    pub(crate) placements: Vec<PlacementView>,
    /// What ran in the same workflow run, oldest first; only when the question was about something that happened.
    #[serde(default)]
    pub(crate) way: Vec<InvocationView>,
}

/// Where an attempt would run, and why there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlacementView {
    /// Whose.
    pub(crate) service: ServiceName,
    /// The variant.
    pub(crate) variant: Variant,
    /// It could not run now, and would wait for this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waits_for: Option<String>,
    /// Why that one.
    #[serde(flatten)]
    pub(crate) placement: Placement,
}

/// An event without its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventView {
    /// `id`.
    pub(crate) id: String,
    /// `source`.
    pub(crate) source: String,
    /// `type`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// `time`.
    pub(crate) time: Timestamp,
    /// The first event of the workflow run.
    pub(crate) origin: String,
    /// Stages passed.
    pub(crate) hops: u32,
}

/// One version of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct VersionView {
    /// From 1.
    pub(crate) version: u32,
    /// When it was applied.
    #[schema(value_type = String, example = "2026-11-24T12:00:00Z")]
    pub(crate) created: Timestamp,
    /// Its module.
    #[schema(value_type = Option<String>)]
    pub(crate) wasm: Option<ModuleDigest>,
    /// Its image.
    #[schema(value_type = Option<String>)]
    pub(crate) image: Option<ImageName>,
    /// Whether it is the one that runs.
    pub(crate) current: bool,
}

/// Body of `POST /system/services/{name}/rollback`; an empty body is the version before the current one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackRequest {
    /// Which version; the one before the current when left out.
    #[serde(default)]
    #[schema(example = 1)]
    pub(crate) version: Option<u32>,
}

/// Which version runs now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RolledBack {
    /// The version.
    #[schema(example = 1)]
    pub(crate) version: u32,
}

/// A line of a log, as JSON lines of `GET /system/invocations/{id}/logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogLineView {
    /// Which attempt wrote it.
    pub(crate) attempt: u32,
    /// When.
    pub(crate) time: Timestamp,
    /// Where to.
    pub(crate) stream: LogStream,
    /// The line.
    pub(crate) text: String,
}

/// `GET /system/logs/{service}`, in OSCAR's shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct JobsView {
    /// By invocation id.
    pub(crate) jobs: BTreeMap<String, JobView>,
    /// `page` of the next request; left out on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_page: Option<String>,
}

/// One invocation in OSCAR's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct JobView {
    /// `Pending`, `Running`, `Succeeded` or `Failed`.
    #[schema(example = "Succeeded")]
    pub(crate) status: String,
    /// When it was accepted.
    #[schema(value_type = String, example = "2026-11-24T12:00:00Z")]
    pub(crate) creation_time: Timestamp,
    /// When its last attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) start_time: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) finish_time: Option<Timestamp>,
}
