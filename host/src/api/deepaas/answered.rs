//! What a service has made of a call, in the media type that its caller wants.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::value::RawValue;
use wicket_config::{Deepaas, MediaType, ServiceName};

use super::super::answer::Answer;
use super::super::error::ApiError;
use super::super::params;
use crate::attempt::Answer as Output;
use crate::node::Made;

/// What is always to be had: all files that the service has made.
const ZIP: &str = "application/zip";
/// Largest JSON that is put into an answer.
const LARGEST_JSON: u64 = 8 << 20;

/// The media type in which a caller wants his answer.
///
/// `said` is what he says in the query, for those whose program says nothing of its own in the header.
pub(super) fn wanted(
    deepaas: &Deepaas,
    headers: &HeaderMap,
    said: Option<String>,
) -> Result<String, ApiError> {
    let known: Vec<&str> = deepaas.accept.iter().map(MediaType::as_str).collect();
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut accept: Vec<&str> = accept.filter(|value| *value != "*/*").collect();
    if accept.is_empty() {
        accept.extend(said.as_deref());
    }
    let mut ranges: Vec<(f32, String)> =
        accept.iter().flat_map(|value| value.split(',')).filter_map(range).collect();
    // Sorting keeps the order of what is wanted as much.
    ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
    if ranges.is_empty() && accept.is_empty() {
        ranges.push((1.0, "*/*".to_owned()));
    }
    let (refused, ranges): (Vec<_>, Vec<_>) = ranges.into_iter().partition(|(weight, _)| *weight == 0.0);
    let is_refused = |one: &&str| refused.iter().any(|(_, range)| range == one);
    let all = known.iter().copied().chain([ZIP]).filter(|one| !is_refused(one));
    let fits = |range: &str| all.clone().find(|one| matches(range, one));
    let found = ranges.iter().find_map(|(_, range)| fits(range));
    found.map(str::to_owned).ok_or_else(|| not_acceptable(format!("it answers in {}", known.join(", "))))
}

/// A range, and how much it is wanted, from 0 to 1; none when it is no range.
fn range(text: &str) -> Option<(f32, String)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let weight: f32 = weight.map_or(Some(1.0), |weight| weight.parse().ok())?;
    (0.0..=1.0).contains(&weight).then_some((weight, name))
}

fn matches(range: &str, media_type: &str) -> bool {
    let kind = range.strip_suffix("/*");
    range == "*/*"
        || range == media_type
        || kind.is_some_and(|kind| media_type.split('/').next() == Some(kind))
}

fn not_acceptable(message: String) -> ApiError {
    ApiError::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message)
        .help("the header `accept` says in which media type; application/zip has all files that it makes")
}

/// Without parameters.
fn essence(content_type: Option<&str>) -> Option<String> {
    Some(content_type?.split(';').next()?.trim().to_ascii_lowercase())
}

/// The answer in this media type.
pub(super) async fn answer(service: &ServiceName, wanted: &str, made: Made) -> Result<Response, ApiError> {
    match wanted {
        MediaType::JSON => {
            let text = format!("{{\"status\":\"OK\",\"predictions\":{}}}", predictions(&made).await?);
            let content_type = Some(MediaType::JSON.to_owned());
            let reply = wicket_core::Reply { body: text.into(), content_type, ..made.reply };
            Ok(Answer::said(reply, made.kept).into_response())
        }
        ZIP if !made.files.is_empty() => {
            Ok(Answer::zip(service, made.files, made.kept).await?.into_response())
        }
        wanted => one(wanted, made).await,
    }
}

/// The JSON that was made, as it was written; where there are several files of it, each by its name.
async fn predictions(made: &Made) -> Result<Box<RawValue>, ApiError> {
    let is_json = |file: &&Output| essence(file.content_type.as_deref()).as_deref() == Some(MediaType::JSON);
    let failed = |error: std::io::Error| ApiError::internal("read the function's output", &error);
    let mut found = BTreeMap::new();
    let mut room = LARGEST_JSON;
    for file in made.files.iter().filter(is_json) {
        let size = tokio::fs::metadata(&file.file).await.map_err(failed)?.len();
        room = room.checked_sub(size).ok_or_else(|| {
            not_acceptable(format!("the JSON that it made is larger than {LARGEST_JSON} bytes in all"))
        })?;
        let text = tokio::fs::read(&file.file).await.map_err(failed)?;
        found.insert(file.name.as_str().to_owned(), parsed(file.name.as_str(), text).await?);
    }
    if found.len() == 1 {
        return Ok(found.into_values().next().unwrap_or_default());
    }
    if !found.is_empty() {
        return raw(&found);
    }
    let said = &made.reply.body;
    if let Ok(value) = serde_json::from_slice::<Box<RawValue>>(said) {
        return Ok(value);
    }
    match std::str::from_utf8(said) {
        Ok(text) if !text.is_empty() || made.files.is_empty() => raw(&text),
        _ => Err(otherwise(&made.files)),
    }
}

