//! Something that happened, with the attributes of CloudEvents 1.0.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wicket_config::{BucketName, ObjectKey, ProviderId};

use crate::{EventId, Timestamp};

/// The event types that the host itself makes.
pub mod kinds {
    /// An object became visible in a bucket.
    pub const OBJECT_CREATED: &str = "dev.wicketgate.object.created";
    /// The parts of a join are complete.
    pub const JOINED: &str = "dev.wicketgate.joined";
    /// A body posted to `/run` or `/job` that is no event of its own.
    pub const POSTED: &str = "dev.wicketgate.posted";
    /// A client of DEEPaaS asks for a prediction. The extension [`ARGUMENTS`] has what else it says, as a JSON object.
    pub const PREDICT: &str = "dev.wicketgate.predict";
    /// A client of DEEPaaS asks for a training; the same.
    pub const TRAIN: &str = "dev.wicketgate.train";
    /// The extension of those two.
    pub const ARGUMENTS: &str = "arguments";
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Unique together with `source`.
    pub id: EventId,
    /// Where it happened, a URI reference: `/buckets/photos`.
    pub source: String,
    /// What happened: the CloudEvents attribute `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it happened to: an object's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When.
    pub time: Timestamp,
    /// Media type of inline data: the attribute `datacontenttype`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// What goes with it.
    #[serde(default)]
    pub data: Data,
    /// Further CloudEvents attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, String>,
    /// The body as it came through the door, for a function that wants the original (an S3 notification).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbatim: Option<Bytes>,
    /// Stages it has passed since the outside sent the first event.
    #[serde(default)]
    pub hops: u32,
    /// The first event of this workflow run; its own id when it came from outside.
    pub origin: EventId,
}

/// What goes with an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// Nothing.
    #[default]
    None,
    /// The data itself, small.
    Inline(Bytes),
    /// An object to read.
    Object(ObjectRef),
    /// The events that a join collected, in the order of their subjects.
    Parts(Vec<Event>),
}

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Whose bucket.
    #[serde(default)]
    pub provider: ProviderId,
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Size in bytes, where the notification told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Entity tag without quotes, where the notification told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// The source of what happens in a bucket.
pub(crate) fn bucket_source(bucket: &BucketName) -> String {
    format!("/buckets/{bucket}")
}

impl ObjectRef {
    /// The provider name of a posted body that is too large for its event: no bucket of anybody's.
    pub const POSTED: &str = "wicket.posted";

    /// Whether it is a posted body.
    pub fn is_posted(&self) -> bool {
        self.provider.0 == Self::POSTED
    }
}

impl Event {
    /// An event from outside, about nothing in particular: the start of the other constructors.
    pub fn new(source: impl Into<String>, kind: impl Into<String>, id: EventId) -> Self {
        Self {
            origin: id.clone(),
            id,
            source: source.into(),
            kind: kind.into(),
            subject: None,
            time: Timestamp::now(),
            content_type: None,
            data: Data::None,
            extensions: BTreeMap::new(),
            verbatim: None,
            hops: 0,
        }
    }

    /// An object became visible. `id` tells this creation from others of the same key (a sequence number, say).
    pub fn object_created(object: ObjectRef, id: EventId) -> Self {
        let mut event = Self::new(bucket_source(&object.bucket), kinds::OBJECT_CREATED, id);
        event.subject = Some(object.key.to_string());
        event.data = Data::Object(object);
        event
    }

    /// What somebody has sent with it, when that is small. An empty file is a file, where it has a name.
    pub fn bring(&mut self, bytes: Bytes) {
        let nothing = bytes.is_empty() && self.subject.is_none();
        self.data = if nothing { Data::None } else { Data::Inline(bytes) };
    }

    /// This event as a consequence of `cause`: one hop further in the same workflow run.
    #[must_use]
    pub fn caused_by(mut self, cause: &Event) -> Self {
        self.hops = cause.hops.saturating_add(1);
        self.origin = cause.origin.clone();
        self
    }

    /// The object it is about, when it is about one.
    pub fn object(&self) -> Option<&ObjectRef> {
        match &self.data {
            Data::Object(object) => Some(object),
            Data::None | Data::Inline(_) | Data::Parts(_) => None,
        }
    }

    /// Bytes of what it brings, where that is known: its data, or its objects.
    pub fn size(&self) -> Option<u64> {
        match &self.data {
            Data::None => Some(0),
            Data::Inline(bytes) => Some(bytes.len() as u64),
            Data::Object(object) => object.size,
            Data::Parts(parts) => parts.iter().map(Event::size).sum(),
        }
    }

    /// All objects it is about: its own, or those of its parts.
    pub fn objects(&self) -> Vec<&ObjectRef> {
        match &self.data {
            Data::Object(object) => vec![object],
            Data::Parts(parts) => parts.iter().flat_map(Event::objects).collect(),
            Data::None | Data::Inline(_) => Vec::new(),
        }
    }
}
