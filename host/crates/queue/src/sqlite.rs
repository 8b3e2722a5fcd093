//! The queue of a host: tables in the store, beside those of the buckets.

mod handed;
mod join;
mod lease;
mod packed;
mod prune;
mod push;
mod queue;
mod read;
mod settle;
mod stored;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use wicket_core::{Delivery, Pushed, QueueError, Timestamp};
use wicket_store::{Part, Publish, Store, StoreError, Tx};

use crate::bell::Bells;
use handed::Handed;
use stored::Stored;

/// The queue's tables.
pub const PART: Part = Part { name: "queue", migrations: &[include_str!("sqlite/schema.sql"), WAITING] };

/// What an invocation waits for that was postponed, in JSON.
const WAITING: &str = "ALTER TABLE invocations ADD COLUMN waiting TEXT";

/// The durable queue. Everything that one call changes is one work in the store's writer: it shares a commit with the
/// works of others, and is durable as a whole or not at all.
#[derive(Debug)]
pub struct SqliteQueue {
    store: Store,
    publish: Arc<dyn Publish>,
    /// Shared with what runs after commits.
    bells: Arc<Bells>,
    handed: Arc<Handed>,
}

impl SqliteQueue {
    /// A queue in a store that was opened with [`PART`]. `publish` makes outputs visible when their invocation ends.
    pub fn new(store: Store, publish: Arc<dyn Publish>) -> Arc<Self> {
        Arc::new(Self { store, publish, bells: Arc::default(), handed: Arc::default() })
    }

    /// Stores all deliveries inside somebody else's transaction (an object's PUT); wakes who waits after its commit.
    pub fn push_in(&self, tx: &mut Tx<'_>, deliveries: Vec<Delivery>) -> Result<Vec<Pushed>, StoreError> {
        let stored = deliveries.into_iter().map(Stored::of).collect::<Result<Vec<_>, _>>()?;
        push::and_ring(tx, &stored, &self.bells)
    }

    /// Ends the leases of an earlier process, and answers how many. Only for the one who has just opened the store:
    /// nobody else can hold one. What they were on is due at once, as the next attempt.
    pub async fn end_leases(&self) -> Result<u64, QueueError> {
        let ended = self.store.write(|tx| {
            let now = Timestamp::now().0;
            let mut end = tx.prepare("UPDATE invocations SET due = ?1 WHERE state = 1 AND due > ?1")?;
            Ok(end.execute([now])? as u64)
        });
        ended.await.map_err(fault)
    }
}

/// The store's no in the queue's words.
fn fault(error: StoreError) -> QueueError {
    match error {
        StoreError::Full(source) => QueueError::Full(source.into()),
        StoreError::Refused(reason) => match reason.downcast::<QueueError>() {
            Ok(error) => *error,
            Err(reason) => QueueError::Storage(reason),
        },
        other => QueueError::Storage(other.into()),
    }
}
