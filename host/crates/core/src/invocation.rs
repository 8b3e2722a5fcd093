//! One service on one event, over all its attempts; and the part of a join that waits for the others.

use serde::{Deserialize, Serialize};
use wicket_config::{Join, ServiceName};

use crate::{Event, InvocationId};

/// One service to run on one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// Repeatable for a routed event, random for a synchronous call.
    pub id: InvocationId,
    /// What runs.
    pub service: ServiceName,
    /// On what.
    pub event: Event,
}

impl Invocation {
    /// The invocation that this event makes of this service; the same however often it is asked.
    pub fn of(service: &ServiceName, event: Event) -> Self {
        let id = InvocationId::derive(service, &event.source, &event.id);
        Self { id, service: service.clone(), event }
    }
}

/// An event that waits for the others of its join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinPart {
    /// What runs when the join is complete.
    pub service: ServiceName,
    /// What the parts share: `photos/thumbs/holiday`.
    pub group: String,
    /// When it is complete.
    pub rule: Join,
    /// This part.
    pub event: Event,
}

/// What the router makes of an event, for the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Run this.
    Run(Invocation),
    /// Keep this until its join is complete.
    Part(JoinPart),
}
