//! Bodies that tell of new objects, as MinIO, Ceph, AWS and their likes send them, made into events.
//!
//! They differ in small things: `s3:` before an event's name or not, keys URL-encoded or raw, one record or several,
//! an outer `EventName` and `Key` or none, a `s3:TestEvent` that is about nothing.

mod key;
mod record;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use wicket_config::{BucketName, ObjectKey, ProviderId};
use wicket_core::{Event, EventId, ObjectRef, Timestamp};

use record::Outer;

/// Most records in one body; AWS sends one, and MinIO's batches are smaller.
const MAX_RECORDS: usize = 1000;
/// Most problems that are told of one body.
const MAX_PROBLEMS: usize = 20;

/// A new object, of somebody's bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Created {
    /// The bucket.
    pub(crate) bucket: BucketName,
    /// The key, decoded.
    pub(crate) key: ObjectKey,
    /// Its size, where it was told.
    pub(crate) size: Option<u64>,
    /// Its entity tag without quotes, where it was told.
    pub(crate) etag: Option<String>,
    /// When, where it was told.
    time: Option<Timestamp>,
    /// The same for the same creation told twice; none where nothing tells one from another.
    id: Option<EventId>,
    /// A notification about this object alone, as it came where it came alone.
    verbatim: Bytes,
}

/// A body that is a notification, and a broken one. One sentence for each problem.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct BadNotification(Vec<String>);

/// What a body says of new objects: none when it is no notification at all, and no objects when it is about something
/// else (a removed object, a test, the marker of a folder).
pub(crate) fn read(body: &Bytes) -> Result<Option<Vec<Created>>, BadNotification> {
    // Any other JSON is somebody's own, so what does not look right is not a mistake.
    let Ok(outer) = serde_json::from_slice::<Outer<'_>>(body) else { return Ok(None) };
    if outer.event.as_deref() == Some("s3:TestEvent") {
        return Ok(Some(Vec::new()));
    }
    if !outer.records.iter().any(|record| is_about_objects(record)) {
        return Ok(None);
    }
    if outer.records.len() > MAX_RECORDS {
        return Err(BadNotification(vec![format!("Records: there are more than {MAX_RECORDS}")]));
    }
    let alone = outer.records.len() == 1;
    let (mut created, mut problems) = (Vec::new(), Vec::new());
    for (idx, raw) in outer.records.iter().enumerate() {
        match record::read(raw, outer.event_name.as_deref(), outer.key.as_deref().filter(|_| alone)) {
            Ok(Some(mut one)) => {
                if alone {
                    one.verbatim = body.clone();
                }
                created.push(one);
            }
            Ok(None) => {}
            Err(problem) => problems.push(format!("Records[{idx}]: {problem}")),
        }
        if problems.len() == MAX_PROBLEMS {
            break;
        }
    }
    if problems.is_empty() { Ok(Some(created)) } else { Err(BadNotification(problems)) }
}

fn is_about_objects(record: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Outline<'r> {
        #[serde(borrow)]
        s3: Option<&'r RawValue>,
    }
    serde_json::from_str::<Outline<'_>>(record.get()).is_ok_and(|outline| outline.s3.is_some())
}

impl Created {
    /// The event that it is, in the bucket of this provider.
    pub(crate) fn event(&self, provider: &ProviderId) -> Event {
        let object = ObjectRef {
            provider: provider.clone(),
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            size: self.size,
            etag: self.etag.clone(),
        };
        let mut event = Event::object_created(object, self.id.clone().unwrap_or_else(EventId::random));
        if !provider.is_local() {
            event.source = format!("/{}/{}", provider.0, self.bucket);
        }
        event.time = self.time.unwrap_or(event.time);
        event.verbatim = Some(self.verbatim.clone());
        event
    }
}

/// One id for what tells a creation from all others, so that it is the same however often it is told.
fn identify(key: &str, told: [Option<&str>; 4]) -> Option<EventId> {
    if told.iter().all(Option::is_none) {
        return None;
    }
    let mut hash = Sha256::new();
    for part in [Some(key)].into_iter().chain(told) {
        let part = part.unwrap_or_default();
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hex::encode(hash.finalize());
    Some(EventId(digest[..32].to_owned()))
}

#[cfg(test)]
mod tests;
