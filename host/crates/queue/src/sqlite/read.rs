//! Reads receipts, events, logs and depths.

use std::collections::BTreeMap;

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension};
use wicket_config::ServiceName;
use wicket_core::{Depth, Filter, InvocationId, Log, Receipt, State};
use wicket_store::StoreError;

use super::stored::{Id, RECEIPT, column, receipt, state};

/// Receipts on one page, when nothing else was asked for, and at most.
const PAGE: u32 = 100;
const MOST: u32 = 1000;

pub(super) fn one(conn: &Connection, id: InvocationId) -> Result<Option<Receipt>, StoreError> {
    let text = format!("SELECT {RECEIPT} FROM invocations WHERE id = ?1");
    Ok(conn.prepare_cached(&text)?.query_row([Id(id)], receipt).optional()?)
}

pub(super) fn event(conn: &Connection, id: InvocationId) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(conn
        .prepare_cached("SELECT events.event FROM invocations JOIN events USING (seq) WHERE id = ?1")?
        .query_row([Id(id)], |row| row.get(0))
        .optional()?)
}

pub(super) fn list(conn: &Connection, filter: &Filter) -> Result<Vec<Receipt>, StoreError> {
    let (service, before) = (filter.service.as_ref().map(ServiceName::as_str), filter.before.map(Id));
    let mut values: Vec<(&str, &dyn ToSql)> = Vec::new();
    let text = query(filter);
    if let Some(service) = &service {
        values.push((":service", service));
    }
    if let Some(origin) = &filter.origin {
        values.push((":origin", &origin.0));
    }
    if let Some(before) = &before {
        values.push((":before", before));
    }
    let mut query = conn.prepare_cached(&text)?;
    let receipts = query.query_map(values.as_slice(), receipt)?.collect::<Result<_, _>>()?;
    Ok(receipts)
}

/// The `+` keeps SQLite from an index that fits a condition but not the order, or is the longer way: it has no
/// statistics, and we know which lists are short.
pub(super) fn query(filter: &Filter) -> String {
    let mut text = format!("SELECT {RECEIPT} FROM invocations WHERE true");
    match (&filter.service, &filter.origin) {
        (Some(_), None) => text.push_str(" AND service = :service"),
        (Some(_), Some(_)) => text.push_str(" AND +service = :service AND origin = :origin"),
        (None, Some(_)) => text.push_str(" AND origin = :origin"),
        (None, None) => (),
    }
    text.push_str(match filter.state {
        None => "",
        Some(State::Queued) => " AND +state = 0",
        Some(State::Running) => " AND state = 1",
        Some(State::Succeeded) => " AND +state = 2",
        Some(State::Failed) => " AND +state IN (3, 4)",
    });
    if filter.dead_letters {
        text.push_str(" AND state = 3");
    }
    if filter.before.is_some() {
        text.push_str(" AND seq < (SELECT seq FROM invocations WHERE id = :before)");
    }
    let limit = if filter.limit == 0 { PAGE } else { filter.limit.min(MOST) };
    text.push_str(&format!(" ORDER BY seq DESC LIMIT {limit}"));
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
