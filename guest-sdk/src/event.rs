//! What happened.

use crate::{Failure, Object};

/// A CloudEvents 1.0 event, and the objects that it is about.
#[derive(Debug, Default)]
pub struct Event {
    /// Unique together with `source`.
    pub id: String,
    /// Where it happened.
    pub source: String,
    /// What happened: the attribute `type`.
    pub kind: String,
    /// What it happened to: an object's key, or the group of a join.
    pub subject: Option<String>,
    /// When, RFC 3339.
    pub time: String,
    /// Media type of `data`.
    pub content_type: Option<String>,
    /// Inline data; empty where objects carry the data.
    pub data: Vec<u8>,
    /// Further attributes.
    pub extensions: Vec<(String, String)>,
    /// The body as it came to the host (an S3 notification, say).
    pub verbatim: Option<Vec<u8>>,
    /// One for an upload, all parts for a join, in the order of their keys.
    pub objects: Vec<Object>,
    /// Which try this is.
    pub attempt: Attempt,
}

/// One try of an invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The same over all tries: the key to make an effect outside happen once.
    pub invocation: String,
    /// From 1.
    pub number: u32,
    /// The service that runs.
    pub service: String,
}

impl Event {
    /// An event about these objects, for tests.
    pub fn about(objects: impl IntoIterator<Item = Object>) -> Self {
        let objects: Vec<Object> = objects.into_iter().collect();
        Self {
            id: "1".to_owned(),
            source: "/testing".to_owned(),
            kind: "dev.wicketgate.object.created".to_owned(),
            subject: objects.first().map(|object| object.key().to_owned()),
            time: "2026-01-01T00:00:00Z".to_owned(),
            objects,
            attempt: Attempt { invocation: "1".to_owned(), number: 1, service: "testing".to_owned() },
            ..Self::default()
        }
    }

    /// An event with inline data, for tests.
    pub fn with_data(data: impl Into<Vec<u8>>, content_type: &str) -> Self {
        Self {
            kind: "dev.wicketgate.posted".to_owned(),
            data: data.into(),
            content_type: Some(content_type.to_owned()),
            ..Self::about([])
        }
    }

    /// The one object that it is about; an event without one, or with several, will never do.
    pub fn object(&mut self) -> Result<&mut Object, Failure> {
        match &mut self.objects[..] {
            [one] => Ok(one),
            several => Err(Failure::never(format!("the event is about {} objects, not one", several.len()))),
        }
    }

    /// Inline data as text; an event with other bytes will never do.
    pub fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.data)
            .map_err(|error| Failure::never(format!("the data is no text: {error}")))
    }
}
