//! What an answer has said by the time its guest is over, and whether it is an answer at all.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use wasmtime_wasi_http::WasiBody;
use wicket_core::Failure;

use crate::AnswerBody;
use crate::meter::Meter;

/// Bytes of an answer that are sent as one; of a longer one the rest is streamed.
const WHOLE: u64 = 2 << 20;

/// What an answer has said so far.
#[derive(Default)]
pub(super) struct Gathered {
    first: Bytes,
    rest: BytesMut,
    trailers: Option<HeaderMap>,
    pub(super) size: u64,
}

pub(super) enum Step {
    /// That was all.
    Whole,
    /// There may be more, later.
    More,
    Failed(Failure),
}

impl Gathered {
    /// Takes what is there.
    fn take(&mut self, body: &mut WasiBody, meter: &Meter, cx: &mut Context<'_>) -> Step {
        while self.size <= WHOLE {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Step::More,
                Poll::Ready(None) => return Step::Whole,
                Poll::Ready(Some(Err(_))) => return Step::Failed(unfinished()),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        if let Err(tripped) = meter.wrote(data.len() as u64) {
                            return Step::Failed(meter.failure(tripped.0));
                        }
                        self.size += data.len() as u64;
                        if self.first.is_empty() {
                            self.first = data;
                        } else {
                            self.rest.extend_from_slice(&data);
                        }
                    }
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
            }
        }
        Step::More
    }

    pub(super) fn bytes(&mut self) -> Bytes {
        if self.rest.is_empty() {
            return std::mem::take(&mut self.first);
        }
        [std::mem::take(&mut self.first), self.rest.split().freeze()].concat().into()
    }

    pub(super) fn body(mut self) -> AnswerBody {
        let body = Full::new(self.bytes());
        match self.trailers {
            None => body.map_err(|never| match never {}).boxed_unsync(),
            Some(trailers) => body
                .with_trailers(std::future::ready(Some(Ok(trailers))))
                .map_err(|never| match never {})
                .boxed_unsync(),
        }
    }
}

pub(super) fn unfinished() -> Failure {
    Failure::Function { message: "it did not finish the body of its answer".to_owned(), permanent: false }
}

/// The length that an answer's head announces for its body. An answer to HEAD, and some others, announce what they do
/// not send.
pub(super) fn announced(parts: &http::response::Parts, head: bool) -> Option<u64> {
    if head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return None;
    }
    parts.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// An answer that is none: a client, or a proxy before this host, would wait for another one on the same connection.
pub(super) fn check(parts: &http::response::Parts) -> Result<(), Failure> {
    if parts.status.is_informational() {
        let message = format!("it answered with the status {}, which ends no request", parts.status);
        return Err(Failure::Function { message, permanent: false });
    }
    Ok(())
}

pub(super) fn short(announced: u64, sent: u64) -> Failure {
    let message = format!("its answer announces {announced} bytes and has {sent}");
    Failure::Function { message, permanent: false }
}

pub(super) async fn gather(gathered: &mut Gathered, body: &mut WasiBody, meter: &Meter) -> Step {
    // Outside of tokio's budget: with that used up, a channel says that it is empty when it is not.
    tokio::task::unconstrained(poll_fn(|cx| Poll::Ready(gathered.take(body, meter, cx)))).await
}
