//! A request's body on its way to the guest.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::Error;
use wicket_core::Limit;

use crate::AnswerBody;
use crate::meter::Meter;

/// Counts the bytes and stops at the service's limit.
pub(super) struct Limited {
    inner: AnswerBody,
    meter: Arc<Meter>,
    size: u64,
}

impl Limited {
    pub(super) fn new(inner: AnswerBody, meter: Arc<Meter>) -> Self {
        Self { inner, meter, size: 0 }
    }
}

impl Body for Limited {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        polled.map(|frame| {
            Some(match frame? {
                Ok(frame) => {
                    let size = frame.data_ref().map_or(0, |data| data.len() as u64);
                    this.meter.read(size);
                    this.size = this.size.saturating_add(size);
                    let limit = this.meter.limits().body.0;
                    if this.size > limit {
                        this.meter.trip(Limit::Body);
                        Err(Error::HttpRequestBodySize(Some(limit)))
                    } else {
                        Ok(frame)
                    }
                }
                Err(error) => Err(Error::InternalError(Some(error.to_string()))),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
