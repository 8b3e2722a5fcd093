//! Ends attempts and invocations.

use rusqlite::{Connection, OptionalExtension};
use wicket_config::ServiceName;
use wicket_core::{InvocationId, Lease, Log, QueueError, Receipt, Settled, State, Timestamp};
use wicket_store::StoreError;

use super::read;
use super::stored::{Id, StoredLog, json, state, trigger_name};

/// Whose right it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    id: InvocationId,
    fence: i64,
}

impl Held {
    pub(super) fn new(id: InvocationId, fence: u64) -> Self {
        Self { id, fence: fence.cast_signed() }
    }

    pub(super) fn of(lease: &Lease) -> Self {
        Self::new(lease.invocation.id, lease.fence)
    }

    fn lost(self) -> StoreError {
        StoreError::refused(QueueError::Fenced(self.id))
    }
}

/// What an attempt leaves, encoded before the writer is asked for.
#[derive(Debug)]
pub(super) struct StoredAttempt {
    record: String,
    log: Option<StoredLog>,
}

impl StoredAttempt {
    pub(super) fn of(settled: &Settled) -> Result<Self, StoreError> {
        Ok(Self { record: json(&settled.attempt)?, log: StoredLog::of(&settled.log)? })
    }
}

/// Where an attempt leads.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Succeeded,
    Dead,
    Again(Timestamp),
}

/// Ends an attempt. The number of its record is that over all sets of attempts, which the holder does not know.
pub(super) fn end(
    conn: &Connection,
    held: Held,
    attempt: &StoredAttempt,
    end: End,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (state, due, finished) = match end {
        End::Succeeded => (state::SUCCEEDED, None, Some(now.0)),
        End::Dead => (state::DEAD, None, Some(now.0)),
        End::Again(due) => (state::QUEUED, Some(due.0), None),
    };
    let ended: Option<(i64, i64)> = conn
        .prepare_cached(
            "UPDATE invocations SET state = ?3, due = ?4, finished = ?5, waiting = NULL,
                 attempts = json_insert(attempts, '$[#]', json_set(?6, '$.number', base + attempt))
             WHERE id = ?1 AND fence = ?2 AND state = 1 RETURNING seq, base + attempt",
        )?
        .query_row((Id(held.id), held.fence, state, due, finished, &attempt.record), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let (seq, number) = ended.ok_or_else(|| held.lost())?;
    attempt.log.as_ref().map_or(Ok(()), |log| add_log(conn, seq, number, log))
}

fn add_log(conn: &Connection, seq: i64, number: i64, log: &StoredLog) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT INTO logs (seq, number, bytes, log) VALUES (?1, ?2, ?3, ?4)")?
        .execute((seq, number, log.bytes, &log.log))?;
    Ok(())
}

/// Holds a lease until `until`.
pub(super) fn extend(conn: &Connection, held: Held, until: Timestamp) -> Result<(), StoreError> {
    let held_on = conn
        .prepare_cached("UPDATE invocations SET due = ?3 WHERE id = ?1 AND fence = ?2 AND state = 1")?
        .execute((Id(held.id), held.fence, until.0))?;
    if held_on == 1 { Ok(()) } else { Err(held.lost()) }
}

/// Gives a lease back: due since it was, and the attempt does not count.
pub(super) fn release(conn: &Connection, held: Held, due: Timestamp) -> Result<(), StoreError> {
    let released = conn
        .prepare_cached(
            "UPDATE invocations SET state = 0, due = ?3, attempt = attempt - 1
             WHERE id = ?1 AND fence = ?2 AND state = 1",
        )?
        .execute((Id(held.id), held.fence, due.0))?;
    if released == 1 { Ok(()) } else { Err(held.lost()) }
}

/// Gives a lease back: due later, the attempt does not count, and the receipt says why.
pub(super) fn postpone(
    conn: &Connection,
    held: Held,
    waiting: &str,
    due: Timestamp,
) -> Result<(), StoreError> {
    let postponed = conn
        .prepare_cached(
            "UPDATE invocations SET state = 0, due = ?3, attempt = attempt - 1, waiting = ?4
             WHERE id = ?1 AND fence = ?2 AND state = 1",
        )?
        .execute((Id(held.id), held.fence, due.0, waiting))?;
    if postponed == 1 { Ok(()) } else { Err(held.lost()) }
}

