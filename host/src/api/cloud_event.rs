//! CloudEvents 1.0 over HTTP: structured, batched and binary mode, into events of this host.

mod attributes;

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;
use wicket_core::{Data, Event};

use super::error::ApiError;
use super::params;
use attributes::Attributes;

/// Most events of a batch.
const MAX_BATCH: usize = 1000;
/// Most problems that are told of one body.
const MAX_PROBLEMS: usize = 20;

/// How an event travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// One JSON object.
    Structured,
    /// A list of them.
    Batch,
    /// Attributes in headers, data in the body.
    Binary,
}

/// Which mode these headers say; none: this is no CloudEvent.
pub(super) fn mode(headers: &HeaderMap) -> Result<Option<Mode>, ApiError> {
    let media_type = params::media_type(headers).unwrap_or_default();
    match media_type.as_str() {
        "application/cloudevents+json" => return Ok(Some(Mode::Structured)),
        "application/cloudevents-batch+json" => return Ok(Some(Mode::Batch)),
        other if other.starts_with("application/cloudevents") => {
            let message = format!("CloudEvents as `{}` are not read here", params::shown(other));
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_format", message)
                .help("send `application/cloudevents+json`, `application/cloudevents-batch+json`, or `ce-` headers"));
        }
        _ => {}
    }
    Ok(headers.contains_key("ce-specversion").then_some(Mode::Binary))
}

/// Reads a body in structured mode.
pub(super) fn structured(body: &[u8]) -> Result<Event, ApiError> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(|error| no_json(&error))?;
    let mut problems = Vec::new();
    let event = object(raw, "", &mut problems);
    event.filter(|_| problems.is_empty()).ok_or_else(|| bad(&problems))
}

/// Reads a batch: all of it, or nothing.
pub(super) fn batch(body: &[u8]) -> Result<Vec<Event>, ApiError> {
    let raws: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| no_json(&error))?;
    if raws.len() > MAX_BATCH {
        return Err(ApiError::too_large(format!(
            "a batch has at most {MAX_BATCH} events, this one has {}",
            raws.len()
        )));
    }
    let (mut events, mut problems) = (Vec::with_capacity(raws.len()), Vec::new());
    for (idx, raw) in raws.into_iter().enumerate() {
        events.extend(object(raw, &format!("[{idx}]."), &mut problems));
        if problems.len() >= MAX_PROBLEMS {
            break;
        }
    }
    if problems.is_empty() { Ok(events) } else { Err(bad(&problems)) }
}

/// Reads an event in binary mode.
pub(super) fn binary(headers: &HeaderMap, body: Bytes) -> Result<Event, ApiError> {
    let mut problems = Vec::new();
    let mut attributes = Attributes::default();
    for name in headers.keys() {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else { continue };
        let text = params::header(headers, name.clone())
            .and_then(|text| percent_decode_str(text.trim_matches('"')).decode_utf8().ok());
        match text {
            Some(text) => attributes.set(attribute, text.into_owned(), &mut problems),
            None => problems.push(format!("ce-{}: it is doubled, or no text", params::shown(attribute))),
        }
    }
    // In binary mode it is the body's own.
    if headers.contains_key("ce-datacontenttype") {
        problems.push("ce-datacontenttype: in binary mode this is the header content-type".to_owned());
    }
    attributes.content_type = params::header(headers, header::CONTENT_TYPE).map(str::to_owned);
    let data = if body.is_empty() { Data::None } else { Data::Inline(body) };
    let event = attributes.event(data, "ce-", &mut problems);
    event.filter(|_| problems.is_empty()).ok_or_else(|| bad(&problems))
}

/// One event of the JSON format. `at` is its place in the body.
fn object(raw: &RawValue, at: &str, problems: &mut Vec<String>) -> Option<Event> {
    let members: BTreeMap<Cow<'_, str>, &RawValue> = match serde_json::from_str(raw.get()) {
        Ok(members) => members,
        Err(_) => {
            problems.push(format!("{}: an event is a JSON object", at.trim_end_matches('.')));
            return None;
        }
    };
    let mut own = Vec::new();
    let mut attributes = Attributes::default();
    let (mut data, mut base64) = (None, None);
    for (name, value) in members {
        match (&*name, value.get()) {
            (_, "null") => {}
            ("data", _) => data = Some(value),
            ("data_base64", _) => base64 = Some(value),
            (name, text) => match serde_json::from_str(text) {
                Ok(serde_json::Value::String(text)) => attributes.set(name, text, &mut own),
                Ok(serde_json::Value::Bool(yes)) => attributes.set(name, yes.to_string(), &mut own),
                Ok(serde_json::Value::Number(number)) if number.is_i64() => {
                    attributes.set(name, number.to_string(), &mut own);
                }
                _ => own.push(format!(
                    "{}: an attribute is a string, a boolean or an integer",
                    params::shown(name)
                )),
            },
        }
    }
    let data = payload(data, base64, attributes.content_type.as_deref(), &mut own);
    let event = attributes.event(data, "", &mut own);
    problems.extend(own.into_iter().map(|problem| format!("{at}{problem}")));
    event
}

/// The data of the JSON format: JSON as it stands, or the text or the bytes that it holds.
fn payload(
    data: Option<&RawValue>,
    base64: Option<&RawValue>,
    content_type: Option<&str>,
    problems: &mut Vec<String>,
) -> Data {
    match (data, base64) {
        (None, None) => Data::None,
        (Some(_), Some(_)) => {
            problems.push("data_base64: there is `data` too, and an event has one of them".to_owned());
            Data::None
        }
        (Some(raw), None) => {
            let text = serde_json::from_str::<String>(raw.get()).ok().filter(|_| !is_json(content_type));
            Data::Inline(text.map_or_else(|| Bytes::copy_from_slice(raw.get().as_bytes()), Bytes::from))
        }
        (None, Some(raw)) => {
            let bytes =
                serde_json::from_str::<String>(raw.get()).ok().and_then(|text| STANDARD.decode(text).ok());
            let Some(bytes) = bytes else {
                problems.push("data_base64: this is no base64".to_owned());
                return Data::None;
            };
            Data::Inline(bytes.into())
        }
    }
}

/// Whether data of this media type is JSON: without one it is.
fn is_json(content_type: Option<&str>) -> bool {
    content_type.is_none_or(|text| {
        let media_type = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        media_type.ends_with("/json") || media_type.ends_with("+json")
    })
}

fn no_json(error: &serde_json::Error) -> ApiError {
    ApiError::bad("bad_json", format!("the body is no JSON of an event: {error}"))
}

fn bad(problems: &[String]) -> ApiError {
    ApiError::bad("bad_event", problems.join("\n"))
        .help("a CloudEvent has specversion \"1.0\", and id, source and type, which are not empty")
}

#[cfg(test)]
mod tests;
