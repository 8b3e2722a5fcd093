//! A request's body on its way in: nobody waits for it for ever, and what is left of it comes back.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::rechunk::Rechunk;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// So much of a body comes within its patience, or its end. Less is a client that only holds a place.
const LEAST: usize = 16 << 10;

/// The client sends too little, or nothing any more.
#[derive(Debug, thiserror::Error)]
#[error("less than {LEAST} bytes of the body came within {0:?}")]
pub(crate) struct Stalled(Duration);

/// A body on its way in.
pub(crate) struct Arriving {
    body: Option<Incoming>,
    patience: Duration,
    /// Runs from when something was waited for until enough has come.
    late: Option<Pin<Box<Sleep>>>,
    /// Bytes that came meanwhile.
    came: usize,
    rechunk: Option<Rechunk>,
    ready: VecDeque<Bytes>,
    asked: bool,
    back: Option<oneshot::Sender<Unread>>,
}

/// What a request that failed left unread.
pub(crate) struct Unread {
    body: Incoming,
    /// Whether anything of it was asked for: only then may more be read from a client that waits to be asked.
    pub(crate) asked: bool,
}

impl Arriving {
    /// A body; when it is dropped before its end, the rest comes out of the receiver.
    pub(crate) fn new(
        body: Incoming,
        is_chunked: bool,
        patience: Duration,
    ) -> (Self, oneshot::Receiver<Unread>) {
        let (back, unread) = oneshot::channel();
        let arriving = Self {
            body: Some(body),
            patience,
            late: None,
            came: 0,
            rechunk: is_chunked.then(Rechunk::new),
            ready: VecDeque::new(),
            asked: false,
            back: Some(back),
        };
        (arriving, unread)
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let Some(body) = &mut this.body else { return Poll::Ready(None) };
            this.asked = true;
            let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
                let late = this.late.get_or_insert_with(|| Box::pin(sleep(this.patience)));
                ready!(late.as_mut().poll(cx));
                this.body = None;
                return Poll::Ready(Some(Err(Stalled(this.patience).into())));
            };
            let frame = match frame {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    this.body = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => {
                    this.body = None;
                    return Poll::Ready(None);
                }
            };
            // Trailers of HTTP itself carry nothing for us.
            let Ok(bytes) = frame.into_data() else { continue };
            this.came += bytes.len();
            if this.came >= LEAST {
                this.came = 0;
                this.late = None;
            }
            match &mut this.rechunk {
                Some(rechunk) => rechunk.feed(bytes, &mut this.ready)?,
                None => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.rechunk, &self.body) {
            (None, Some(body)) => body.size_hint(),
            (Some(_), _) | (_, None) => SizeHint::default(),
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take())
            && !body.is_end_stream()
        {
            // An error: nobody is interested.
            let _dropped = back.send(Unread { body, asked: self.asked });
        }
    }
}

impl Unread {
    /// Reads on, at most so much for so long: a client that is still sending does not listen to the answer, and a
    /// connection closed on it may take the answer with it.
    pub(crate) async fn drain(mut self, most: u64, patience: Duration) {
        let all = async {
            let mut read = 0;
            while read < most {
                let frame = std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await;
                let Some(Ok(frame)) = frame else { return };
                read += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
            }
        };
        // Late or not, the answer is sent now.
        let _late = tokio::time::timeout(patience, all).await;
    }
}
