//! One record of a notification.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use wicket_config::{NameError, ObjectKey};
use wicket_core::Timestamp;

use super::{Created, identify, key};

/// The body around the records. What is of no use here may be anything.
#[derive(Deserialize)]
pub(super) struct Outer<'b> {
    /// AWS's test.
    #[serde(default, rename = "Event")]
    pub(super) event: Option<String>,
    /// MinIO's: the name of the first event.
    #[serde(default, rename = "EventName")]
    pub(super) event_name: Option<String>,
    /// MinIO's: `bucket/key` of the first event.
    #[serde(default, rename = "Key")]
    pub(super) key: Option<String>,
    #[serde(borrow, default, rename = "Records")]
    pub(super) records: Vec<&'b RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default)]
    event_source: Option<String>,
    #[serde(default)]
    event_name: Option<String>,
    #[serde(default)]
    event_time: Option<String>,
    s3: Subject,
}

#[derive(Deserialize)]
struct Subject {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    key: String,
    /// A number, or one in quotes.
    #[serde(default)]
    size: Value,
    #[serde(default, alias = "etag")]
    e_tag: Option<String>,
    #[serde(default)]
    sequencer: Option<String>,
    #[serde(default)]
    version_id: Option<String>,
}

/// What a record tells; none when it is about no new object. The answer's `verbatim` is a body around this record.
pub(super) fn read(
    raw: &RawValue,
    outer_name: Option<&str>,
    outer_key: Option<&str>,
) -> Result<Option<Created>, String> {
    let record: Record = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    let name = record.event_name.as_deref().or(outer_name);
    if !name.is_none_or(is_creation) {
        return Ok(None);
    }
    let Subject { bucket, object } = record.s3;
    let key = key::decode(&object.key, &bucket.name, record.event_source.as_deref(), outer_key);
    let bucket = bucket.name.parse().map_err(|error: NameError| error.to_string())?;
    let key: ObjectKey = key.parse().map_err(|error: NameError| error.to_string())?;
    if key.is_folder_marker() {
        return Ok(None);
    }
    let etag = object.e_tag.map(|etag| etag.trim_matches('"').to_owned()).filter(|etag| !etag.is_empty());
    let told = [
        object.sequencer.as_deref(),
        object.version_id.as_deref(),
        etag.as_deref(),
        record.event_time.as_deref(),
    ];
    let id = identify(key.as_str(), told.map(|part| part.filter(|part| !part.is_empty())));
    Ok(Some(Created {
        bucket,
        id,
        key,
        size: object.size.as_u64().or_else(|| object.size.as_str()?.parse().ok()),
        etag,
        time: record.event_time.and_then(|time| time.parse::<Timestamp>().ok()),
        verbatim: Bytes::from(format!("{{\"Records\":[{}]}}", raw.get())),
    }))
}

/// `s3:ObjectCreated:Put`, `ObjectCreated:CompleteMultipartUpload` …
fn is_creation(name: &str) -> bool {
    let name = name.strip_prefix("s3:").unwrap_or(name);
    name.strip_prefix("ObjectCreated").is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}
