//! Reads receipts, events, logs and depths.

use std::collections::BTreeMap;

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension};
use wicket_config::ServiceName;
use wicket_core::{Depth, Filter, InvocationId, Log, Receipt, State};
use wicket_store::StoreError;

use super::packed;
use super::stored::{Id, RECEIPT, column, receipt, state};

/// Receipts on one page, when nothing else was asked for, and at most.
const PAGE: u32 = 100;
const MOST: u32 = 1000;

pub(super) fn one(conn: &Connection, id: InvocationId) -> Result<Option<Receipt>, StoreError> {
    Ok(place(conn, id)?.map(|(_, receipt)| receipt))
}

/// A receipt, and the number of the row in which it stands: alone, or in a pack.
fn place(conn: &Connection, id: InvocationId) -> Result<Option<(i64, Receipt)>, StoreError> {
    let text = format!("SELECT {RECEIPT}, seq FROM invocations WHERE id = ?1 AND state <> 5");
    let alone = conn
        .prepare_cached(&text)?
        .query_row([Id(id)], |row| Ok((row.get(13)?, receipt(row)?)))
        .optional()?;
    alone.map_or_else(|| packed::find(conn, id), |alone| Ok(Some(alone)))
}

pub(super) fn event(conn: &Connection, id: InvocationId) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(conn
        .prepare_cached("SELECT events.event FROM invocations JOIN events USING (seq) WHERE id = ?1")?
        .query_row([Id(id)], |row| row.get(0))
        .optional()?)
}

pub(super) fn list(conn: &Connection, filter: &Filter) -> Result<Vec<Receipt>, StoreError> {
    let limit = if filter.limit == 0 { PAGE } else { filter.limit.min(MOST) } as usize;
    let before = match filter.before {
        None => i64::MAX,
        Some(id) => match place(conn, id)? {
            Some((seq, _)) => seq,
            None => return Ok(Vec::new()),
        },
    };
    let service = filter.service.as_ref().map(ServiceName::as_str);
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":before", &before)];
    if let Some(service) = &service {
        values.push((":service", service));
    }
    if let Some(source) = &filter.source {
        values.push((":source", source));
    }
    if let Some(origin) = &filter.origin {
        values.push((":origin", &origin.0));
    }
    let mut query = conn.prepare_cached(&query(filter))?;
    let mut rows = query.query(values.as_slice())?;
    let mut receipts = Vec::new();
    while let (true, Some(row)) = (receipts.len() < limit, rows.next()?) {
        let mut found = if packed::is_pack(row)? { packed::unpack(row)? } else { vec![receipt(row)?] };
        found.reverse();
        // The page before ended here, or inside of this pack.
        if row.get::<_, i64>(13)? == before {
            let last = found.iter().position(|receipt| Some(receipt.id) == filter.before);
            found.drain(..=last.unwrap_or(found.len() - 1));
        }
        found.retain(|receipt| filter.source.as_ref().is_none_or(|source| receipt.source == *source));
        receipts.append(&mut found);
    }
    // The run of a call in a pack: its id is the id of its event.
    let own = filter.origin.as_ref().and_then(|origin| origin.0.parse().ok());
    if let Some(id) = own
        && let Some((seq, receipt)) = packed::find(conn, id)?
        && seq < before
        && filter.service.as_ref().is_none_or(|service| *service == receipt.service)
        && filter.state.is_none_or(|state| state == receipt.state)
        && filter.source.as_ref().is_none_or(|source| *source == receipt.source)
        && !filter.dead_letters
    {
        receipts.push(receipt);
    }
    receipts.truncate(limit);
    Ok(receipts)
}

/// The `+` keeps SQLite from an index that fits a condition but not the order, or is the longer way: it has no
/// statistics, and we know which lists are short.
pub(super) fn query(filter: &Filter) -> String {
    let mut text = format!("SELECT {RECEIPT}, seq FROM invocations WHERE true");
    match (&filter.service, &filter.origin) {
        (Some(_), None) => text.push_str(" AND service = :service"),
        (Some(_), Some(_)) => text.push_str(" AND +service = :service AND origin = :origin"),
        (None, Some(_)) => text.push_str(" AND origin = :origin"),
        (None, None) => (),
    }
    if filter.source.is_some() {
        // A pack says nothing of those in it.
        text.push_str(" AND (+source = :source OR +state = 5)");
    }
    text.push_str(match filter.state {
        None => "",
        Some(State::Queued) => " AND +state = 0",
        Some(State::Running) => " AND state = 1",
        Some(State::Succeeded) => " AND +state IN (2, 5)",
        Some(State::Failed) => " AND +state IN (3, 4)",
    });
    if filter.dead_letters {
        text.push_str(" AND state = 3");
    }
    // Up to the row itself, which may be a pack.
    text.push_str(" AND seq <= :before ORDER BY seq DESC");
    text
}

/// The logs of all attempts in the receipt; one that wrote nothing, or whose log was pruned, is empty.
pub(super) fn logs(conn: &Connection, id: InvocationId) -> Result<Vec<(u32, Log)>, StoreError> {
    let Some(receipt) = one(conn, id)? else { return Ok(Vec::new()) };
    let mut logs: BTreeMap<u32, Log> =
        receipt.attempts.iter().map(|attempt| (attempt.number, Log::default())).collect();
    let mut query = conn.prepare_cached(
        "SELECT number, log FROM logs WHERE seq = (SELECT seq FROM invocations WHERE id = ?1) ORDER BY id",
    )?;
    let mut rows = query.query([Id(id)])?;
    while let Some(row) = rows.next()? {
        logs.insert(row.get(0)?, column(row, 1, |text| serde_json::from_str(text))?);
    }
    Ok(logs.into_iter().collect())
}

pub(super) fn depth(conn: &Connection, service: &ServiceName) -> Result<Depth, StoreError> {
    let mut depth = Depth::default();
    let mut query = conn.prepare_cached("SELECT state, n FROM depths WHERE service = ?1")?;
    let mut rows = query.query([service.as_str()])?;
    while let Some(row) = rows.next()? {
        let n = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        match row.get(0)? {
            state::QUEUED => depth.queued = n,
            state::RUNNING => depth.running = n,
            state::DEAD => depth.dead = n,
            state::PARTS => depth.waiting_parts = n,
            _ => (),
        }
    }
    Ok(depth)
}

pub(super) fn services(conn: &Connection) -> Result<Vec<ServiceName>, StoreError> {
    let mut query =
        conn.prepare_cached("SELECT DISTINCT service FROM depths WHERE n > 0 AND state IN (0, 1, 9)")?;
    let services = query.query_map([], |row| column(row, 0, str::parse))?.collect::<Result<_, _>>()?;
    Ok(services)
}
