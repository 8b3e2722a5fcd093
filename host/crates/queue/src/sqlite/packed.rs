//! Receipts of many synchronous calls in one row: a row and five indexes for each would be a seventh of what a small
//! call costs.
//!
//! Packed are calls that ended well, wrote no log and began a workflow run of their own: nobody asks for one of them but
//! by its id, or in a list. All others have a row each.

use std::collections::HashMap;

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use wicket_config::ServiceName;
use wicket_core::{
    AttemptRecord, EventId, Inferred, InvocationId, Log, Placement, Receipt, State, Timestamp, Trigger, Usage,
};
use wicket_store::StoreError;

use super::stored::{Id, RECEIPT, column, json, state, trigger, trigger_name};

/// Fewer are not worth a pack: a person who looks into the file sees rows.
const FEWEST: usize = 8;
/// Milliseconds between the ids of the first and the last call of a pack: so far has a search to go.
const SPAN: u64 = 10_000;

/// The packs whose calls may be the one with this id.
pub(super) const AROUND: &str = "WHERE state = 5 AND id BETWEEN ?1 AND ?2 ORDER BY id";

/// A call, without what it shares with its pack. Times are in microseconds since 1970, which is quicker to write than a
/// date: there are thousands in a second.
#[derive(Debug, Serialize, Deserialize)]
struct Call {
    id: InvocationId,
    subject: Option<String>,
    accepted: i64,
    finished: i64,
    started: i64,
    version: u32,
    executor: String,
    queue_us: u64,
    startup_us: u64,
    cpu_us: u64,
    wall_us: u64,
    peak_memory: u64,
    bytes_in: u64,
    bytes_out: u64,
    status: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    placement: Option<Placement>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inference: Vec<Inferred>,
}

/// A pack, ready to be stored.
#[derive(Debug)]
pub(super) struct Pack {
    service: ServiceName,
    trigger: Trigger,
    source: String,
    first: InvocationId,
    last: InvocationId,
    accepted: Timestamp,
    finished: Timestamp,
    n: usize,
    calls: String,
}

/// Calls as they are stored.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) packs: Vec<Pack>,
    /// Those that get a row each.
    pub(super) single: Vec<(Receipt, Log)>,
}

/// Packs what can be packed.
pub(super) fn pack(calls: Vec<(Receipt, Log)>) -> Result<Packed, StoreError> {
    let latest = calls.iter().map(|(receipt, _)| millis(receipt.id)).max().unwrap_or(0);
    let mut groups: HashMap<(ServiceName, Trigger, String), Vec<Receipt>> = HashMap::new();
    let mut single = Vec::new();
    for (receipt, log) in calls {
        if latest - millis(receipt.id) < SPAN && plain(&receipt, &log) {
            let Receipt { service, trigger, source, .. } = &receipt;
            groups.entry((service.clone(), *trigger, source.clone())).or_default().push(receipt);
        } else {
            single.push((receipt, log));
        }
    }
    let mut packs = Vec::new();
    for ((service, trigger, source), group) in groups {
        if group.len() < FEWEST {
            single.extend(group.into_iter().map(|receipt| (receipt, Log::default())));
            continue;
        }
        let ids = || group.iter().map(|receipt| receipt.id);
        let (Some(first), Some(last)) = (ids().min(), ids().max()) else { continue };
        let accepted = group.iter().map(|receipt| receipt.accepted).min().unwrap_or(Timestamp(0));
        let finished = group.iter().filter_map(|receipt| receipt.finished).max().unwrap_or(accepted);
        let n = group.len();
        let calls = json(&group.into_iter().filter_map(Call::of).collect::<Vec<_>>())?;
        packs.push(Pack { service, trigger, source, first, last, accepted, finished, n, calls });
    }
    Ok(Packed { packs, single })
}

fn plain(receipt: &Receipt, log: &Log) -> bool {
    let id = receipt.id.to_string();
    let once = matches!(receipt.attempts.as_slice(), [one] if one.number == 1 && one.failure.is_none());
    once && receipt.state == State::Succeeded
        && receipt.finished.is_some()
        && *log == Log::default()
        && receipt.event.0 == id
        && receipt.origin.0 == id
}

