//! `wasi:http` handlers: a request in, an answer out, both streamed.
//!
//! A guest is polled by the one who waits for its answer. Most have said everything by the time they answer, and
//! never need a task of their own; the others go on in one, which the answer's body owns.

mod answer;
mod deliver;
mod gather;
mod guest;
mod request;
mod reuse;

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use http::Response;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::WasiBody;
use wicket_core::{Deployment, Failure, InvocationId, Limit, LogSink, Objects, Reply, Report};

pub(crate) use self::deliver::deliver;
use self::guest::{Live, Source};
pub(crate) use self::reuse::Shelf;
use crate::library::Loaded;
use crate::meter::{Meter, Metered};
use crate::state::State;
use crate::{Answer, AnswerBody, WasmExecutor};

/// A request for a function.
pub struct HttpCall {
    /// What answers it.
    pub deployment: Arc<Deployment>,
    /// Which invocation this is.
    pub id: InvocationId,
    /// The request. A relative URI needs a `host` header.
    pub request: http::Request<AnswerBody>,
    /// Reads the buckets that the service was granted.
    pub objects: Arc<dyn Objects>,
    /// Takes what the function says.
    pub log: LogSink,
    /// Called once with how it went.
    pub done: Box<dyn FnOnce(Report) + Send>,
}

impl std::fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpCall").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A module, and an instance's place in the pool.
pub(crate) type Entered = (Arc<Loaded>, OwnedSemaphorePermit);
/// An answer, or the error that the guest answered with, as people may read it.
type Said = Result<Response<WasiBody>, String>;
/// Where the guest's answer appears.
type Slot = Arc<Mutex<Option<Said>>>;
/// A guest that runs; it holds its store and its place in the pool, and gives back what may serve again.
type Guest = Pin<Box<dyn Future<Output = Result<Option<Box<Live>>, Failure>> + Send>>;

/// `done`, called exactly once: with the outcome, or, when everything is dropped before there is one, saying so.
pub(crate) struct Done {
    call: Option<Box<dyn FnOnce(Report) + Send>>,
    meter: Arc<Meter>,
}

impl Done {
    fn report(&mut self, result: Result<Reply, Failure>) {
        if let Some(call) = self.call.take() {
            call(Report { result, usage: self.meter.usage() });
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if self.call.is_some() {
            self.report(Err(gone()));
        }
    }
}

/// See [`WasmExecutor::serve`].
pub(crate) async fn serve(executor: &WasmExecutor, call: HttpCall) -> Result<Answer, Failure> {
    let meter = Meter::new(&call.deployment.service.limits);
    let mut done = Done { call: Some(call.done), meter: meter.clone() };
    let mut state = State::new(&call.deployment, &call.log, &meter);
    state.objects = Some(call.objects);
    state.models.clone_from(&executor.models);
    let reuse = call.deployment.service.instance_reuse > 1;
    let kept = reuse.then(|| executor.shelf.take(&call.deployment)).flatten();
    let source = match kept {
        Some(live) => Ok(Source::Again(live)),
        None => match executor.enter(&call.deployment.service).await {
            Ok(entered) if entered.0.code.is_http() => {
                Ok(Source::Fresh(entered, reuse.then(|| call.deployment.clone())))
            }
            Ok(_) => Err(Failure::Host { message: "the service's module is no HTTP handler".to_owned() }),
            Err(failure) => Err(failure),
        },
    };
    match source {
        Ok(source) => answer(executor, source, state, call.request, meter, done).await,
        Err(failure) => {
            done.report(Err(failure.clone()));
            Err(failure)
        }
    }
}

async fn answer(
    executor: &WasmExecutor,
    source: Source,
    state: State,
    request: http::Request<AnswerBody>,
    meter: Arc<Meter>,
    mut done: Done,
) -> Result<Answer, Failure> {
    let slot = Slot::default();
    let head = request.method() == http::Method::HEAD;
    let guest: Guest = Box::pin(guest::run(source, state, request, slot.clone(), meter.clone()));
    let mut guest = Metered { guest, meter: meter.clone(), ticker: executor.ticker.clone() };
    let failure = match first(&mut guest, &slot, &meter).await {
        First::Over(Err(failure)) => failure,
        First::Over(Ok(live)) => match take(&slot) {
            Some(Ok(response)) => return answer::over(executor, response, head, live, meter, done).await,
            Some(Err(code)) => refused(&code),
            None => {
                let message = "it returned without an answer".to_owned();
                Failure::Function { message, permanent: false }
            }
        },
        First::Answered(Ok(response)) => {
            return answer::streamed(executor, response, head, guest, meter, done);
        }
        First::Answered(Err(code)) => refused(&code),
    };
    done.report(Err(failure.clone()));
    Err(failure)
}

enum First {
    /// The guest ended.
    Over(Result<Option<Box<Live>>, Failure>),
    /// The guest answered and goes on.
    Answered(Said),
}

fn take(slot: &Slot) -> Option<Said> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Polls the guest until it ends, or its time is over, or it answered and waits for something.
async fn first(guest: &mut Metered<Guest>, slot: &Slot, meter: &Meter) -> First {
    let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut *guest).poll(cx)));
    if let Poll::Ready(result) = polled.await {
        return First::Over(result);
    }
    // Only now does it need a timer.
    let mut again = false;
    let waiting = poll_fn(|cx| match Pin::new(&mut *guest).poll(cx) {
        Poll::Ready(result) => Poll::Ready(First::Over(result)),
        // It is about to go on by itself.
        Poll::Pending if meter.yielded() => Poll::Pending,
        Poll::Pending if again => take(slot).map_or(Poll::Pending, |said| Poll::Ready(First::Answered(said))),
        Poll::Pending => {
            // One turn more: most are over by then, and need no task of their own.
            again = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match tokio::time::timeout_at(meter.deadline().into(), waiting).await {
        Ok(first) => first,
        Err(_) => {
            meter.trip(Limit::Timeout);
            First::Over(Err(meter.failure(Limit::Timeout)))
        }
    }
}

/// Nobody waits for the answer any more.
fn gone() -> Failure {
    Failure::Cancelled { message: "the client went away before the answer was complete".to_owned() }
}

fn refused(code: &str) -> Failure {
    Failure::Function { message: format!("it answered with the error {code}"), permanent: false }
}
