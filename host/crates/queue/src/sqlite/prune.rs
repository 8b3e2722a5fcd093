//! Forgets, in steps so small that the writer is soon free for others.

use rusqlite::Connection;
use wicket_core::Forget;
use wicket_store::{Store, StoreError};

use super::packed;
use super::stored::Id;

/// Rows of one step …
const ROWS: u32 = 200;
/// … and bytes of logs: SQLite walks through what it frees.
const BYTES: i64 = 4 << 20;

/// What ended, and the bytes that the trigger `receipt_gone` takes off for each.
pub(super) const ENDED: &str = "SELECT seq, finished, 400 + bytes + length(attempts) FROM invocations
    WHERE state IN (2, 4, 5) ORDER BY finished LIMIT ?1";
const END: &str = "DELETE FROM invocations WHERE seq = ?1 RETURNING iif(state = 5, attempt, 1)";
pub(super) const BURIED: &str = "DELETE FROM invocations WHERE seq IN
    (SELECT seq FROM invocations WHERE state = 3 AND finished < ?1 ORDER BY finished LIMIT ?2)";
pub(super) const PARTS: &str =
    "DELETE FROM join_parts WHERE id IN (SELECT join_parts.id FROM joins JOIN join_parts ON join_parts.join_id = joins.id
    WHERE joins.closed IS NOT NULL AND joins.closed < ?1 LIMIT ?2)";
/// After [`PARTS`] has taken all parts of them.
pub(super) const JOINS: &str = "DELETE FROM joins WHERE id IN
    (SELECT id FROM joins WHERE closed IS NOT NULL AND closed < ?1 ORDER BY closed LIMIT ?2)";

const SUCCEEDED: &str = "DELETE FROM invocations WHERE seq IN
    (SELECT seq FROM invocations WHERE service = ?1 AND state IN (2, 5) LIMIT ?2)
    RETURNING iif(state = 5, attempt, 1)";
const NOT_RUNNING: &str = "DELETE FROM invocations WHERE seq IN
    (SELECT seq FROM invocations WHERE service = ?1 AND state <> 1 LIMIT ?2)
    RETURNING iif(state = 5, attempt, 1)";

/// Ended invocations older than `age`, and the oldest until at most `keep` bytes of them are left; answers how many went.
pub(super) async fn ended(store: &Store, age: i64, keep: u64) -> Result<u64, StoreError> {
    let keep = i64::try_from(keep).unwrap_or(i64::MAX);
    let mut gone = 0;
    loop {
        let (n, more) = store.write_freeing(move |tx| some_ended(tx, age, keep)).await?;
        gone += n;
        if !more {
            return Ok(gone);
        }
    }
}

/// One step: how many invocations went, and whether there is another.
fn some_ended(conn: &Connection, age: i64, keep: i64) -> Result<(u64, bool), StoreError> {
    let over = total(conn, "receipt_bytes")? - keep;
    let mut oldest = conn.prepare_cached(ENDED)?;
    let mut rows = oldest.query([ROWS])?;
    let (mut seqs, mut freed) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if (row.get::<_, i64>(1)? >= age && freed >= over) || freed >= BYTES {
            break;
        }
        seqs.push(row.get::<_, i64>(0)?);
        freed += row.get::<_, i64>(2)?;
    }
    drop(rows);
    let mut end = conn.prepare_cached(END)?;
    let mut gone = 0;
    for seq in &seqs {
        gone += end.query_row([seq], |row| row.get::<_, i64>(0))?.unsigned_abs();
    }
    Ok((gone, freed >= BYTES || seqs.len() == ROWS as usize))
}

/// Dead letters older than `age`; answers how many went.
pub(super) async fn buried(store: &Store, age: i64) -> Result<u64, StoreError> {
    rows(store, BURIED, age).await
}

/// Joins that closed before `age`. From then on a duplicate of a part is new.
pub(super) async fn joins(store: &Store, age: i64) -> Result<(), StoreError> {
    rows(store, PARTS, age).await?;
    rows(store, JOINS, age).await.map(drop)
}

/// Up to [`ROWS`] of a service's invocations that nobody works on; answers how many went.
pub(super) fn some_of(conn: &Connection, service: &str, which: Forget) -> Result<u64, StoreError> {
    let text = match which {
        Forget::One(id) => {
            let gone = conn
                .prepare_cached(
                    "DELETE FROM invocations WHERE id = ?1 AND service = ?2 AND state NOT IN (1, 5)",
                )?
                .execute((Id(id), service))?;
            return Ok(if gone == 1 || packed::remove(conn, service, id)? { 1 } else { 0 });
        }
        Forget::Succeeded => SUCCEEDED,
        Forget::All => NOT_RUNNING,
    };
    let mut forget = conn.prepare_cached(text)?;
    let counts = forget.query_map((service, ROWS), |row| row.get::<_, i64>(0))?;
    Ok(counts.sum::<rusqlite::Result<i64>>()?.unsigned_abs())
}

/// The oldest logs, until at most `keep` bytes of them are left.
pub(super) async fn logs(store: &Store, keep: u64) -> Result<(), StoreError> {
    let keep = i64::try_from(keep).unwrap_or(i64::MAX);
    while store.write_freeing(move |tx| some_logs(tx, keep)).await? {}
    Ok(())
}

async fn rows(store: &Store, text: &'static str, before: i64) -> Result<u64, StoreError> {
    let mut gone = 0;
    loop {
        let step = move |conn: &Connection| conn.prepare_cached(text)?.execute((before, ROWS));
        let n = store.write(move |tx| Ok(step(tx)?)).await?;
        gone += n as u64;
        if n < ROWS as usize {
            return Ok(gone);
        }
    }
}

/// One step; says whether there is another.
fn some_logs(conn: &Connection, keep: i64) -> Result<bool, StoreError> {
    let over = total(conn, "log_bytes")? - keep;
    if over <= 0 {
        return Ok(false);
    }
    let mut oldest = conn.prepare_cached("SELECT id, bytes FROM logs ORDER BY id LIMIT ?1")?;
    let mut rows = oldest.query([ROWS])?;
    let (mut last, mut freed) = (None, 0);
    while let Some(row) = rows.next()? {
        last = Some(row.get::<_, i64>(0)?);
        freed += row.get::<_, i64>(1)?;
        if freed >= over.min(BYTES) {
            break;
        }
    }
    drop(rows);
    let Some(last) = last else { return Ok(false) };
    conn.prepare_cached("DELETE FROM logs WHERE id <= ?1")?.execute([last])?;
    Ok(freed < over)
}

fn total(conn: &Connection, name: &str) -> Result<i64, StoreError> {
    let mut query = conn.prepare_cached("SELECT n FROM totals WHERE name = ?1")?;
    Ok(query.query_row([name], |row| row.get(0))?)
}
