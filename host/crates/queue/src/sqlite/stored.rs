//! How things look in the tables.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use wicket_config::{Join, ServiceName};
use wicket_core::{
    AttemptRecord, Delivery, Event, EventId, Invocation, InvocationId, Log, Receipt, State, Timestamp,
    Trigger,
};
use wicket_store::StoreError;

use crate::joined::part_key;

/// The numbers in the column `state`.
pub(super) mod state {
    pub(in crate::sqlite) const QUEUED: i64 = 0;
    pub(in crate::sqlite) const RUNNING: i64 = 1;
    pub(in crate::sqlite) const SUCCEEDED: i64 = 2;
    pub(in crate::sqlite) const DEAD: i64 = 3;
    pub(in crate::sqlite) const FAILED_CALL: i64 = 4;
    pub(in crate::sqlite) const PACK: i64 = 5;
    pub(in crate::sqlite) const PARTS: i64 = 9;
}

/// An id as 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(pub(super) InvocationId);

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.bytes().to_vec()))
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?.try_into().map_err(FromSqlError::other)?;
        Ok(Self(InvocationId::from_bytes(bytes)))
    }
}

/// A delivery, encoded and ready to be stored: made before the writer is asked for.
#[derive(Debug)]
pub(super) enum Stored {
    Run(StoredRun),
    Part(StoredPart),
}

/// An invocation without its event, and the event in CBOR.
#[derive(Debug)]
pub(super) struct StoredRun {
    pub(super) id: InvocationId,
    pub(super) service: ServiceName,
    pub(super) event: EventId,
    pub(super) source: String,
    pub(super) subject: Option<String>,
    pub(super) origin: EventId,
    pub(super) body: Vec<u8>,
}

/// A part without its event, and the event in CBOR.
#[derive(Debug)]
pub(super) struct StoredPart {
    pub(super) key: InvocationId,
    /// What this event would be without the join: the id in the answer to a duplicate.
    pub(super) id: InvocationId,
    pub(super) service: ServiceName,
    pub(super) group: String,
    pub(super) rule: Join,
    pub(super) body: Vec<u8>,
}

impl Stored {
    pub(super) fn of(delivery: Delivery) -> Result<Self, StoreError> {
        Ok(match delivery {
            Delivery::Run(invocation) => Self::Run(StoredRun::of(invocation)?),
            Delivery::Part(part) => Self::Part(StoredPart {
                key: part_key(&part),
                id: InvocationId::derive(&part.service, &part.event.source, &part.event.id),
                body: encode(&part.event)?,
                service: part.service,
                group: part.group,
                rule: part.rule,
            }),
        })
    }
}

impl StoredRun {
    pub(super) fn of(invocation: Invocation) -> Result<Self, StoreError> {
        let Invocation { id, service, event } = invocation;
        let body = encode(&event)?;
        let Event { id: event, source, subject, origin, .. } = event;
        Ok(Self { id, service, event, source, subject, origin, body })
    }
}

fn encode(event: &Event) -> Result<Vec<u8>, StoreError> {
    crate::alike::encode(event).map_err(StoreError::refused)
}

pub(super) fn decode(body: &[u8]) -> Result<Event, StoreError> {
    ciborium::from_reader(body).map_err(StoreError::refused)
}

/// An attempt record or a log in JSON.
pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::refused)
}

/// A log ready to be stored; nothing for an empty one.
#[derive(Debug)]
pub(super) struct StoredLog {
    pub(super) bytes: i64,
    pub(super) log: String,
}

impl StoredLog {
    pub(super) fn of(log: &Log) -> Result<Option<Self>, StoreError> {
        if log.lines.is_empty() && log.dropped == 0 {
            return Ok(None);
        }
        let log = json(log)?;
        Ok(Some(Self { bytes: i64::try_from(log.len()).unwrap_or(i64::MAX), log }))
    }
}

/// The columns that [`receipt`] reads.
pub(super) const RECEIPT: &str =
    "id, service, came_by, event, source, subject, origin, state, accepted, finished, due, attempts, waiting";

pub(super) fn receipt(row: &Row<'_>) -> rusqlite::Result<Receipt> {
    let number: i64 = row.get(7)?;
    let due: Option<i64> = row.get(10)?;
    let attempts: Vec<AttemptRecord> = column(row, 11, |text| serde_json::from_str(text))?;
    let waiting: Option<String> = row.get(12)?;
    let waiting = waiting.map(|_| column(row, 12, |text| serde_json::from_str(text))).transpose()?;
    Ok(Receipt {
        id: row.get::<_, Id>(0)?.0,
        service: column(row, 1, str::parse)?,
        trigger: column(row, 2, trigger)?,
        event: EventId(row.get(3)?),
        source: row.get(4)?,
        subject: row.get(5)?,
        origin: EventId(row.get(6)?),
        state: shown(number),
        accepted: Timestamp(row.get(8)?),
        finished: row.get::<_, Option<i64>>(9)?.map(Timestamp),
        due: due.filter(|_| number == state::QUEUED).map(Timestamp),
        waiting,
        attempts,
    })
}

pub(super) fn shown(number: i64) -> State {
    match number {
        state::QUEUED => State::Queued,
        state::RUNNING => State::Running,
        state::SUCCEEDED | state::PACK => State::Succeeded,
        _ => State::Failed,
    }
}

pub(super) fn trigger_name(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Event => "event",
        Trigger::Http => "http",
        Trigger::Run => "run",
    }
}

pub(super) fn trigger(name: &str) -> Result<Trigger, serde::de::value::Error> {
    use serde::de::Error;
    match name {
        "event" => Ok(Trigger::Event),
        "http" => Ok(Trigger::Http),
        "run" => Ok(Trigger::Run),
        other => Err(Error::unknown_variant(other, &["event", "http", "run"])),
    }
}

/// A text column that means something.
pub(super) fn column<T, E>(
    row: &Row<'_>,
    idx: usize,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> rusqlite::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    read(row.get_ref(idx)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(idx, rusqlite::types::Type::Text, Box::new(error))
    })
}
