//! What both queues do alike, besides joins.

use wicket_core::{AttemptRecord, Event, Failure, Timestamp, Usage};

/// CBOR rather than JSON: bodies stay bytes.
pub(crate) fn encode(event: &Event) -> Result<Vec<u8>, ciborium::ser::Error<std::io::Error>> {
    let mut body = Vec::with_capacity(512);
    ciborium::into_writer(event, &mut body)?;
    Ok(body)
}

/// The record of an attempt that never began.
fn not_begun(now: Timestamp, failure: Failure) -> AttemptRecord {
    AttemptRecord {
        number: 0,
        version: 0,
        executor: "none".to_owned(),
        started: now,
        queue_us: 0,
        usage: Usage::default(),
        status: None,
        failure: Some(failure),
        placement: None,
    }
}

/// The record of one whose service is gone, or whose event cannot be read.
pub(crate) fn abandoned(now: Timestamp, reason: &str) -> AttemptRecord {
    not_begun(now, Failure::Host { message: reason.to_owned() })
}

/// The record of one that somebody has cancelled.
pub(crate) fn cancelled(now: Timestamp, reason: &str) -> AttemptRecord {
    not_begun(now, Failure::Cancelled { message: reason.to_owned() })
}
