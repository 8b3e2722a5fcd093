//! The variant of a service that runs as a job of AWS Batch.

use serde::{Deserialize, Serialize};

use crate::{ByteSize, Cpus, ImageName, Span, User};

/// Runs a service as a job of AWS Batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The image, by a name that the compute nodes can fetch it by.
    pub image: ImageName,
    /// Text of a script that runs in it; none: the service's `args` are the command.
    #[serde(default)]
    pub script: Option<String>,
    /// Memory of the job.
    pub memory: ByteSize,
    /// Its CPUs. Batch counts whole ones: a part is rounded up.
    pub cpu: Cpus,
    /// GPUs that it must have.
    #[serde(default)]
    pub gpus: u32,
    /// How long it may run.
    pub timeout: Span,
    /// How long it may stand in Batch's queue before it runs.
    pub wait: Span,
    /// The job queue; none: the one that the host is set up with.
    #[serde(default)]
    pub queue: Option<String>,
    /// Who the script runs as.
    #[serde(default)]
    pub user: User,
}
