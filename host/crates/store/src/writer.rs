//! The one thread that writes.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;
use tokio::sync::mpsc;

use crate::StoreError;
use crate::file::Lock;
use crate::group::Group;
use crate::job::Job;

/// Works that may wait for the writer; who brings more waits.
pub(crate) const WAITING: usize = 1024;
/// At most so many works share a commit …
const GROUP: usize = 1024;
/// … and no group is filled for longer than this, so that the first of it does not wait for a slow last.
const FILL: Duration = Duration::from_millis(20);

/// Pages in the log (4 KiB each) from which an idle writer copies it back into the file,
const IDLE_PAGES: i32 = 1024;
/// from which a busy one does,
const BUSY_PAGES: i32 = 4096;
/// and from which it waits for the readers, so that the log starts over and cannot grow for ever.
const MOST_PAGES: i32 = 16 * 1024;

/// What comes to the writer.
pub(crate) enum Message {
    /// Do this.
    Work(Box<dyn Job>),
    /// Do what came before, and end.
    Close,
}

/// The writer's own things.
pub(crate) struct Writer {
    conn: Connection,
    inbox: mpsc::Receiver<Message>,
    /// Pages in the log after the last commit.
    pages: Arc<AtomicI32>,
    /// The log size at which a checkpoint is worth another try, after one that could not finish.
    next_try: i32,
    /// Whether the connection syncs its commits.
    syncs: bool,
    /// Let go after the connection.
    _lock: Lock,
}

impl Writer {
    pub(crate) fn new(
        mut conn: Connection,
        lock: Lock,
        inbox: mpsc::Receiver<Message>,
    ) -> Result<Self, StoreError> {
        let pages = Arc::new(AtomicI32::new(0));
        let told = Arc::clone(&pages);
        conn.wal_hook(Some(move |_: &mut Wal, n: c_int| {
            told.store(n, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { conn, inbox, pages, next_try: 0, syncs: true, _lock: lock })
    }

    /// Until it is told to close, or all handles of the store are gone.
    pub(crate) fn run(mut self) {
        let mut next = None;
        loop {
            let message = next.take().or_else(|| self.inbox.blocking_recv());
            let Some(Message::Work(first)) = message else { break };
            next = self.group(first);
            self.checkpoint();
        }
        // Nobody gets in any more; who already waits is served.
        self.inbox.close();
        while let Some(message) = next.take().or_else(|| self.inbox.blocking_recv()) {
            if let Message::Work(first) = message {
                next = self.group(first);
            }
        }
        if let Err(error) = self.copy_back("TRUNCATE") {
            tracing::warn!(%error, "the last checkpoint failed; the log is replayed at the next start");
        }
    }

    /// Everything that waits, and what comes while the group is filled, in one commit. Answers the message that ended
    /// it, if one did: the end, or a work that asks for an fsync in a group that does without.
    fn group(&mut self, first: Box<dyn Job>) -> Option<Message> {
        let since = Instant::now();
        let durable = first.is_durable();
        let ready = self.sync(durable);
        let mut group = Group::begin(&self.conn, ready);
        let mut next = None;
        group.run(first);
        while group.len() < GROUP && since.elapsed() < FILL && !group.is_lost() {
            match self.inbox.try_recv() {
                Ok(Message::Work(job)) if durable || !job.is_durable() => group.run(job),
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        group.commit();
        next
    }

    /// FULL: a commit is one append to the log and one fsync of it. NORMAL: the next fsync covers it. SQLite takes the
    /// setting between transactions only, and as soon as it is compiled: a cached statement would do nothing.
    fn sync(&mut self, durable: bool) -> rusqlite::Result<()> {
        if self.syncs != durable {
            let level = if durable { "FULL" } else { "NORMAL" };
            self.conn.execute_batch(&format!("PRAGMA synchronous = {level}"))?;
            self.syncs = durable;
        }
        Ok(())
    }

    /// Keeps the log bounded: on an idle writer soon, so that the next commit does not pay for it; on a busy one at
    /// some megabytes; and beyond that by waiting for the readers.
    fn checkpoint(&mut self) {
        let pages = self.pages.load(Ordering::Relaxed);
        let mode = match pages {
            MOST_PAGES.. => "RESTART",
            BUSY_PAGES.. => "PASSIVE",
            IDLE_PAGES.. if self.inbox.is_empty() => "PASSIVE",
            _ => return,
        };
        if pages < self.next_try {
            self.next_try = if pages < IDLE_PAGES { 0 } else { self.next_try };
            return;
        }
        match self.copy_back(mode) {
            Ok(true) => self.next_try = 0,
            // A reader is in the way, or the disk is full. Not again after every group.
            Ok(false) => self.next_try = pages.saturating_add(IDLE_PAGES),
            Err(error) => {
                tracing::warn!(%error, pages, "cannot copy the log back into the database");
                self.next_try = pages.saturating_add(IDLE_PAGES);
            }
        }
    }

    /// A checkpoint; says whether all of the log is in the file now.
    fn copy_back(&self, mode: &str) -> rusqlite::Result<bool> {
        self.conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
            let (busy, log, copied): (i32, i32, i32) = (row.get(0)?, row.get(1)?, row.get(2)?);
            self.pages.store(if log == copied { 0 } else { log }, Ordering::Relaxed);
            Ok(busy == 0 && log == copied)
        })
    }
}
