//! Takes deliveries in.

use rusqlite::Connection;
use wicket_config::ServiceName;
use wicket_core::{Pushed, Timestamp};
use wicket_store::{StoreError, Tx};

use super::join;
use super::stored::{Id, Stored, StoredRun};
use crate::bell::{Bells, Ring};

/// Which bells to ring after the commit.
#[derive(Debug, Default)]
pub(super) struct Rung(Vec<(ServiceName, Ring)>);

impl Rung {
    pub(super) fn add(&mut self, service: &ServiceName, ring: Ring) {
        if !self.0.iter().any(|(rung, how)| rung == service && *how == ring) {
            self.0.push((service.clone(), ring));
        }
    }

    /// Rings them all after the commit of this transaction.
    pub(super) fn after(self, tx: &mut Tx<'_>, bells: &std::sync::Arc<Bells>) {
        if self.0.is_empty() {
            return;
        }
        let bells = std::sync::Arc::clone(bells);
        tx.after_commit(move || self.0.iter().for_each(|(service, ring)| bells.ring(service, *ring)));
    }
}

/// Stores all, and wakes who waits after the commit.
pub(super) fn and_ring(
    tx: &mut Tx<'_>,
    stored: &[Stored],
    bells: &std::sync::Arc<Bells>,
) -> Result<Vec<Pushed>, StoreError> {
    let mut rung = Rung::default();
    let pushed = all(tx, stored, Timestamp::now(), &mut rung)?;
    rung.after(tx, bells);
    Ok(pushed)
}

/// Stores all; the caller's savepoint makes that all or none.
pub(super) fn all(
    conn: &Connection,
    stored: &[Stored],
    now: Timestamp,
    rung: &mut Rung,
) -> Result<Vec<Pushed>, StoreError> {
    stored
        .iter()
        .map(|stored| match stored {
            Stored::Run(run) => one(conn, run, now, now, rung),
            Stored::Part(part) => join::part(conn, part, now, rung),
        })
        .collect()
}

/// Stores one invocation, due at `due`; unless it is known.
pub(super) fn one(
    conn: &Connection,
    run: &StoredRun,
    now: Timestamp,
    due: Timestamp,
    rung: &mut Rung,
) -> Result<Pushed, StoreError> {
    let added = conn
        .prepare_cached(
            "INSERT INTO invocations (id, service, state, came_by, event, source, subject, origin, accepted, due, bytes)
             VALUES (?1, ?2, 0, 'event', ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?
        .execute((
            Id(run.id),
            run.service.as_str(),
            &run.event.0,
            &run.source,
            &run.subject,
            &run.origin.0,
            now.0,
            due.0,
            i64::try_from(run.body.len()).unwrap_or(i64::MAX),
        ))?;
    if added == 0 {
        return Ok(Pushed::Duplicate(run.id));
    }
    conn.prepare_cached("INSERT INTO events (seq, event) VALUES (?1, ?2)")?
        .execute((conn.last_insert_rowid(), &run.body))?;
    rung.add(&run.service, Ring::Now);
    Ok(Pushed::New(run.id))
}
