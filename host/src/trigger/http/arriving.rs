//! Bodies that come in.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

/// So much of a body comes within its patience, or its end. Less is a client that only wants to stay.
const LEAST: usize = 1 << 10;

/// Whether a body of this connection was left unread.
#[derive(Clone, Debug, Default)]
pub(super) struct Left(Arc<AtomicBool>);

impl Left {
    /// Whether one was.
    pub(super) fn any(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// A body did not come.
#[derive(Debug, thiserror::Error)]
#[error("less than {LEAST} bytes of the body came within {0:?}")]
pub(crate) struct TooSlow(Duration);

/// A body that a client sends.
pub(super) struct Arriving {
    inner: Incoming,
    /// How long its next piece may take; none where others see to that.
    patience: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Bytes that came since the timer began.
    came: usize,
    over: bool,
    left: Left,
}

impl Arriving {
    /// Watches over a body. Without patience it may take any time: a guest's time has a limit of its own.
    pub(super) fn new(inner: Incoming, patience: Option<Duration>, left: Left) -> Self {
        let over = inner.is_end_stream();
        Self { inner, patience, timer: None, came: 0, over, left }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = wicket_wasm::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.came += frame.data_ref().map_or(0, Bytes::len);
                if this.came >= LEAST {
                    this.came = 0;
                    this.timer = None;
                }
                this.over |= this.inner.is_end_stream();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => {
                this.over = true;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let Some(patience) = this.patience else { return Poll::Pending };
                let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(patience)));
                timer.as_mut().poll(cx).map(|()| Some(Err(TooSlow(patience).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.over {
            self.left.0.store(true, Relaxed);
        }
    }
}
