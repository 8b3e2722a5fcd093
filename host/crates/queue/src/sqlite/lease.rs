//! Hands out leases.

use rusqlite::{Connection, OptionalExtension};
use wicket_config::ServiceName;
use wicket_core::{InvocationId, Timestamp};
use wicket_store::StoreError;

use super::stored::Id;

/// What a lease is made of; the event is decoded by the caller.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: InvocationId,
    pub(super) attempt: u32,
    pub(super) fence: u64,
    pub(super) accepted: Timestamp,
    pub(super) due: Timestamp,
    pub(super) body: Vec<u8>,
}

/// What waits and has fallen due longest ago; each is one step down an index, however many wait.
pub(super) const OLDEST_QUEUED: &str = "SELECT seq, due FROM invocations WHERE service = ?1 AND state = 0 AND due <= ?2 ORDER BY due, seq LIMIT 1";
/// What ran when its lease ran out, longest ago.
pub(super) const OLDEST_EXPIRED: &str = "SELECT seq, due FROM invocations WHERE service = ?1 AND state = 1 AND due <= ?2 ORDER BY due, seq LIMIT 1";
/// When the next work of a service falls due.
pub(super) const NEXT: &str = "SELECT min(due) FROM (
    SELECT min(due) AS due FROM invocations WHERE service = ?1 AND state = 0 UNION ALL
    SELECT min(due) FROM invocations WHERE service = ?1 AND state = 1 UNION ALL
    SELECT min(closes) FROM joins WHERE service = ?1 AND closed IS NULL AND closes IS NOT NULL)";

/// Takes the oldest due invocation. A lease that ran out counts as due since then.
pub(super) fn take(
    conn: &Connection,
    service: &ServiceName,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Taken>, StoreError> {
    let oldest = |text: &str| {
        conn.prepare_cached(text)?
            .query_row((service.as_str(), now.0), |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(0)?)))
            .optional()
    };
    let found = [oldest(OLDEST_QUEUED)?, oldest(OLDEST_EXPIRED)?];
    let Some((due, seq)) = found.into_iter().flatten().min() else { return Ok(None) };
    let taken = conn
        .prepare_cached(
            "UPDATE invocations SET state = 1, due = ?2, attempt = attempt + 1, fence = fence + 1 WHERE seq = ?1
             RETURNING id, attempt, fence, accepted, (SELECT event FROM events WHERE events.seq = invocations.seq)",
        )?
        .query_row((seq, until.0), |row| {
            Ok(Taken {
                id: row.get::<_, Id>(0)?.0,
                attempt: row.get(1)?,
                fence: row.get::<_, i64>(2)?.cast_unsigned(),
                accepted: Timestamp(row.get(3)?),
                due: Timestamp(due),
                body: row.get(4)?,
            })
        })?;
    Ok(Some(taken))
}

/// When there may be something to take.
pub(super) fn next(conn: &Connection, service: &ServiceName) -> Result<Option<Timestamp>, StoreError> {
    let next: Option<i64> = conn.prepare_cached(NEXT)?.query_row([service.as_str()], |row| row.get(0))?;
    Ok(next.map(Timestamp))
}
