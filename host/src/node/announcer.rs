//! From a new object to the invocations it starts, inside the transaction that makes it visible.

use std::sync::{Arc, OnceLock};

use wicket_core::Event;
use wicket_queue::SqliteQueue;
use wicket_store::{Announce, StoreError, Tx};

use crate::catalog::TableCell;

/// Routes the events of this node's buckets.
#[derive(Debug)]
pub(crate) struct Announcer {
    table: TableCell,
    /// The queue publishes into the buckets, and the buckets announce to the queue: one of them comes second.
    queue: OnceLock<Arc<SqliteQueue>>,
}

impl Announcer {
    /// Routes by this table.
    pub(crate) fn new(table: TableCell) -> Arc<Self> {
        Arc::new(Self { table, queue: OnceLock::new() })
    }

    /// Where invocations go; before this, an object is refused.
    pub(crate) fn connect(&self, queue: Arc<SqliteQueue>) {
        self.queue.get_or_init(|| queue);
    }
}

impl Announce for Announcer {
    fn created(&self, tx: &mut Tx<'_>, event: &Event) -> Result<(), StoreError> {
        let deliveries = self.table.load().router.route(event);
        if deliveries.is_empty() {
            return Ok(());
        }
        let queue = self.queue.get().ok_or(StoreError::Closed)?;
        queue.push_in(tx, deliveries).map(drop)
    }
}
