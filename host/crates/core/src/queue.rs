//! The contract of the queue: accepted means on disk, and the end of an invocation and what follows from it are one
//! step.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use wicket_config::ServiceName;

use crate::{
    AttemptRecord, Delivery, Invocation, InvocationId, Log, Receipt, StagedObject, State, Timestamp, Waiting,
};

/// The right to run one attempt of an invocation until a time. Not `Clone`: settling consumes it.
#[derive(Debug)]
pub struct Lease {
    /// What to run.
    pub invocation: Invocation,
    /// Which attempt this is, from 1; from 1 again when a dead letter was redriven.
    pub attempt: u32,
    /// The same counted over all of that: the attempt's number in the receipt.
    pub number: u32,
    /// Grows with every lease of this invocation; a holder whose fence is no longer the newest has lost the right.
    pub fence: u64,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// Since when it was due.
    pub due: Timestamp,
}

/// What an attempt leaves in the receipt.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The attempt.
    pub attempt: AttemptRecord,
    /// Its log.
    pub log: Log,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Stored.
    New(InvocationId),
    /// Known already; nothing was stored.
    Duplicate(InvocationId),
    /// Stored as a part of a join that still waits.
    Waiting,
}

/// How many invocations of a service stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// Wait for an attempt.
    pub queued: u64,
    /// Run.
    pub running: u64,
    /// Dead letters.
    pub dead: u64,
    /// Events that wait in joins.
    pub waiting_parts: u64,
}

/// Which receipts to list. Everything is optional; what is given must all match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this service.
    pub service: Option<ServiceName>,
    /// In this state.
    pub state: Option<State>,
    /// Of events from this source.
    pub source: Option<String>,
    /// Of the workflow run that began with this event.
    pub origin: Option<crate::EventId>,
    /// Only dead letters (failed ones that came through the queue).
    pub dead_letters: bool,
    /// Older than this invocation: the last of the page before.
    pub before: Option<InvocationId>,
    /// At most so many; 0 means 100, and 1,000 is the most.
    pub limit: u32,
}

/// Which invocations to forget before their time. Never one that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forget {
    /// This one.
    One(InvocationId),
    /// Those that ended well.
    Succeeded,
    /// All: those that failed and those that wait, too.
    All,
}

/// How long settled invocations are remembered. That is also how long a duplicate is recognised.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Receipts of ended invocations older than this go, dead letters excepted.
    pub age: Duration,
    /// Dead letters older than this go.
    pub dead_letter_age: Duration,
    /// At most about so many bytes of receipts of ended invocations; the oldest go first, dead letters excepted.
    pub receipt_bytes: u64,
    /// At most so many bytes of logs; the oldest go first.
    pub log_bytes: u64,
}

/// Why the queue did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Somebody else holds a newer lease, or the invocation has ended: what this holder did must not count.
    #[error("the lease on invocation {0} is lost")]
    Fenced(InvocationId),
    /// Nothing by that id.
    #[error("there is no invocation {0}")]
    Unknown(InvocationId),
    /// Only a dead letter can be redriven.
    #[error("invocation {0} is not a dead letter, it {how}", how = .1.words())]
    NotDead(InvocationId, State),
    /// What has ended is not cancelled.
    #[error("invocation {0} has ended")]
    Ended(InvocationId),
    /// The disk is full: nothing was accepted.
    #[error("no space left for the queue")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The storage failed.
    #[error("the queue's storage failed")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where invocations wait. One contract suite runs over every implementation (`wicket_queue::contract`).
///
/// - Every method that changes something returns when the change is durable. Of `lease`, `extend` and `record` a power cut
///   (not a crash of the process) may take back what was told last: the lease ends with its holder, and is taken again.
/// - An id is queued once: a second push of it within the retention is a [`Pushed::Duplicate`], whatever became of it.
/// - Of one service, invocations are leased in the order in which they fell due.
/// - A lease that runs out comes back by itself, as the next attempt; its late holder gets [`QueueError::Fenced`].
#[async_trait]
pub trait Queue: std::fmt::Debug + Send + Sync {
    /// Stores all deliveries or none. Answers in their order.
    ///
    /// A part that completes its join by count queues the joined invocation in the same step; a join by window is
    /// queued when its window has passed without another part.
    async fn push(&self, deliveries: Vec<Delivery>) -> Result<Vec<Pushed>, QueueError>;

