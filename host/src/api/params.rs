//! What a request says in its path, its query and its headers.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query, RawPathParams};
use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Most of what a caller sent that is quoted to him.
const SHOWN: usize = 100;

/// What stands in the place of the path's first parameter.
pub(super) struct Named<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Named<T>
where
    T: FromStr<Err: Into<ApiError>>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        texts(parts, state).await?.first().map_or("", String::as_str).parse().map(Self).map_err(Into::into)
    }
}

/// What stands in the places of the path's two parameters.
pub(super) struct Pair<A, B>(pub(super) A, pub(super) B);

impl<A, B, S> FromRequestParts<S> for Pair<A, B>
where
    A: FromStr<Err: Into<ApiError>>,
    B: FromStr<Err: Into<ApiError>>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let texts = texts(parts, state).await?;
        let text = |idx: usize| texts.get(idx).map_or("", String::as_str);
        Ok(Self(text(0).parse().map_err(Into::into)?, text(1).parse().map_err(Into::into)?))
    }
}

/// The path's parameters, decoded.
pub(super) async fn texts<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Vec<String>, ApiError> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    let params = params.map_err(|error| ApiError::bad("bad_path", error.body_text()))?;
    Ok(params.iter().map(|(_, value)| value.to_owned()).collect())
}

/// The query, read into a type.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(ApiError::bad("bad_query", error.body_text())),
        }
    }
}

/// One header as text; none when it is missing, doubled, or no text.
pub(super) fn header(headers: &HeaderMap, name: impl Into<HeaderName>) -> Option<&str> {
    let mut all = headers.get_all(name.into()).iter();
    match (all.next(), all.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// The media type of the body, in lower case and without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = header(headers, header::CONTENT_TYPE)?;
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Whether the caller reads JSON: it says so.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.parse() == Ok(0.0))
        });
        (media_type == "application/json" || media_type.ends_with("+json")) && !refused
    })
}

/// A text of the caller's, made printable and short.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::ACCEPT, value.parse().unwrap())).collect()
    }

    #[test]
    fn json_is_for_those_who_ask_for_it() {
        for json in [
            &["application/json"][..],
            &["text/html, Application/JSON;q=0.5"],
            &["text/html", "application/json"],
            &["application/problem+json"],
        ] {
            assert!(wants_json(&accept(json)), "{json:?}");
        }
        for text in [
            &[][..],
            &["*/*"],
            &["text/plain"],
            &["application/json;q=0"],
            &["application/json;v=1; q=0.0"],
            &[",;,"],
        ] {
            assert!(!wants_json(&accept(text)), "{text:?}");
        }
    }

    #[test]
    fn a_doubled_header_is_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::CONTENT_TYPE, "Text/Plain; charset=utf-8".parse().unwrap());
        assert_eq!(media_type(&headers).as_deref(), Some("text/plain"));
        headers.append(header::CONTENT_TYPE, "text/html".parse().unwrap());
        assert_eq!(media_type(&headers), None);
    }
}
