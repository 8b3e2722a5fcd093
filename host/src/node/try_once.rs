//! One attempt of an invocation, whoever asked for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use wicket_config::Variant;
use wicket_core::{
    Attempt, AttemptRecord, Deployment, Event, EventId, Failure, Invocation, InvocationId, Log, LogSink,
    ObjectRef, Reply, Report, StagedObject, Timestamp, Usage, executor_of,
};

use super::Node;
use crate::attempt::{AttemptObjects, AttemptOutputs, Collected, Scratch};

/// The events of an invocation's outputs becoming visible. Their ids repeat when the same invocation is worked on
/// again, and are nobody else's: what another service makes of the same event, or the same service of an event that
/// has its id from another source, may have the same key.
pub(crate) fn created(cause: &Event, invocation: InvocationId, staged: &[StagedObject]) -> Vec<Event> {
    let event = |output: &StagedObject| {
        let object =
            ObjectRef { size: Some(output.size), etag: Some(output.etag.clone()), ..output.object.clone() };
        let id = EventId(format!("{invocation}/{}", object.key));
        Event::object_created(object, id).caused_by(cause)
    };
    staged.iter().map(event).collect()
}

/// How one try went.
pub(crate) struct Tried {
    /// For the receipt.
    pub(crate) record: AttemptRecord,
    /// Its log.
    pub(crate) log: Log,
    /// The answer and the outputs, or why it failed (outputs are discarded then).
    pub(crate) result: Result<(Reply, Collected), Failure>,
}

impl Node {
    /// One attempt of an invocation, whoever asked for it. `answer` is given by a caller who waits: his outputs are
    /// kept as files too, and a large body of his is the file inside.
    pub(crate) async fn try_once(
        &self,
        deployment: &Arc<Deployment>,
        variant: Variant,
        invocation: Invocation,
        number: u32,
        scratch: &Scratch,
        answer: Option<Option<PathBuf>>,
    ) -> Tried {
        let started = Timestamp::now();
        let clock = Instant::now();
        let log = LogSink::new(deployment.service.limits.log.0);
        let _shown = self.running.show(invocation.id, number, log.clone());
        let waits = answer.is_some();
        let folder = scratch.path().join(format!("attempt-{number}"));
        let objects = Arc::new(AttemptObjects::new(
            deployment.clone(),
            self.buckets.clone(),
            self.outside.clone(),
            &invocation.event,
            answer.flatten(),
        ));
        let outputs = Arc::new(AttemptOutputs::new(
            deployment.clone(),
            self.buckets.clone(),
            self.outside.clone(),
            invocation.event.clone(),
            log.clone(),
            scratch.path(),
            waits,
        ));
        let report = match std::fs::create_dir(&folder) {
            Err(error) => Report {
                result: Err(Failure::Host { message: format!("no folder for the attempt: {error}") }),
                usage: Usage::default(),
            },
            Ok(()) => {
                let attempt = Attempt {
                    deployment: deployment.clone(),
                    invocation,
                    number,
                    objects,
                    outputs: outputs.clone(),
                    log: log.clone(),
                    scratch: folder,
                };
                match self.executor(variant) {
                    Some(executor) => executor.execute(attempt).await,
                    None => Report {
                        result: Err(Failure::Unavailable {
                            message: "this host is not set up for AWS Batch".to_owned(),
                        }),
                        usage: Usage::default(),
                    },
                }
            }
        };
        let result = match report.result {
            Err(failure) => Err(failure),
            Ok(reply) => match outputs.finish().await {
                Ok(collected) => Ok((reply, collected)),
                Err(error) => Err(error.failure()),
            },
        };
        let mut usage = report.usage;
        usage.wall_us = u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX);
        let record = AttemptRecord {
            number,
            version: deployment.version,
            executor: executor_of(variant).to_owned(),
            started,
            queue_us: 0,
            usage,
            status: result.as_ref().ok().and_then(|(reply, _)| reply.status),
            failure: result.as_ref().err().cloned(),
            placement: None,
        };
        Tried { record, log: log.take(), result }
    }
}
