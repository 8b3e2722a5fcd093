//! The receipt of a call of a model that no function made: it came by the Open Inference Protocol.

use std::time::{Duration, Instant};

use wicket_core::{
    AttemptRecord, Deployment, EventId, Failure, Inferred, InvocationId, Limit, Log, Receipt, State,
    Timestamp, Trigger, Usage,
};
use wicket_inference::{InferenceError, Used};

use super::Node;

impl Node {
    /// Records a call of a service's model that no function made; answers which invocation it was.
    pub(crate) fn inferred(
        &self,
        deployment: &Deployment,
        model: &str,
        (started, begun): (Timestamp, Instant),
        bytes_in: u64,
        used: Result<Used, &InferenceError>,
    ) -> InvocationId {
        let id = InvocationId::random();
        let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let failure = used.as_ref().err().map(|error| match error {
            InferenceError::Timeout { .. } => {
                Failure::Limit { limit: Limit::Timeout, message: error.to_string() }
            }
            error => Failure::Function { message: error.to_string(), permanent: true },
        });
        let inference = used.into_iter().map(|used| Inferred {
            model: model.to_owned(),
            device: used.device.to_string(),
            backend: used.backend.to_string(),
            fallback: used.fallback,
            calls: 1,
            batch: used.batch,
            queue_us: us(used.queue),
            run_us: us(used.inference),
        });
        let usage = Usage {
            wall_us: us(begun.elapsed()),
            bytes_in,
            inference: inference.collect(),
            ..Usage::default()
        };
        let record = AttemptRecord {
            number: 1,
            version: deployment.version,
            executor: "inference".to_owned(),
            started,
            queue_us: 0,
            usage,
            status: None,
            placement: None,
            failure,
        };
        let event = EventId(id.to_string());
        let receipt = Receipt {
            id,
            service: deployment.service.name.clone(),
            trigger: Trigger::Run,
            origin: event.clone(),
            event,
            source: format!("/v2/models/{}.{model}", deployment.service.name),
            subject: None,
            state: if record.failure.is_none() { State::Succeeded } else { State::Failed },
            accepted: started,
            finished: Some(Timestamp::now()),
            due: None,
            waiting: None,
            attempts: vec![record],
        };
        self.recorder.record(receipt, Log::default());
        id
    }
}
