//! Base64, for the clients that speak it.
//!
//! OSCAR's Python client says `application/json` of every body, and what it sends is the base64 of a file; it decodes
//! the answer of `/run` likewise. Such a body is decoded, and its answer encoded: JSON that is no JSON but base64 is
//! nobody's else. All others send bytes and get bytes.

use std::io;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use wicket_core::ByteStream;

/// A body of this size or more is taken as it is: whether it is base64 can only be told when all of it is there.
const LARGEST: usize = 16 << 20;

/// Whether a body that says it is JSON is base64 instead: then its bytes.
pub(super) fn decode(media_type: Option<&str>, body: &[u8]) -> Option<Bytes> {
    if media_type != Some("application/json") || body.is_empty() || !is_alphabet(body) {
        return None;
    }
    if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() {
        return None;
    }
    let line_ends = |byte: &u8| !byte.is_ascii_whitespace();
    let packed: Vec<u8> = body.iter().copied().filter(line_ends).collect();
    STANDARD.decode(packed).ok().map(Bytes::from)
}

/// The same of a stream: the bytes to work on, and whether they were base64. What cannot be, or is more than `limit`
/// bytes in any case, is not held back.
pub(super) async fn decoded(
    media_type: Option<&str>,
    mut body: ByteStream,
    limit: u64,
) -> (ByteStream, bool) {
    if media_type != Some("application/json") {
        return (body, false);
    }
    // Four characters for three bytes, and the line ends.
    let longest = usize::try_from(limit.saturating_mul(3) / 2 + 4).map_or(LARGEST, |most| most.min(LARGEST));
    let mut head = BytesMut::new();
    loop {
        match body.next().await {
            Some(Ok(piece)) => {
                let may_be = is_alphabet(&piece) && head.len() + piece.len() < longest;
                head.extend_from_slice(&piece);
                if !may_be {
                    return (Box::pin(once(head.freeze()).chain(body)), false);
                }
            }
            Some(Err(error)) => return (Box::pin(futures::stream::iter([Err(error)])), false),
            None => break,
        }
    }
    match decode(media_type, &head) {
        Some(bytes) => (Box::pin(once(bytes)), true),
        None => (Box::pin(once(head.freeze())), false),
    }
}

/// A body in base64.
pub(super) fn encoded(body: ByteStream) -> Body {
    // Three bytes are four characters: what is left over waits for the next piece.
    let state = (Some(body), BytesMut::new());
    Body::from_stream(futures::stream::unfold(state, async |(body, mut rest)| {
        let mut body = body?;
        Some(match body.next().await {
            Some(Ok(piece)) => {
                rest.extend_from_slice(&piece);
                let whole = rest.split_to(rest.len() / 3 * 3);
                (Ok(Bytes::from(STANDARD.encode(whole))), (Some(body), rest))
            }
            Some(Err(error)) => (Err(error), (None, rest)),
            None => (Ok::<_, io::Error>(Bytes::from(STANDARD.encode(rest.split()))), (None, rest)),
        })
    }))
}

/// A stream of one piece.
pub(super) fn once(bytes: Bytes) -> impl futures::Stream<Item = io::Result<Bytes>> + Send {
    futures::stream::iter([Ok(bytes)])
}

fn is_alphabet(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some("application/json");

    async fn all(mut body: ByteStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        bytes
    }

    fn stream(pieces: &[&'static str]) -> ByteStream {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        Box::pin(futures::stream::iter(pieces))
    }

    #[track_caller]
    fn check(media_type: Option<&str>, body: &str, expected: Option<&str>) {
        let decoded = decode(media_type, body.as_bytes());
        assert_eq!(decoded.as_deref(), expected.map(str::as_bytes), "{body}");
    }

    #[test]
    fn only_what_cannot_be_json_is_base64() {
        check(JSON, "aGVsbG8=", Some("hello"));
        check(JSON, "aGVs\nbG8=\n", Some("hello"));
        check(JSON, "1234", None);
        check(JSON, "true", None);
        check(JSON, "{\"a\":1}", None);
        check(JSON, "message=hi", None);
        check(JSON, "", None);
        check(None, "aGVsbG8=", None);
        check(Some("text/plain"), "aGVsbG8=", None);
    }

    #[tokio::test]
    async fn a_stream_is_decoded_or_left_as_it_is() {
        let (body, base64) = decoded(JSON, stream(&["aGV", "sbG8="]), 5).await;
        assert_eq!((all(body).await.as_slice(), base64), (&b"hello"[..], true));
        let (body, base64) = decoded(JSON, stream(&["aGVs", "{}", "x"]), 100).await;
        assert_eq!((all(body).await.as_slice(), base64), (&b"aGVs{}x"[..], false));
        let (body, base64) = decoded(None, stream(&["aGVs"]), 100).await;
        assert_eq!((all(body).await.as_slice(), base64), (&b"aGVs"[..], false));
        // Twelve bytes for somebody who takes four: it goes on as it comes, to where it is refused.
        let (body, base64) = decoded(JSON, stream(&["aGVsbG8g", "d29ybGQh"]), 4).await;
        assert_eq!((all(body).await.as_slice(), base64), (&b"aGVsbG8gd29ybGQh"[..], false));
    }

    #[tokio::test]
    async fn an_answer_is_one_base64_text_however_it_comes() {
        let body = encoded(stream(&["h", "", "ello w", "orld"]));
        let bytes = axum::body::to_bytes(body, 100).await.unwrap();
        assert_eq!(STANDARD.decode(&bytes).unwrap(), b"hello world");
        assert!(axum::body::to_bytes(encoded(stream(&[])), 100).await.unwrap().is_empty());
    }
}
