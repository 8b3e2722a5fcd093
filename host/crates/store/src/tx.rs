//! What a piece of work sees of the group's transaction.

use std::fmt;
use std::ops::Deref;

use rusqlite::Connection;

/// Runs after a commit, on the writer's thread: short, never blocking.
pub(crate) type AfterCommit = Box<dyn FnOnce() + Send>;

/// The group's transaction as one work sees it: what it writes stands in a savepoint of its own.
pub struct Tx<'a> {
    conn: &'a Connection,
    after: Vec<AfterCommit>,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(conn: &'a Connection) -> Self {
        Self { conn, after: Vec::new() }
    }

    /// Runs after the commit that makes this work durable and before its asker gets the answer; not at all when the
    /// work comes to nothing. It runs on the writer's thread, so it must be short and never block: wake a waiter,
    /// send into a channel.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.after.push(Box::new(then));
    }

    pub(crate) fn into_after(self) -> Vec<AfterCommit> {
        self.after
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.conn
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("after", &self.after.len()).finish_non_exhaustive()
    }
}