/// Queues a dead letter again; answers its service. The attempts so far move into `base`: the budget starts anew, the
/// numbering goes on.
pub(super) fn redrive(conn: &Connection, id: InvocationId, now: Timestamp) -> Result<String, StoreError> {
    let service: Option<String> = conn
        .prepare_cached(
            "UPDATE invocations SET state = 0, due = ?2, finished = NULL, base = base + attempt, attempt = 0
             WHERE id = ?1 AND state = 3 RETURNING service",
        )?
        .query_row((Id(id), now.0), |row| row.get(0))
        .optional()?;
    if let Some(service) = service {
        return Ok(service);
    }
    Err(StoreError::refused(match read::one(conn, id)? {
        Some(receipt) => QueueError::NotDead(id, receipt.state),
        None => QueueError::Unknown(id),
    }))
}

/// Makes a dead letter of what waits (0) or runs (1). What waits gets a record of its own, with the next number; for what
/// runs it stands for the attempt, and who runs it loses the lease.
const BURY: &str = "UPDATE invocations SET state = 3, due = NULL, finished = ?2, waiting = NULL,
        fence = fence + (state = 1), attempt = attempt + (state = 0),
        attempts = json_insert(attempts, '$[#]', json_set(?1, '$.number', base + attempt + (state = 0)))";

/// Buries up to `most` of what waits or runs for a service.
pub(super) fn abandon(
    conn: &Connection,
    service: &ServiceName,
    record: &str,
    now: Timestamp,
    most: u32,
) -> Result<u64, StoreError> {
    let mut buried = 0;
    // One state at a time: each has an index.
    for state in [state::QUEUED, state::RUNNING] {
        let some = "SELECT seq FROM invocations WHERE service = ?3 AND state = ";
        let text = format!("{BURY} WHERE seq IN ({some} {state} LIMIT ?4)");
        buried += conn.prepare_cached(&text)?.execute((record, now.0, service.as_str(), most))? as u64;
    }
    Ok(buried)
}

/// Buries one that waits or runs.
pub(super) fn cancel(
    conn: &Connection,
    id: InvocationId,
    record: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let text = format!("{BURY} WHERE id = ?3 AND state IN (0, 1)");
    if conn.prepare_cached(&text)?.execute((record, now.0, Id(id)))? == 1 {
        return Ok(());
    }
    Err(StoreError::refused(match read::one(conn, id)? {
        Some(_) => QueueError::Ended(id),
        None => QueueError::Unknown(id),
    }))
}

/// A synchronous call ready to be stored.
#[derive(Debug)]
pub(super) struct StoredCall {
    receipt: Receipt,
    attempts: String,
    log: Option<StoredLog>,
}

impl StoredCall {
    pub(super) fn of(receipt: Receipt, log: &Log) -> Result<Self, StoreError> {
        Ok(Self { attempts: json(&receipt.attempts)?, log: StoredLog::of(log)?, receipt })
    }

    /// Stores it; a call that is known already stays as it is.
    pub(super) fn add(&self, conn: &Connection, now: Timestamp) -> Result<(), StoreError> {
        let Receipt { id, service, trigger, event, source, subject, origin, accepted, finished, .. } =
            &self.receipt;
        // It never was in the queue, so it has ended, whatever it says.
        let state =
            if self.receipt.state == State::Succeeded { state::SUCCEEDED } else { state::FAILED_CALL };
        let added = conn
            .prepare_cached(
                "INSERT INTO invocations
                     (id, service, state, came_by, event, source, subject, origin, accepted, finished, attempts)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
            )?
            .execute((
                Id(*id),
                service.as_str(),
                state,
                trigger_name(*trigger),
                &event.0,
                source,
                subject,
                &origin.0,
                accepted.0,
                finished.unwrap_or(now).0,
                &self.attempts,
            ))?;
        let Some(log) = self.log.as_ref().filter(|_| added == 1) else { return Ok(()) };
        let number = self.receipt.attempts.last().map_or(1, |attempt| attempt.number);
        add_log(conn, conn.last_insert_rowid(), i64::from(number), log)
    }
}
