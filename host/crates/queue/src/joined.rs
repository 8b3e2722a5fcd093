//! Fan-in: which parts are the same, when a join is complete, and the event that comes of it. Functions of values.

use wicket_config::{Join, ServiceName};
use wicket_core::{Data, Event, EventId, Invocation, InvocationId, JoinPart, Timestamp, kinds};

/// A join of so many parts is complete, whatever its rule says.
pub const MAX_PARTS: u32 = 10_000;

/// A join whose events have so many bytes is complete, whatever its rule says.
pub const MAX_JOIN_BYTES: u64 = 64 << 20;

/// The same for the same event in the same group, and for no other.
pub(crate) fn part_key(part: &JoinPart) -> InvocationId {
    let Event { source, id, .. } = &part.event;
    // The length in front, so that no two pairs of source and id are spelled alike.
    InvocationId::derive(&part.service, &part.group, &EventId(format!("{}:{source}{id}", source.len())))
}

/// Whether a join with so many parts, of so many bytes, waits no longer.
pub(crate) fn is_complete(rule: &Join, parts: u32, bytes: u64) -> bool {
    rule.count.is_some_and(|count| parts >= count) || parts >= MAX_PARTS || bytes >= MAX_JOIN_BYTES
}

/// When a join that got a part at `now` is complete if no other comes.
pub(crate) fn closes(rule: &Join, now: Timestamp) -> Option<Timestamp> {
    rule.window.map(|window| now.after(window.0))
}

/// What a complete join starts. `parts` in the order in which they came; `generation` tells this join of the group
/// from those before.
pub(crate) fn joined(
    service: &ServiceName,
    group: &str,
    generation: u64,
    now: Timestamp,
    mut parts: Vec<Event>,
) -> Invocation {
    let id = InvocationId::derive(service, group, &EventId(generation.to_string()));
    let mut event = Event::new(format!("/joins/{service}"), kinds::JOINED, EventId(id.to_string()));
    event.subject = Some(group.to_owned());
    event.time = now;
    event.hops = parts.iter().map(|part| part.hops).max().unwrap_or(0).saturating_add(1);
    if let Some(first) = parts.first() {
        event.origin = first.origin.clone();
    }
    parts.sort_by(|a, b| a.subject.cmp(&b.subject));
    event.data = Data::Parts(parts);
    Invocation::of(service, event)
}
