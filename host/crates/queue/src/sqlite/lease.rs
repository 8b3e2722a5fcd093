//! Hands out leases.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use wicket_config::ServiceName;
use wicket_core::{InvocationId, Timestamp};
use wicket_store::StoreError;

use super::handed::Handed;
use super::stored::Id;

/// What a lease is made of; the event is decoded by the caller.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: InvocationId,
    pub(super) attempt: u32,
    pub(super) number: u32,
    pub(super) fence: u64,
    pub(super) accepted: Timestamp,
    pub(super) due: Timestamp,
    pub(super) body: Vec<u8>,
}

/// What waits and has fallen due longest ago; each is one step down an index, however many wait.
pub(super) const OLDEST_QUEUED: &str = "SELECT due, seq, id FROM invocations WHERE service = ?1 AND state = 0 AND due <= ?2 ORDER BY due, seq LIMIT 1";
/// What ran when its lease ran out, longest ago.
pub(super) const OLDEST_EXPIRED: &str = "SELECT due, seq, id FROM invocations WHERE service = ?1 AND state = 1 AND due <= ?2 ORDER BY due, seq LIMIT 1";
/// When the next work of a service falls due.
pub(super) const NEXT: &str = "SELECT min(due) FROM (
    SELECT min(due) AS due FROM invocations WHERE service = ?1 AND state = 0 UNION ALL
    SELECT min(due) FROM invocations WHERE service = ?1 AND state = 1 UNION ALL
    SELECT min(closes) FROM joins WHERE service = ?1 AND closed IS NULL AND closes IS NOT NULL)";

/// Takes the oldest due invocation, and holds it for `ttl`. A lease that ran out counts as due since then.
pub(super) fn take(
    conn: &Connection,
    service: &ServiceName,
    now: Timestamp,
    ttl: Duration,
    handed: &Handed,
) -> Result<Option<Taken>, StoreError> {
    let oldest = |text: &str| {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, Id>(2)?.0));
        conn.prepare_cached(text)?.query_row((service.as_str(), now.0), read).optional()
    };
    let (due, seq) = loop {
        let found: [Option<(i64, i64, InvocationId)>; 2] = [oldest(OLDEST_QUEUED)?, oldest(OLDEST_EXPIRED)?];
        let Some((due, seq, id)) = found.into_iter().flatten().min() else { return Ok(None) };
        let left = handed.left(id);
        if left.is_zero() {
            break (due, seq);
        }
        // It has not run out: the clock was set. Of one that waits again (a retry), the entry is old.
        let held_on = conn
            .prepare_cached("UPDATE invocations SET due = ?2 WHERE seq = ?1 AND state = 1")?
            .execute((seq, now.after(left).0))?;
        if held_on == 0 {
            break (due, seq);
        }
    };
    let taken = conn
        .prepare_cached(
            "UPDATE invocations SET state = 1, due = ?2, attempt = attempt + 1, fence = fence + 1 WHERE seq = ?1
             RETURNING id, attempt, base + attempt, fence, accepted,
                 (SELECT event FROM events WHERE events.seq = invocations.seq)",
        )?
        .query_row((seq, now.after(ttl).0), |row| {
            Ok(Taken {
                id: row.get::<_, Id>(0)?.0,
                attempt: row.get(1)?,
                number: row.get(2)?,
                fence: row.get::<_, i64>(3)?.cast_unsigned(),
                accepted: Timestamp(row.get(4)?),
                due: Timestamp(due),
                body: row.get(5)?,
            })
        })?;
    handed.hold(taken.id, ttl);
    Ok(Some(taken))
}

/// When there may be something to take.
pub(super) fn next(conn: &Connection, service: &ServiceName) -> Result<Option<Timestamp>, StoreError> {
    let next: Option<i64> = conn.prepare_cached(NEXT)?.query_row([service.as_str()], |row| row.get(0))?;
    Ok(next.map(Timestamp))
}
