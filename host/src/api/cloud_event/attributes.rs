//! The attributes of an event, checked.

use std::collections::BTreeMap;

use wicket_core::{Data, Event, EventId, Timestamp};

use crate::api::params;

/// Longest value of an attribute.
const MAX_VALUE: usize = 4096;
/// Most extensions.
const MAX_EXTENSIONS: usize = 64;
/// Longest name of an extension. The specification wishes for 20, and has some of 22 itself.
const MAX_NAME: usize = 32;

/// Attributes as they were told.
#[derive(Default)]
pub(super) struct Attributes {
    specversion: Option<String>,
    id: Option<String>,
    source: Option<String>,
    kind: Option<String>,
    subject: Option<String>,
    time: Option<String>,
    /// `datacontenttype`.
    pub(super) content_type: Option<String>,
    extensions: BTreeMap<String, String>,
}

impl Attributes {
    /// Takes one attribute.
    pub(super) fn set(&mut self, name: &str, value: String, problems: &mut Vec<String>) {
        if value.len() > MAX_VALUE {
            problems.push(format!("{}: it is longer than {MAX_VALUE} bytes", params::shown(name)));
            return;
        }
        let place = match name {
            "specversion" => &mut self.specversion,
            "id" => &mut self.id,
            "source" => &mut self.source,
            "type" => &mut self.kind,
            "subject" => &mut self.subject,
            "time" => &mut self.time,
            "datacontenttype" => &mut self.content_type,
            name => return self.extend(name, value, problems),
        };
        *place = Some(value);
    }

    fn extend(&mut self, name: &str, value: String, problems: &mut Vec<String>) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(plain) {
            problems.push(format!(
                "{}: a name of an attribute is 1 to {MAX_NAME} of a-z and 0-9",
                params::shown(name)
            ));
            return;
        }
        // Told once, however many there are.
        if self.extensions.len() == MAX_EXTENSIONS {
            problems.push(format!("there are more than {MAX_EXTENSIONS} extensions"));
        }
        if self.extensions.len() <= MAX_EXTENSIONS {
            self.extensions.insert(name.to_owned(), value);
        }
    }

    /// The event, unless something is wrong with it. `prefix` stands before the names of attributes.
    pub(super) fn event(self, data: Data, prefix: &str, problems: &mut Vec<String>) -> Option<Event> {
        match self.specversion.as_deref() {
            Some("1.0") => {}
            Some(other) => {
                problems
                    .push(format!("{prefix}specversion: this is \"1.0\", not {:?}", params::shown(other)));
            }
            None => problems.push(format!("{prefix}specversion: it is missing")),
        }
        let mut required = |name: &str, value: Option<String>| {
            if value.as_deref().is_none_or(str::is_empty) {
                let what = if value.is_some() { "empty" } else { "missing" };
                problems.push(format!("{prefix}{name}: it is {what}"));
            }
            value.filter(|value| !value.is_empty())
        };
        let id = required("id", self.id);
        let source = required("source", self.source);
        let kind = required("type", self.kind);
        if source.as_deref().is_some_and(|source| !is_uri_reference(source)) {
            problems.push(format!("{prefix}source: this is no URI reference"));
        }
        if self.subject.as_deref() == Some("") {
            problems.push(format!("{prefix}subject: it is empty"));
        }
        let time = self.time.map(|time| time.parse::<Timestamp>());
        if let Some(Err(error)) = &time {
            problems.push(format!("{prefix}time: {error}"));
        }
        let mut event = Event::new(source?, kind?, EventId(id?));
        event.subject = self.subject;
        event.time = time.and_then(Result::ok).unwrap_or(event.time);
        event.content_type = self.content_type;
        // Without a media type the JSON format means JSON; in binary mode the body's own header says it.
        if event.content_type.is_none() && prefix.is_empty() && data != Data::None {
            event.content_type = Some("application/json".to_owned());
        }
        event.data = data;
        event.extensions = self.extensions;
        Some(event)
    }
}

/// What RFC 3986 allows in a reference, byte by byte; its parts may be anything.
fn is_uri_reference(text: &str) -> bool {
    text.bytes().all(|byte| {
        byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
    })
}
