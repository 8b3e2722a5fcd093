//! One group: several works in one transaction, made durable by one fsync where one of them asks for it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{Connection, ffi};

use crate::error::copy;
use crate::job::Job;
use crate::tx::AfterCommit;
use crate::{StoreError, Tx, failpoint};

/// A transaction that is being filled with works.
pub(crate) struct Group<'a> {
    conn: &'a Connection,
    ran: Vec<Box<dyn Job>>,
    after: Vec<AfterCommit>,
    /// Whether a work stands in the transaction.
    kept: bool,
    /// Why the whole group is lost, once it is.
    lost: Option<rusqlite::Error>,
}

impl<'a> Group<'a> {
    /// Takes the write lock, if the connection is `ready`. Where that fails, every work of the group will get the
    /// reason.
    pub(crate) fn begin(conn: &'a Connection, ready: rusqlite::Result<()>) -> Self {
        let lost = ready.and_then(|()| sql(conn, "BEGIN IMMEDIATE")).err();
        Self { conn, ran: Vec::new(), after: Vec::new(), kept: false, lost }
    }

    pub(crate) fn len(&self) -> usize {
        self.ran.len()
    }

    /// Whether nothing more can go in.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Runs one work, in a savepoint of its own when others stand before it. What fails there, or panics, takes
    /// nothing with it.
    pub(crate) fn run(&mut self, mut job: Box<dyn Job>) {
        if job.is_cancelled() {
            return;
        }
        if self.lost.is_none() {
            self.lost = self.step(job.as_mut()).err();
        }
        self.ran.push(job);
    }

    fn step(&mut self, job: &mut dyn Job) -> rusqlite::Result<()> {
        // The first has the transaction to itself: taking it back is taking back the transaction.
        let alone = !self.kept;
        if !alone {
            sql(self.conn, "SAVEPOINT work")?;
        }
        let mut tx = Tx::new(self.conn);
        if catch_unwind(AssertUnwindSafe(|| job.run(&mut tx))).is_err() {
            tracing::error!("a work in the store panicked; it was taken back");
        }
        // A full disk or an I/O error can make SQLite take the whole transaction back on its own.
        let rolled_back = self.conn.is_autocommit();
        match job.error() {
            Some(_) if alone => {
                if !rolled_back {
                    sql(self.conn, "ROLLBACK")?;
                }
                return sql(self.conn, "BEGIN IMMEDIATE");
            }
            error if rolled_back => {
                let cause = error.and_then(StoreError::sqlite).map(copy);
                let unknown = ffi::Error::new(ffi::SQLITE_ABORT_ROLLBACK);
                return Err(cause.unwrap_or(rusqlite::Error::SqliteFailure(unknown, None)));
            }
            Some(_) => sql(self.conn, "ROLLBACK TO work")?,
            None => {
                self.kept = true;
                self.after.append(&mut tx.into_after());
            }
        }
        if alone { Ok(()) } else { sql(self.conn, "RELEASE work") }
    }

    /// Commits, runs what was to run after the commit, and answers everybody. Where the commit fails nobody is
    /// told that anything is stored.
    pub(crate) fn commit(mut self) {
        failpoint("store.commit.before");
        if self.lost.is_none() {
            self.lost = sql(self.conn, "COMMIT").err();
        }
        failpoint("store.commit.after");
        let Some(error) = self.lost else {
            self.after.into_iter().for_each(|then| {
                if catch_unwind(AssertUnwindSafe(then)).is_err() {
                    tracing::error!("what was to run after a commit panicked");
                }
            });
            self.ran.into_iter().for_each(Job::answer);
            return;
        };
        tracing::error!(works = self.ran.len(), %error, "a group of writes came to nothing");
        if !self.conn.is_autocommit()
            && let Err(error) = sql(self.conn, "ROLLBACK")
        {
            tracing::error!(%error, "cannot roll back");
        }
        for job in self.ran {
            job.fail(copy(&error).into());
        }
    }
}

fn sql(conn: &Connection, text: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(text)?.execute([]).map(drop)
}