/// When the call with this id began. Ids of calls begin with it, see [`InvocationId::random`].
fn millis(id: InvocationId) -> u64 {
    let [a, b, c, d, e, f, ..] = id.bytes();
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

impl Call {
    fn of(receipt: Receipt) -> Option<Self> {
        let attempt = receipt.attempts.into_iter().next()?;
        let Usage { startup_us, cpu_us, wall_us, peak_memory, bytes_in, bytes_out, inference } =
            attempt.usage;
        Some(Self {
            id: receipt.id,
            subject: receipt.subject,
            accepted: receipt.accepted.0,
            finished: receipt.finished?.0,
            started: attempt.started.0,
            version: attempt.version,
            executor: attempt.executor,
            queue_us: attempt.queue_us,
            startup_us,
            cpu_us,
            wall_us,
            peak_memory,
            bytes_in,
            bytes_out,
            status: attempt.status,
            placement: attempt.placement,
            inference,
        })
    }

    fn receipt(self, service: &ServiceName, trigger: Trigger, source: &str) -> Receipt {
        let Self { startup_us, cpu_us, wall_us, peak_memory, bytes_in, bytes_out, inference, .. } = self;
        let attempt = AttemptRecord {
            number: 1,
            version: self.version,
            executor: self.executor,
            started: Timestamp(self.started),
            queue_us: self.queue_us,
            usage: Usage { startup_us, cpu_us, wall_us, peak_memory, bytes_in, bytes_out, inference },
            status: self.status,
            failure: None,
            placement: self.placement,
        };
        let event = EventId(self.id.to_string());
        Receipt {
            id: self.id,
            service: service.clone(),
            trigger,
            origin: event.clone(),
            event,
            source: source.to_owned(),
            subject: self.subject,
            state: State::Succeeded,
            accepted: Timestamp(self.accepted),
            finished: Some(Timestamp(self.finished)),
            due: None,
            waiting: None,
            attempts: vec![attempt],
        }
    }
}

impl Pack {
    /// Stores it; one that is known stays as it is.
    pub(super) fn add(&self, conn: &Connection) -> Result<(), StoreError> {
        conn.prepare_cached(
            "INSERT INTO invocations
                 (id, service, state, came_by, event, source, origin, accepted, finished, attempt, attempts)
             VALUES (?1, ?2, 5, ?3, ?4, ?5, '', ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?
        .execute((
            Id(self.last),
            self.service.as_str(),
            trigger_name(self.trigger),
            self.first.to_string(),
            &self.source,
            self.accepted.0,
            self.finished.0,
            i64::try_from(self.n).unwrap_or(i64::MAX),
            &self.calls,
        ))?;
        Ok(())
    }
}

/// The receipts of a pack, in the order in which they ended. The row has the columns of [`RECEIPT`].
pub(super) fn unpack(row: &Row<'_>) -> rusqlite::Result<Vec<Receipt>> {
    let service: ServiceName = column(row, 1, str::parse)?;
    let trigger = column(row, 2, trigger)?;
    let source: String = row.get(4)?;
    let calls: Vec<Call> = column(row, 11, |text| serde_json::from_str(text))?;
    Ok(calls.into_iter().map(|call| call.receipt(&service, trigger, &source)).collect())
}

/// A call that is in a pack, and the number of the pack's row.
pub(super) fn find(conn: &Connection, id: InvocationId) -> Result<Option<(i64, Receipt)>, StoreError> {
    let mut farthest = id.bytes();
    let until = millis(id).saturating_add(SPAN).min((1 << 48) - 1).to_be_bytes();
    farthest[..6].copy_from_slice(&until[2..]);
    let mut query = conn.prepare_cached(&format!("SELECT {RECEIPT}, seq FROM invocations {AROUND}"))?;
    let mut rows = query.query((Id(id), &farthest[..]))?;
    while let Some(row) = rows.next()? {
        // The least id of the pack.
        if column(row, 3, str::parse::<InvocationId>)? <= id
            && let Some(receipt) = unpack(row)?.into_iter().find(|receipt| receipt.id == id)
        {
            return Ok(Some((row.get(13)?, receipt)));
        }
    }
    Ok(None)
}

/// Takes a call of this service out of its pack; says whether it was there.
pub(super) fn remove(conn: &Connection, service: &str, id: InvocationId) -> Result<bool, StoreError> {
    let Some((seq, _)) = find(conn, id)?.filter(|(_, receipt)| receipt.service.as_str() == service) else {
        return Ok(false);
    };
    let calls = |row: &Row<'_>| column(row, 0, |text| serde_json::from_str::<Vec<Call>>(text));
    let mut calls =
        conn.prepare_cached("SELECT attempts FROM invocations WHERE seq = ?1")?.query_row([seq], calls)?;
    calls.retain(|call| call.id != id);
    if calls.is_empty() {
        conn.prepare_cached("DELETE FROM invocations WHERE seq = ?1")?.execute([seq])?;
        return Ok(true);
    }
    let text = "UPDATE invocations SET attempts = ?2, attempt = attempt - 1 WHERE seq = ?1";
    conn.prepare_cached(text)?.execute((seq, json(&calls)?))?;
    Ok(true)
}

/// Whether a row is a pack.
pub(super) fn is_pack(row: &Row<'_>) -> rusqlite::Result<bool> {
    Ok(row.get::<_, i64>(7)? == state::PACK)
}
