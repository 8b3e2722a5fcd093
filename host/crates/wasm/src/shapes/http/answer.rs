//! An answer on its way to the client.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::task::JoinHandle;
use wasmtime_wasi_http::WasiBody;
use wicket_core::{Failure, Limit, Reply};

use super::gather::{Gathered, Step, announced, check, gather, short, unfinished};
use super::guest::Live;
use super::{Done, Guest, gone};
use crate::meter::{Meter, Metered};
use crate::{Answer, WasmExecutor};

/// What an answer's body says when it cannot be completed: the connection is broken off, so that no client takes a
/// part for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer was broken off: {0}")]
struct BrokenOff(Failure);

/// The answer of a guest that is over: everything it will ever say stands in the body's buffer, unless the body is not
/// its own.
pub(super) async fn over(
    executor: &WasmExecutor,
    response: Response<WasiBody>,
    head: bool,
    live: Option<Box<Live>>,
    meter: Arc<Meter>,
    mut done: Done,
) -> Result<Answer, Failure> {
    let (parts, mut body) = response.into_parts();
    let mut gathered = Gathered::default();
    let mut step = match check(&parts) {
        Ok(()) => gather(&mut gathered, &mut body, &meter).await,
        Err(failure) => Step::Failed(failure),
    };
    let mut live = live;
    if matches!(step, Step::More) && live.take().is_some() {
        // It holds its body open. As with every other guest, the body ends with the instance.
        step = gather(&mut gathered, &mut body, &meter).await;
    }
    let failure = match (step, announced(&parts, head)) {
        (Step::Failed(failure), _) => failure,
        (Step::Whole, Some(announced)) if announced != gathered.size => short(announced, gathered.size),
        (Step::Whole, _) => {
            if let Some(live) = live {
                executor.shelf.put(live);
            }
            let status = Some(i32::from(parts.status.as_u16()));
            done.report(Ok(Reply { status, ..Reply::default() }));
            return Ok(Response::from_parts(parts, gathered.body()));
        }
        (Step::More, _) => {
            let response = Response::from_parts(parts, body);
            return Ok(stream(executor, response, gathered, head, None, meter, done));
        }
    };
    done.report(Err(failure.clone()));
    Err(failure)
}

/// What the guest's task and the answer's body tell each other. The last of them reports.
struct Shared {
    state: Mutex<Progress>,
    meter: Arc<Meter>,
}

struct Progress {
    done: Done,
    outcome: Option<Result<(), Failure>>,
    /// How the body went, once it is over.
    body: Option<Result<(), Failure>>,
    /// Of the one who waits for more of the body.
    waker: Option<Waker>,
    status: i32,
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut Progress) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn guest_ended(&self, outcome: Result<(), Failure>) {
        self.with(|progress| {
            progress.outcome.get_or_insert(outcome);
            progress.settle();
        });
    }

    fn body_ended(&self, how: Result<(), Failure>) {
        self.with(|progress| {
            progress.body.get_or_insert(how);
            progress.settle();
            if let Some(waker) = progress.waker.take() {
                waker.wake();
            }
        });
    }
}

impl Progress {
    fn settle(&mut self) {
        let (Some(outcome), Some(body)) = (&self.outcome, &self.body) else { return };
        let status = Some(self.status);
        let result = outcome.clone().and(body.clone()).map(|()| Reply { status, ..Reply::default() });
        self.done.report(result);
    }
}

/// The answer of a guest that goes on: it runs in a task of its own, so that its limits hold while the client
/// reads slowly or not at all.
pub(super) fn streamed(
    executor: &WasmExecutor,
    response: Response<WasiBody>,
    head: bool,
    guest: Metered<Guest>,
    meter: Arc<Meter>,
    mut done: Done,
) -> Result<Answer, Failure> {
    let (parts, body) = response.into_parts();
    if let Err(failure) = check(&parts) {
        done.report(Err(failure.clone()));
        return Err(failure);
    }
    let response = Response::from_parts(parts, body);
    Ok(stream(executor, response, Gathered::default(), head, Some(guest), meter, done))
}

fn stream(
    executor: &WasmExecutor,
    response: Response<WasiBody>,
    mut gathered: Gathered,
    head: bool,
    guest: Option<Metered<Guest>>,
    meter: Arc<Meter>,
    done: Done,
) -> Answer {
    let (parts, inner) = response.into_parts();
    let status = i32::from(parts.status.as_u16());
    let progress = Progress { done, outcome: None, body: None, waker: None, status };
    let shared = Arc::new(Shared { state: Mutex::new(progress), meter: meter.clone() });
    let task = executor.tasks.spawn(finish(guest, meter, shared.clone()));
    let body = Streamed {
        before: gathered.bytes(),
        announced: announced(&parts, head),
        sent: 0,
        inner,
        shared,
        task,
        over: false,
    };
    Response::from_parts(parts, body.boxed_unsync())
}