fn raw(value: &impl serde::Serialize) -> Result<Box<RawValue>, ApiError> {
    serde_json::value::to_raw_value(value).map_err(|error| ApiError::internal("write its answer", &error))
}

/// Held to be JSON where that takes nobody's time.
async fn parsed(name: &str, text: Vec<u8>) -> Result<Box<RawValue>, ApiError> {
    let parsed = tokio::task::spawn_blocking(move || serde_json::from_slice(&text)).await;
    let parsed = parsed.map_err(|error| ApiError::internal("read the function's output", &error))?;
    parsed.map_err(|error| {
        let message = format!("its `{}` is not the JSON that its name says: {error}", params::shown(name));
        ApiError::new(StatusCode::BAD_GATEWAY, "function_failed", message)
    })
}

/// The one file of this media type, or what was said.
async fn one(wanted: &str, made: Made) -> Result<Response, ApiError> {
    let Made { reply, files, kept } = made;
    if files.is_empty() {
        let fits = match essence(reply.content_type.as_deref()) {
            Some(said) => said == wanted,
            // A command does not say what it writes: text is no picture, and what is no text is no text.
            None => {
                let (text, kind) = (std::str::from_utf8(&reply.body).is_ok(), wanted.split('/').next());
                wanted != ZIP && (kind == Some("application") || text == (kind == Some("text")))
            }
        };
        if !fits || reply.body.is_empty() {
            return Err(otherwise(&files));
        }
        let content_type = Some(wanted.to_owned());
        return Ok(Answer::said(wicket_core::Reply { content_type, ..reply }, kept).into_response());
    }
    let fits = |file: &Output| essence(file.content_type.as_deref()).as_deref() == Some(wanted);
    let (mut fitting, others): (Vec<Output>, Vec<Output>) = files.into_iter().partition(fits);
    match (fitting.pop(), fitting.is_empty()) {
        (Some(file), true) => Ok(Answer::file(file, kept).await?.into_response()),
        (Some(_), false) => Err(not_acceptable(format!(
            "it made {} files of {wanted}, and an answer is one",
            fitting.len() + 1
        ))),
        (None, _) => Err(otherwise(&others)),
    }
}

/// It made something, and not that.
fn otherwise(files: &[Output]) -> ApiError {
    let shown = |file: &Output| {
        let content_type = file.content_type.as_deref().unwrap_or("of no known type");
        format!("{} ({content_type})", params::shown(file.name.as_str()))
    };
    let made: Vec<String> = files.iter().take(5).map(shown).collect();
    let made = if made.is_empty() { "something else".to_owned() } else { made.join(", ") };
    not_acceptable(format!("it ran, and made {made}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_chooses_among_what_there_is() {
        let deepaas = Deepaas {
            accept: ["application/json", "image/jpeg"].map(|text| text.parse().unwrap()).into(),
            ..Deepaas::default()
        };
        let chosen = |accept: &[&str]| {
            let headers = accept.iter().map(|value| (header::ACCEPT, value.parse().unwrap())).collect();
            wanted(&deepaas, &headers, None).map_err(|error| error.status())
        };
        for (accept, wanted) in [
            (&[][..], "application/json"),
            (&["*/*"], "application/json"),
            (&["image/*"], "image/jpeg"),
            (&["text/html, image/jpeg;q=0.5, */*;q=0.1"], "image/jpeg"),
            (&["application/json;q=0.2", "Image/JPEG"], "image/jpeg"),
            (&["application/zip"], "application/zip"),
            (&["application/*"], "application/json"),
            (&["application/json;q=0, */*"], "image/jpeg"),
        ] {
            assert_eq!(chosen(accept).as_deref(), Ok(wanted), "{accept:?}");
        }
        let said = |accept: &str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            wanted(&deepaas, &headers, Some("image/jpeg".to_owned())).map_err(|error| error.status())
        };
        assert_eq!(said("*/*").as_deref(), Ok("image/jpeg"));
        assert_eq!(said("application/json").as_deref(), Ok("application/json"), "the header goes first");
        for refused in [
            &["text/html"][..],
            &["image/jpeg;q=0"],
            &["image/jpeg;q=2"],
            &["image/jpeg;q=nan"],
            &["image/png"],
            &["nonsense"],
            &[";q=1"],
        ] {
            assert_eq!(chosen(refused), Err(StatusCode::NOT_ACCEPTABLE), "{refused:?}");
        }
    }
}
