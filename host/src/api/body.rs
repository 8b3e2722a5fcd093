//! Bodies that come in: within a size, and not for ever.

use std::io;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http_body::Body as _;
use serde::de::DeserializeOwned;
use wicket_core::ByteStream;

use super::error::ApiError;
use crate::trigger::http::TooSlow;

/// How long the next piece of a body may take.
const IDLE: Duration = Duration::from_secs(30);

/// Largest JSON body of a question (what to explain, which version).
pub(super) const QUESTION: usize = 64 << 10;

/// A body that did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyFailed {
    /// The sender went silent.
    #[error("nothing of the body came for {} s", .0.as_secs())]
    Stalled(Duration),
    /// It came too slowly.
    #[error("{0}")]
    Slow(String),
    /// The connection ended, or the sender broke the protocol.
    #[error("the body broke off: {0}")]
    Broken(String),
}

impl BodyFailed {
    /// Why the connection gave no more.
    fn why(error: &(dyn std::error::Error + 'static)) -> Self {
        let slow = std::iter::successors(Some(error), |error| error.source())
            .find_map(|error| error.downcast_ref::<TooSlow>());
        slow.map_or_else(|| Self::Broken(error.to_string()), |slow| Self::Slow(slow.to_string()))
    }

    /// What an I/O error is when it is one of these.
    pub(super) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// A body in pieces. It ends with [`BodyFailed`] when it does not end well.
pub(super) fn pieces(body: Body) -> ByteStream {
    patient(body, IDLE)
}

fn patient(body: Body, idle: Duration) -> ByteStream {
    let pieces = futures::stream::unfold(
        Some(body.into_data_stream()),
        move |body: Option<BodyDataStream>| async move {
            let mut body = body?;
            match tokio::time::timeout(idle, body.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some(body))),
                Ok(Some(Err(error))) => Some((Err(io::Error::other(BodyFailed::why(&error))), None)),
                Err(_) => Some((Err(io::Error::other(BodyFailed::Stalled(idle))), None)),
            }
        },
    );
    Box::pin(pieces)
}

/// A whole body of at most `limit` bytes.
pub(super) async fn whole(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::too_large(format!("the body is larger than {limit} bytes"));
    announced(&body, limit as u64).map_err(|()| too_large())?;
    let mut body = pieces(body);
    let mut all = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| ApiError::from_body(&error))?;
        if all.len() + piece.len() > limit {
            return Err(too_large());
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// A body in pieces; none where it is empty.
pub(super) async fn some(body: Body) -> io::Result<Option<ByteStream>> {
    let mut pieces = pieces(body);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if !piece.is_empty() {
            return Ok(Some(Box::pin(futures::stream::iter([Ok(piece)]).chain(pieces))));
        }
    }
    Ok(None)
}

/// Refuses a body whose announced length is over the limit, before a byte of it is taken.
pub(super) fn announced(body: &Body, limit: u64) -> Result<(), ()> {
    if body.size_hint().lower() > limit { Err(()) } else { Ok(()) }
}

/// A small JSON body.
pub(super) async fn json<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    parse(&whole(body, QUESTION).await?)
}

/// JSON that was read.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::bad("bad_json", format!("the body is not what is asked for here: {error}"))
            .help("GET /openapi.json describes it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_taken_up_to_its_limit() {
        assert_eq!(&whole(Body::from("12345"), 5).await.unwrap()[..], b"12345");
        whole(Body::from("123456"), 5).await.unwrap_err();
        let unannounced = |n: usize| {
            Body::from_stream(futures::stream::iter(
                (0..n).map(|_| Ok::<_, io::Error>(Bytes::from_static(b"ab"))),
            ))
        };
        assert_eq!(&whole(unannounced(2), 5).await.unwrap()[..], b"abab");
        whole(unannounced(3), 5).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_body_that_stalls_or_breaks_ends() {
        let silent = Body::from_stream(futures::stream::pending::<io::Result<Bytes>>());
        let stalled = patient(silent, Duration::from_millis(1)).next().await.unwrap().unwrap_err();
        assert_eq!(ApiError::from_body(&stalled).status(), http::StatusCode::REQUEST_TIMEOUT);
        let broken = Body::from_stream(futures::stream::iter([Err::<Bytes, _>(io::Error::other("gone"))]));
        let error = whole(broken, 5).await.unwrap_err();
        assert_eq!(error.status(), http::StatusCode::BAD_REQUEST);
    }
}
