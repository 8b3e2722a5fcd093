//! What a [`MemoryQueue`](super::MemoryQueue) knows.

mod join;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use wicket_config::ServiceName;
use wicket_core::{
    AttemptRecord, Delivery, Depth, Event, Filter, Forget, Invocation, InvocationId, Lease, Log, Pushed,
    QueueError, Receipt, Retention, Settled, StagedObject, State as Stand, Timestamp, Trigger,
};

use super::Rung;
use crate::alike::abandoned;
use crate::bell::Ring;
use join::Joins;

/// Everything, by the order in which it was accepted.
#[derive(Debug, Default)]
pub(super) struct State {
    entries: BTreeMap<u64, Entry>,
    ids: HashMap<InvocationId, u64>,
    accepted: u64,
    joins: Joins,
    logged: u64,
    pub(super) published: Vec<StagedObject>,
}

/// One invocation.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) receipt: Receipt,
    pub(super) event: Option<Event>,
    /// When the lease runs out, while it runs.
    pub(super) until: Timestamp,
    fence: u64,
    /// Within the present set of attempts.
    pub(super) attempt: u32,
    /// Attempts of the sets before.
    pub(super) base: u32,
    pub(super) dead: bool,
    /// By attempt; the first number is the order in which logs came.
    logs: BTreeMap<u32, (u64, Log)>,
}

/// Where an attempt leads.
pub(super) enum End {
    Succeeded,
    Dead,
    Again(Timestamp),
}

impl Entry {
    fn new(receipt: Receipt, event: Option<Event>) -> Self {
        let until = receipt.accepted;
        Self { receipt, event, until, fence: 0, attempt: 0, base: 0, dead: false, logs: BTreeMap::new() }
    }

    /// Waits for its next attempt.
    pub(super) fn wait(&mut self, due: Timestamp) {
        self.receipt.state = Stand::Queued;
        self.receipt.due = Some(due);
        self.receipt.finished = None;
    }

    fn finish(&mut self, state: Stand, now: Timestamp) {
        self.receipt.state = state;
        self.receipt.due = None;
        self.receipt.waiting = None;
        self.receipt.finished = Some(now);
    }

    /// Makes a dead letter of it, if it waits or runs; who runs it loses the lease.
    pub(super) fn bury(&mut self, record: AttemptRecord, now: Timestamp) -> bool {
        match self.receipt.state {
            Stand::Queued => self.attempt += 1,
            Stand::Running => self.fence += 1,
            Stand::Succeeded | Stand::Failed => return false,
        }
        let number = self.base + self.attempt;
        self.receipt.attempts.push(AttemptRecord { number, ..record });
        self.finish(Stand::Failed, now);
        self.dead = true;
        true
    }

    /// Since when, or from when on, it may be leased.
    fn due(&self) -> Option<Timestamp> {
        match self.receipt.state {
            Stand::Queued => self.receipt.due,
            Stand::Running => Some(self.until),
            Stand::Succeeded | Stand::Failed => None,
        }
    }
}

impl State {
    pub(super) fn push(&mut self, deliveries: Vec<Delivery>, now: Timestamp, rung: &mut Rung) -> Vec<Pushed> {
        deliveries
            .into_iter()
            .map(|delivery| match delivery {
                Delivery::Run(invocation) => self.add(invocation, now, now, rung),
                Delivery::Part(part) => self.part(part, now, rung),
            })
            .collect()
    }

    fn add(&mut self, invocation: Invocation, now: Timestamp, due: Timestamp, rung: &mut Rung) -> Pushed {
        let Invocation { id, service, event } = invocation;
        if self.ids.contains_key(&id) {
            return Pushed::Duplicate(id);
        }
        rung.push((service.clone(), Ring::Now));
        let receipt = Receipt {
            id,
            service,
            trigger: Trigger::Event,
            event: event.id.clone(),
            source: event.source.clone(),
            subject: event.subject.clone(),
            origin: event.origin.clone(),
            state: Stand::Queued,
            accepted: now,
            finished: None,
            due: Some(due),
            waiting: None,
            attempts: Vec::new(),
        };
        self.insert(Entry::new(receipt, Some(event)));
        Pushed::New(id)
    }

