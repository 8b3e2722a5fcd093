//! Answers that go out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use wicket_wasm::{AnswerBody, BoxError};

/// Answers up to this size are handed to the connection as they are; of a larger one so much at a time.
const PORTION: usize = 64 << 10;

/// Keeps the permit of a call until its answer has gone, when that is large: so the memory of answers that clients are
/// slow to read is bounded by the service's concurrency, and not by the number of connections.
pub(super) fn leaving(body: AnswerBody, permit: Arc<OwnedSemaphorePermit>) -> Body {
    if http_body::Body::size_hint(&body).lower() <= PORTION as u64 {
        return Body::new(body);
    }
    Body::new(Leaving { body, rest: Bytes::new(), _permit: permit })
}

/// A large answer.
struct Leaving {
    body: AnswerBody,
    /// What was said and does not fit into one portion.
    rest: Bytes,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl http_body::Body for Leaving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let size = self.rest.len().min(PORTION);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper().and_then(|upper| upper.checked_add(rest)) {
            hint.set_upper(upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};

    #[tokio::test]
    async fn a_large_answer_goes_in_portions_and_gives_its_permit_back_at_the_end() {
        let permits = Arc::new(tokio::sync::Semaphore::new(1));
        let permit = Arc::new(permits.clone().try_acquire_owned().unwrap());
        let whole: Bytes = (0..PORTION * 2 + 5).map(|n| n as u8).collect();
        let answer = Full::new(whole.clone()).map_err(|never| match never {}).boxed_unsync();
        let mut body = leaving(answer, permit);
        let mut came = Vec::new();
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(whole.len() as u64));
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() <= PORTION && permits.available_permits() == 0);
            came.extend_from_slice(&data);
        }
        drop(body);
        assert_eq!((came == whole, permits.available_permits()), (true, 1));
    }
}
