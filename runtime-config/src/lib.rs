//! What people write: the operator's `wicket.toml` ([`HostConfig`]) and the authors' FDL ([`Service`]).
//!
//! Reading is parse → check → resolved type, and everything wrong in a file is reported in one pass, with line
//! and column. Nothing here opens a socket or a file, except `load`.
//!
//! Read in this order: [`name`] (checked names), [`units`] (`"30s"`, `"64MiB"`), [`service`] (what the host runs),
//! [`container`] (its variant in a container), [`model`] (what it asks for by name), [`deepaas`] (how it is
//! called as one), `fdl` (how it is written), `host` (the operator's file).

pub mod batch;
pub mod container;
pub mod deepaas;
pub mod fdl;
mod host;
pub mod model;
pub mod name;
mod problem;
pub mod service;
pub mod units;

pub use batch::Batch;
pub use container::{Container, ImageName, Network, NotAnImage, Pull, User};
pub use deepaas::{Argument, ArgumentKind, Deepaas, MediaType, Train};
pub use host::{
    BatchSection, DockerSection, DrainSection, Folder, Given, Hidden, HostConfig, HttpSection,
    InferenceSection, QueueSection, Registry, TopSection, WasmSection,
};
pub use model::{Backend, Batching, Device, ServiceModel};
pub use name::{
    ArgumentName, BucketName, ModelDigest, ModelName, ModuleDigest, NameError, ObjectKey, ServiceName,
};
pub use problem::{Problem, Problems};
pub use service::{
    EventFilter, Execution, Grants, HttpRoute, Input, Join, JoinBy, Limits, Output, ProviderId,
    RESERVED_PATHS, Retry, Service, StorageProvider, Then, Unavailable, Variant,
};
pub use units::{ByteSize, Cpus, Span, UnitError};
