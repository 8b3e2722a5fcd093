//! Collects the parts of joins.

use rusqlite::{Connection, OptionalExtension, Row};
use wicket_config::ServiceName;
use wicket_core::{InvocationId, Pushed, Timestamp};
use wicket_store::StoreError;

use super::push::{self, Rung};
use super::stored::{Id, StoredPart, StoredRun, decode};
use crate::bell::Ring;
use crate::joined::{closes, is_complete, joined};

/// A join that still waits.
struct Open {
    id: i64,
    n: u32,
    bytes: i64,
    closes: Option<i64>,
}

impl Open {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { id: row.get(0)?, n: row.get(1)?, bytes: row.get(2)?, closes: row.get(3)? })
    }
}

/// Stores one part, and closes its join when that was the last.
pub(super) fn part(
    conn: &Connection,
    part: &StoredPart,
    now: Timestamp,
    rung: &mut Rung,
) -> Result<Pushed, StoreError> {
    if conn.prepare_cached("SELECT 1 FROM join_parts WHERE key = ?1")?.exists([Id(part.key)])? {
        return Ok(Pushed::Duplicate(part.id));
    }
    let open = conn
        .prepare_cached(
            "SELECT id, n, bytes, closes FROM joins WHERE service = ?1 AND grp = ?2 AND closed IS NULL",
        )?
        .query_row((part.service.as_str(), &part.group), Open::read)
        .optional()?;
    let open = match open {
        // Its window has passed and nobody has looked since: this part is late.
        Some(open) if open.closes.is_some_and(|closes| closes <= now.0) => {
            let due = Timestamp(open.closes.unwrap_or(now.0));
            close(conn, open.id, &part.service, &part.group, now, due, rung)?;
            None
        }
        open => open,
    };
    let open = match open {
        Some(open) => open,
        None => {
            conn.prepare_cached("INSERT INTO joins (service, grp) VALUES (?1, ?2)")?
                .execute((part.service.as_str(), &part.group))?;
            Open { id: conn.last_insert_rowid(), n: 0, bytes: 0, closes: None }
        }
    };
    conn.prepare_cached("INSERT INTO join_parts (key, join_id, event) VALUES (?1, ?2, ?3)")?.execute((
        Id(part.key),
        open.id,
        &part.body,
    ))?;
    let n = open.n.saturating_add(1);
    let bytes = open.bytes.saturating_add(i64::try_from(part.body.len()).unwrap_or(i64::MAX));
    let closes = closes(&part.rule, now);
    conn.prepare_cached("UPDATE joins SET n = ?2, bytes = ?3, closes = ?4 WHERE id = ?1")?.execute((
        open.id,
        n,
        bytes,
        closes.map(|closes| closes.0),
    ))?;
    if is_complete(&part.rule, n, u64::try_from(bytes).unwrap_or(0)) {
        let id = close(conn, open.id, &part.service, &part.group, now, now, rung)?;
        return Ok(Pushed::New(id));
    }
    if closes.is_some() {
        rung.add(&part.service, Ring::Later);
    }
    Ok(Pushed::Waiting)
}

/// Joins that are closed in one step: each may have 64 MiB to read and write, and everybody waits for the writer.
const STEP: u32 = 16;

/// Closes some of the joins of this service whose window has passed; with `all`, of the open ones. Answers how many.
pub(super) fn close_due(
    conn: &Connection,
    service: &ServiceName,
    now: Timestamp,
    all: bool,
    rung: &mut Rung,
) -> Result<usize, StoreError> {
    let text = if all {
        "SELECT id, grp, coalesce(closes, ?2) FROM joins WHERE service = ?1 AND closed IS NULL LIMIT ?3"
    } else {
        "SELECT id, grp, closes FROM joins
         WHERE service = ?1 AND closed IS NULL AND closes IS NOT NULL AND closes <= ?2 ORDER BY closes LIMIT ?3"
    };
    let due: Vec<(i64, String, i64)> = conn
        .prepare_cached(text)?
        .query_map((service.as_str(), now.0, STEP), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (id, group, closes) in &due {
        close(conn, *id, service, group, now, Timestamp(*closes.min(&now.0)), rung)?;
    }
    Ok(due.len())
}

/// Queues what a join has collected. The keys of its parts stay, to know a duplicate.
fn close(
    conn: &Connection,
    join: i64,
    service: &ServiceName,
    group: &str,
    now: Timestamp,
    due: Timestamp,
    rung: &mut Rung,
) -> Result<InvocationId, StoreError> {
    let bodies: Vec<Vec<u8>> = conn
        .prepare_cached("SELECT event FROM join_parts WHERE join_id = ?1 ORDER BY id")?
        .query_map([join], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    // A damaged part, or one that a newer host wrote, must not hold up the others for ever.
    let readable = |body: &Vec<u8>| {
        decode(body)
            .inspect_err(|error| tracing::error!(%service, group, %error, "a part of a join cannot be read"))
            .ok()
    };
    let parts = bodies.iter().filter_map(readable).collect::<Vec<_>>();
    drop(bodies);
    let generation = u64::try_from(join).unwrap_or(0);
    let run = StoredRun::of(joined(service, group, generation, now, parts))?;
    push::one(conn, &run, now, due, rung)?;
    conn.prepare_cached("UPDATE join_parts SET event = NULL WHERE join_id = ?1")?.execute([join])?;
    conn.prepare_cached("UPDATE joins SET closed = ?2 WHERE id = ?1")?.execute((join, now.0))?;
    Ok(run.id)
}
