//! Forgets, in steps so small that the writer is soon free for others.

use rusqlite::Connection;
use wicket_core::Forget;
use wicket_store::{Store, StoreError};

use super::stored::Id;

/// Rows of one step …
const ROWS: u32 = 200;
/// … and bytes of logs: SQLite walks through what it frees.
const BYTES: i64 = 4 << 20;

pub(super) const ENDED: &str = "DELETE FROM invocations WHERE seq IN
    (SELECT seq FROM invocations WHERE state IN (2, 4) AND finished < ?1 ORDER BY finished LIMIT ?2)";
pub(super) const BURIED: &str = "DELETE FROM invocations WHERE seq IN
    (SELECT seq FROM invocations WHERE state = 3 AND finished < ?1 ORDER BY finished LIMIT ?2)";
pub(super) const PARTS: &str =
    "DELETE FROM join_parts WHERE id IN (SELECT join_parts.id FROM joins JOIN join_parts ON join_parts.join_id = joins.id
    WHERE joins.closed IS NOT NULL AND joins.closed < ?1 LIMIT ?2)";
/// After [`PARTS`] has taken all parts of them.
pub(super) const JOINS: &str = "DELETE FROM joins WHERE id IN
    (SELECT id FROM joins WHERE closed IS NOT NULL AND closed < ?1 ORDER BY closed LIMIT ?2)";

const SUCCEEDED: &str = "DELETE FROM invocations WHERE seq IN
    (SELECT seq FROM invocations WHERE service = ?1 AND state = 2 LIMIT ?2)";
const NOT_RUNNING: &str = "DELETE FROM invocations WHERE seq IN
    (SELECT seq FROM invocations WHERE service = ?1 AND state <> 1 LIMIT ?2)";

/// Ended invocations older than `age`, dead letters older than `dead`; answers how many went.
pub(super) async fn invocations(store: &Store, age: i64, dead: i64) -> Result<u64, StoreError> {
    Ok(rows(store, ENDED, age).await? + rows(store, BURIED, dead).await?)
}

/// Joins that closed before `age`. From then on a duplicate of a part is new.
pub(super) async fn joins(store: &Store, age: i64) -> Result<(), StoreError> {
    rows(store, PARTS, age).await?;
    rows(store, JOINS, age).await.map(drop)
}

/// Up to [`ROWS`] of a service's invocations that nobody works on; answers how many went.
pub(super) fn some_of(conn: &Connection, service: &str, which: Forget) -> Result<u64, StoreError> {
    let gone = match which {
        Forget::One(id) => conn
            .prepare_cached("DELETE FROM invocations WHERE id = ?1 AND service = ?2 AND state <> 1")?
            .execute((Id(id), service))?,
        Forget::Succeeded => conn.prepare_cached(SUCCEEDED)?.execute((service, ROWS))?,
        Forget::All => conn.prepare_cached(NOT_RUNNING)?.execute((service, ROWS))?,
    };
    Ok(gone as u64)
}

/// The oldest logs, until at most `keep` bytes of them are left.
pub(super) async fn logs(store: &Store, keep: u64) -> Result<(), StoreError> {
    let keep = i64::try_from(keep).unwrap_or(i64::MAX);
    while store.write(move |tx| some_logs(tx, keep)).await? {}
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
    let total: i64 = conn
        .prepare_cached("SELECT n FROM totals WHERE name = 'log_bytes'")?
        .query_row([], |row| row.get(0))?;
    let over = total - keep;
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