    /// Returns when [`Queue::lease`] for this service may have something; at once when it has. May return too often,
    /// never too late. Dropping the future is free.
    async fn ready(&self, service: &ServiceName);

    /// Takes the oldest due invocation of this service, if there is one.
    async fn lease(&self, service: &ServiceName, ttl: Duration) -> Result<Option<Lease>, QueueError>;

    /// Holds a lease for `ttl` from now on.
    async fn extend(&self, lease: &Lease, ttl: Duration) -> Result<(), QueueError>;

    /// Ends an invocation well: the receipt, the outputs becoming visible, and the follow-ups, all in one step.
    async fn complete(
        &self,
        lease: Lease,
        settled: Settled,
        outputs: Vec<StagedObject>,
        follow_ups: Vec<Delivery>,
    ) -> Result<(), QueueError>;

    /// Ends an attempt; the next one falls due at `due`.
    async fn retry(&self, lease: Lease, settled: Settled, due: Timestamp) -> Result<(), QueueError>;

    /// Gives an invocation up: it is a dead letter now.
    async fn bury(&self, lease: Lease, settled: Settled) -> Result<(), QueueError>;

    /// Gives a lease back unused (a host that drains): due at once, and the attempt does not count.
    async fn release(&self, lease: Lease) -> Result<(), QueueError>;

    /// Gives a lease back because what the attempt needs is away: due at `due`, and the attempt does not count. The receipt
    /// says what it waits for, until the next attempt has ended.
    async fn postpone(&self, lease: Lease, waiting: Waiting, due: Timestamp) -> Result<(), QueueError>;

    /// Queues a dead letter again, with a full set of attempts; its history stays in the receipt.
    async fn redrive(&self, id: InvocationId) -> Result<(), QueueError>;

    /// Ends an invocation that waits or runs: it is a dead letter, [`Failure::Cancelled`](crate::Failure::Cancelled) with
    /// this reason, and who runs it has lost the lease.
    async fn cancel(&self, id: InvocationId, reason: &str) -> Result<(), QueueError>;

    /// Stores receipts and logs of synchronous calls, which never were in the queue.
    async fn record(&self, calls: Vec<(Receipt, Log)>) -> Result<(), QueueError>;

    /// One receipt.
    async fn receipt(&self, id: InvocationId) -> Result<Option<Receipt>, QueueError>;

    /// The event of an invocation; none when unknown, or when it was a synchronous call.
    async fn event(&self, id: InvocationId) -> Result<Option<crate::Event>, QueueError>;

    /// Receipts, newest first.
    async fn list(&self, filter: &Filter) -> Result<Vec<Receipt>, QueueError>;

    /// The logs of the ended attempts of an invocation, by attempt number.
    async fn logs(&self, id: InvocationId) -> Result<Vec<(u32, Log)>, QueueError>;

    /// How many of this service stand where.
    async fn depth(&self, service: &ServiceName) -> Result<Depth, QueueError>;

    /// Forgets what is older than the retention. Returns how many invocations went.
    async fn prune(&self, keep: Retention) -> Result<u64, QueueError>;

    /// Queues what the open joins of this service hold: the rule that they wait by is gone.
    async fn close_joins(&self, service: &ServiceName) -> Result<(), QueueError>;

    /// For which services something waits, runs, or is a part of an open join.
    async fn services(&self) -> Result<Vec<ServiceName>, QueueError>;

    /// Forgets invocations of a service with their logs: one that waits will not run, and a duplicate of one that is
    /// forgotten is new. Returns how many went.
    async fn forget(&self, service: &ServiceName, which: Forget) -> Result<u64, QueueError>;

    /// Buries everything that waits or runs for a service that is being removed. Returns how many.
    async fn abandon(&self, service: &ServiceName, reason: &str) -> Result<u64, QueueError>;
}
