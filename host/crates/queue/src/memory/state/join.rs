//! The joins of a [`MemoryQueue`](crate::MemoryQueue).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use wicket_config::ServiceName;
use wicket_core::{Event, InvocationId, JoinPart, Pushed, Timestamp};

use super::{Rung, State};
use crate::bell::Ring;
use crate::joined::{closes, is_complete, joined, part_key};

/// Open joins, and the keys of all parts that are remembered.
#[derive(Debug, Default)]
pub(super) struct Joins {
    open: BTreeMap<(ServiceName, String), Open>,
    /// With when their join closed.
    keys: HashMap<InvocationId, Option<Timestamp>>,
    closed: u64,
}

#[derive(Debug, Default)]
struct Open {
    parts: Vec<Event>,
    keys: Vec<InvocationId>,
    bytes: u64,
    closes: Option<Timestamp>,
}

impl Joins {
    fn of<'a>(
        &'a self,
        service: &'a ServiceName,
    ) -> impl Iterator<Item = (&'a (ServiceName, String), &'a Open)> {
        self.open.iter().filter(move |((of, _), _)| of == service)
    }

    pub(super) fn next(&self, service: &ServiceName) -> Option<Timestamp> {
        self.of(service).filter_map(|(_, open)| open.closes).min()
    }

    pub(super) fn services(&self) -> impl Iterator<Item = ServiceName> {
        self.open.keys().map(|(service, _)| service.clone())
    }

    pub(super) fn waiting(&self, service: &ServiceName) -> u64 {
        self.of(service).map(|(_, open)| open.parts.len() as u64).sum()
    }

    pub(super) fn forget(&mut self, age: Duration, now: Timestamp) {
        self.keys.retain(|_, closed| closed.is_none_or(|closed| now.since(closed) <= age));
    }
}

impl State {
    pub(super) fn part(&mut self, part: JoinPart, now: Timestamp, rung: &mut Rung) -> Pushed {
        let key = part_key(&part);
        if self.joins.keys.contains_key(&key) {
            let id = InvocationId::derive(&part.service, &part.event.source, &part.event.id);
            return Pushed::Duplicate(id);
        }
        let JoinPart { service, group, rule, event } = part;
        let at = (service, group);
        if let Some(closes) =
            self.joins.open.get(&at).and_then(|open| open.closes).filter(|closes| *closes <= now)
        {
            self.close(&at, now, closes, rung);
        }
        self.joins.keys.insert(key, None);
        let open = self.joins.open.entry(at.clone()).or_default();
        open.bytes += crate::alike::encode(&event).map_or(0, |body| body.len() as u64);
        open.keys.push(key);
        open.parts.push(event);
        open.closes = closes(&rule, now);
        let parts = u32::try_from(open.parts.len()).unwrap_or(u32::MAX);
        if is_complete(&rule, parts, open.bytes) {
            return self.close(&at, now, now, rung).unwrap_or(Pushed::Waiting);
        }
        rung.push((at.0, Ring::Later));
        Pushed::Waiting
    }

    /// Closes the joins of this service whose window has passed; with `all`, every open one.
    pub(in crate::memory) fn close_joins(
        &mut self,
        service: &ServiceName,
        now: Timestamp,
        all: bool,
        rung: &mut Rung,
    ) {
        let mut due: Vec<_> = self
            .joins
            .of(service)
            .map(|(at, open)| (open.closes, at.clone()))
            .filter(|(closes, _)| all || closes.is_some_and(|closes| closes <= now))
            .collect();
        due.sort_by_key(|(closes, _)| *closes);
        for (closes, at) in due {
            self.close(&at, now, closes.unwrap_or(now).min(now), rung);
        }
    }

    fn close(
        &mut self,
        at: &(ServiceName, String),
        now: Timestamp,
        due: Timestamp,
        rung: &mut Rung,
    ) -> Option<Pushed> {
        let open = self.joins.open.remove(at)?;
        self.joins.closed += 1;
        for key in open.keys {
            self.joins.keys.insert(key, Some(now));
        }
        let invocation = joined(&at.0, &at.1, self.joins.closed, now, open.parts);
        Some(self.add(invocation, now, due, rung))
    }
}