    fn insert(&mut self, entry: Entry) {
        self.accepted += 1;
        self.ids.insert(entry.receipt.id, self.accepted);
        self.entries.insert(self.accepted, entry);
    }

    pub(super) fn entry(&mut self, id: InvocationId) -> Option<&mut Entry> {
        self.entries.get_mut(self.ids.get(&id)?)
    }

    fn of<'a>(&'a self, service: &'a ServiceName) -> impl Iterator<Item = (&'a u64, &'a Entry)> {
        self.entries.iter().filter(move |(_, entry)| entry.receipt.service == *service)
    }

    pub(super) fn next(&self, service: &ServiceName) -> Option<Timestamp> {
        let queued = self.of(service).filter_map(|(_, entry)| entry.due()).min();
        [queued, self.joins.next(service)].into_iter().flatten().min()
    }

    pub(super) fn lease(&mut self, service: &ServiceName, now: Timestamp, ttl: Duration) -> Option<Lease> {
        let due = self.of(service).filter_map(|(seq, entry)| Some((entry.due()?, *seq)));
        let (due, seq) = due.filter(|(due, _)| *due <= now).min()?;
        let entry = self.entries.get_mut(&seq)?;
        let event = entry.event.clone()?;
        entry.receipt.state = Stand::Running;
        entry.receipt.due = None;
        entry.until = now.after(ttl);
        entry.fence += 1;
        entry.attempt += 1;
        let invocation = Invocation { id: entry.receipt.id, service: service.clone(), event };
        Some(Lease {
            invocation,
            attempt: entry.attempt,
            number: entry.base + entry.attempt,
            fence: entry.fence,
            accepted: entry.receipt.accepted,
            due,
        })
    }

    pub(super) fn services(&self) -> Vec<ServiceName> {
        let runs = |entry: &&Entry| matches!(entry.receipt.state, Stand::Queued | Stand::Running);
        let queued = self.entries.values().filter(runs).map(|entry| entry.receipt.service.clone());
        queued.chain(self.joins.services()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What a lease is on, while its holder has the right.
    pub(super) fn held(&mut self, lease: &Lease) -> Result<&mut Entry, QueueError> {
        let id = lease.invocation.id;
        self.entry(id)
            .filter(|entry| entry.receipt.state == Stand::Running && entry.fence == lease.fence)
            .ok_or(QueueError::Fenced(id))
    }

    pub(super) fn end(
        &mut self,
        lease: &Lease,
        settled: Settled,
        end: End,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        let order = self.logged + 1;
        let entry = self.held(lease)?;
        let number = entry.base + entry.attempt;
        entry.receipt.attempts.push(AttemptRecord { number, ..settled.attempt });
        entry.logs.insert(number, (order, settled.log));
        match end {
            End::Succeeded => entry.finish(Stand::Succeeded, now),
            End::Again(due) => {
                entry.receipt.waiting = None;
                entry.wait(due);
            }
            End::Dead => {
                entry.finish(Stand::Failed, now);
                entry.dead = true;
            }
        }
        self.logged = order;
        Ok(())
    }

    pub(super) fn record(&mut self, receipt: Receipt, log: Log, now: Timestamp) {
        if self.ids.contains_key(&receipt.id) {
            return;
        }
        let state = if receipt.state == Stand::Succeeded { Stand::Succeeded } else { Stand::Failed };
        let finished = receipt.finished.unwrap_or(now);
        let number = receipt.attempts.last().map_or(1, |attempt| attempt.number);
        let mut entry = Entry::new(receipt, None);
        entry.finish(state, finished);
        self.logged += 1;
        entry.logs.insert(number, (self.logged, log));
        self.insert(entry);
    }

    pub(super) fn list(&self, filter: &Filter) -> Vec<Receipt> {
        let before = match filter.before {
            Some(id) => self.ids.get(&id).copied().unwrap_or(0),
            None => u64::MAX,
        };
        let limit = if filter.limit == 0 { 100 } else { filter.limit.min(1000) };
        self.entries
            .range(..before)
            .rev()
            .map(|(_, entry)| entry)
            .filter(|entry| !filter.dead_letters || entry.dead)
            .map(|entry| &entry.receipt)
            .filter(|receipt| filter.service.as_ref().is_none_or(|service| receipt.service == *service))
            .filter(|receipt| filter.state.is_none_or(|state| receipt.state == state))
            .filter(|receipt| filter.source.as_ref().is_none_or(|source| receipt.source == *source))
            .filter(|receipt| filter.origin.as_ref().is_none_or(|origin| receipt.origin == *origin))
            .take(limit as usize)
            .cloned()
            .collect()
    }

    pub(super) fn logs(&mut self, id: InvocationId) -> Vec<(u32, Log)> {
        let Some(entry) = self.entry(id) else { return Vec::new() };
        let log = |number| entry.logs.get(&number).map(|(_, log)| log.clone()).unwrap_or_default();
        entry.receipt.attempts.iter().map(|attempt| (attempt.number, log(attempt.number))).collect()
    }

    pub(super) fn depth(&self, service: &ServiceName) -> Depth {
        let count = |state, dead| {
            self.of(service).filter(|(_, entry)| entry.receipt.state == state && entry.dead == dead).count()
                as u64
        };
        Depth {
            queued: count(Stand::Queued, false),
            running: count(Stand::Running, false),
            dead: count(Stand::Failed, true),
            waiting_parts: self.joins.waiting(service),
        }
    }

    pub(super) fn forget(&mut self, service: &ServiceName, which: Forget) -> u64 {
        let before = self.entries.len();
        self.entries.retain(|_, Entry { receipt, .. }| {
            let meant = match which {
                Forget::One(id) => receipt.id == id,
                Forget::Succeeded => receipt.state == Stand::Succeeded,
                Forget::All => true,
            };
            !meant || receipt.service != *service || receipt.state == Stand::Running
        });
        let entries = &self.entries;
        self.ids.retain(|_, seq| entries.contains_key(seq));
        (before - self.entries.len()) as u64
    }

    pub(super) fn prune(&mut self, keep: Retention, now: Timestamp) -> u64 {
        let before = self.entries.len();
        self.entries.retain(|_, entry| {
            let age = if entry.dead { keep.dead_letter_age } else { keep.age };
            entry.receipt.finished.is_none_or(|finished| now.since(finished) <= age)
        });
        self.prune_receipts(keep.receipt_bytes);
        let entries = &self.entries;
        self.ids.retain(|_, seq| entries.contains_key(seq));
        self.joins.forget(keep.age, now);
        self.prune_logs(keep.log_bytes);
        (before - self.entries.len()) as u64
    }

    /// The oldest of what ended, dead letters excepted.
    fn prune_receipts(&mut self, keep: u64) {
        let ended = self.entries.iter().filter(|(_, entry)| !entry.dead && entry.receipt.finished.is_some());
        let size = |entry: &Entry| {
            400 + serde_json::to_vec(&entry.receipt.attempts).map_or(0, |text| text.len() as u64)
        };
        let mut ended: Vec<_> =
            ended.map(|(seq, entry)| (entry.receipt.finished, *seq, size(entry))).collect();
        ended.sort_unstable();
        let mut total: u64 = ended.iter().map(|(.., bytes)| bytes).sum();
        for (_, seq, bytes) in ended {
            if total <= keep {
                break;
            }
            total -= bytes;
            self.entries.remove(&seq);
        }
    }

    fn prune_logs(&mut self, keep: u64) {
        let mut logs: Vec<(u64, u64, u32, u64)> = Vec::new();
        for (seq, entry) in &self.entries {
            for (number, (order, log)) in &entry.logs {
                let bytes = serde_json::to_vec(log).map_or(0, |text| text.len() as u64);
                logs.push((*order, *seq, *number, if *log == Log::default() { 0 } else { bytes }));
            }
        }
        logs.sort_unstable();
        let mut total: u64 = logs.iter().map(|(.., bytes)| bytes).sum();
        for (_, seq, number, bytes) in logs {
            if total <= keep {
                break;
            }
            total -= bytes;
            if let Some(entry) = self.entries.get_mut(&seq) {
                entry.logs.remove(&number);
            }
        }
    }

    pub(super) fn abandon(&mut self, service: &ServiceName, reason: &str, now: Timestamp) -> u64 {
        let of_service = self.entries.values_mut().filter(|entry| entry.receipt.service == *service);
        of_service.map(|entry| u64::from(entry.bury(abandoned(now, reason), now))).sum()
    }
}