async fn finish(guest: Option<Metered<Guest>>, meter: Arc<Meter>, shared: Arc<Shared>) {
    let deadline = meter.deadline();
    let answered = match guest {
        None => {
            shared.guest_ended(Ok(()));
            true
        }
        Some(mut guest) => {
            let outcome = match tokio::time::timeout_at(deadline.into(), &mut guest).await {
                // Not kept for another request: it may hold this one's body open.
                Ok(outcome) => outcome.map(drop),
                Err(_) => {
                    meter.trip(Limit::Timeout);
                    Err(meter.failure(Limit::Timeout))
                }
            };
            // Before the guest is dropped, which ends the body: whoever sees that end must find the outcome.
            let answered = outcome.is_ok();
            shared.guest_ended(outcome);
            drop(guest);
            answered
        }
    };
    // A client that does not read what is left has the rest of the time for it.
    if answered && shared.with(|progress| progress.body.is_none()) {
        tokio::time::sleep_until(deadline.into()).await;
        meter.trip(Limit::Timeout);
        shared.body_ended(Err(meter.failure(Limit::Timeout)));
    } else {
        shared.body_ended(Ok(()));
    }
}

struct Streamed {
    /// Said before it was known that there is more; counted already.
    before: Bytes,
    announced: Option<u64>,
    sent: u64,
    inner: WasiBody,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    over: bool,
}

type Polled = Poll<Option<Result<Frame<Bytes>, crate::BoxError>>>;

impl Streamed {
    fn end(&mut self, how: Result<(), Failure>) -> Polled {
        self.over = true;
        self.shared.body_ended(how.clone());
        let ended = self.shared.with(|progress| progress.outcome.is_some());
        if ended || how.is_err() {
            // Nothing is left for it to do.
            self.task.abort();
        }
        Poll::Ready(how.err().map(|failure| Err(BrokenOff(failure).into())))
    }

    /// Ends it because of what is wrong with the body itself.
    fn fail(&mut self, failure: Failure) -> Polled {
        self.shared.guest_ended(Err(failure.clone()));
        self.end(Err(failure))
    }

    fn data(&mut self, frame: Frame<Bytes>, counted: bool) -> Polled {
        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.sent += size;
        if let Some(announced) = self.announced.filter(|announced| self.sent > *announced) {
            return self.fail(short(announced, self.sent));
        }
        if !counted && let Err(tripped) = self.shared.meter.wrote(size) {
            let failure = self.shared.meter.failure(tripped.0);
            return self.fail(failure);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    /// Why it was ended by others.
    fn broken(&self) -> Option<Failure> {
        self.shared.with(|progress| match (&progress.outcome, &progress.body) {
            (Some(Err(failure)), _) | (_, Some(Err(failure))) => Some(failure.clone()),
            _ => None,
        })
    }

    /// Nothing is there. Whoever ends it from outside has to wake the one who waits.
    fn wait(&mut self, cx: &Context<'_>) -> Polled {
        let ended = self.shared.with(|progress| {
            progress.waker = Some(cx.waker().clone());
            progress.body.clone().and_then(Result::err)
        });
        ended.map_or(Poll::Pending, |failure| self.end(Err(failure)))
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = crate::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        if !this.before.is_empty() {
            let before = std::mem::take(&mut this.before);
            return this.data(Frame::data(before), true);
        }
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            return this.wait(cx);
        };
        match frame {
            Some(Ok(frame)) => this.data(frame, false),
            // The guest finished its body properly, or it is gone and the channel with it.
            None => match (this.broken(), this.announced) {
                (Some(failure), _) => this.end(Err(failure)),
                (None, Some(announced)) if announced != this.sent => {
                    let failure = short(announced, this.sent);
                    this.fail(failure)
                }
                (None, _) => this.end(Ok(())),
            },
            Some(Err(_)) => {
                let failed = this.shared.with(|progress| progress.outcome.clone()).and_then(Result::err);
                this.end(Err(failed.unwrap_or_else(unfinished)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.before.is_empty() { self.inner.size_hint() } else { SizeHint::default() }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // With a length in its head, an answer is complete before its end is asked for.
        if self.before.is_empty() && (self.inner.is_end_stream() || self.announced == Some(self.sent)) {
            self.shared.body_ended(Ok(()));
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.inner).poll_frame(&mut cx) {
            Poll::Ready(None) if self.before.is_empty() => self.shared.body_ended(Ok(())),
            _ => {
                let gone = Err(gone());
                self.shared.guest_ended(gone.clone());
                self.shared.body_ended(gone);
                self.task.abort();
            }
        }
    }
}
