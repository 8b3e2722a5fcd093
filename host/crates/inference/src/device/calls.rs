//! Calls, from when they come until they are answered.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Device, Key, State};
use crate::{Backend, InferenceError, Tensor};

/// A call that was checked against its model.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) key: Key,
    pub(crate) service: Arc<str>,
    /// In the model's order.
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) deadline: Instant,
}

/// What a run gave one call.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) outputs: Vec<Tensor>,
    pub(crate) queue: Duration,
    pub(crate) inference: Duration,
    pub(crate) batch: u32,
    pub(crate) backend: Backend,
}

type Outcome = Result<Done, InferenceError>;

/// A call that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: u64,
    pub(super) key: Key,
    pub(super) service: Arc<str>,
    pub(super) inputs: Vec<Tensor>,
    pub(super) rows: Option<Rows>,
    pub(super) since: Instant,
    pub(super) deadline: Instant,
    /// Never put together with others: it was once, and that went wrong.
    pub(super) alone: bool,
    /// How often its worker ended.
    pub(super) tries: u32,
    pub(super) running: Arc<AtomicBool>,
    pub(super) tell: oneshot::Sender<Outcome>,
}

/// What a call would bring to a batch.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) count: u64,
    /// All other dimensions of all inputs: calls go together when they are equal.
    pub(super) others: Vec<Vec<u64>>,
}

impl Rows {
    /// None when the inputs do not have the same number of rows, or none at all.
    fn of(inputs: &[Tensor]) -> Option<Self> {
        let count = *inputs.first()?.shape().first()?;
        let same = inputs.iter().all(|input| input.shape().first() == Some(&count));
        let others = inputs.iter().map(|input| input.shape().get(1..).unwrap_or_default().to_vec());
        (same && count > 0).then(|| Self { count, others: others.collect() })
    }
}

impl Waiting {
    pub(super) fn fail(self, error: InferenceError) {
        // The caller may be gone.
        let _ = self.tell.send(Err(error));
    }

    pub(super) fn abandoned(&self) -> bool {
        self.tell.is_closed()
    }
}

/// Calls that run together.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) key: Key,
    pub(super) calls: Vec<Waiting>,
    pub(super) since: Instant,
    /// The worker was told to end it, and is killed at this time.
    pub(super) kill_at: Option<Instant>,
    /// It is why the worker is killed.
    pub(super) overdue: bool,
}

/// An answer to come. Dropping it cancels the call.
#[derive(Debug)]
pub(crate) struct Pending {
    device: Arc<Device>,
    id: u64,
    running: Arc<AtomicBool>,
    told: Option<oneshot::Receiver<Outcome>>,
}

impl Pending {
    /// Becomes true when its run begins.
    pub(crate) fn running(&self) -> Arc<AtomicBool> {
        self.running.clone()
    }
}

impl Future for Pending {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let Some(told) = &mut self.told else { return Poll::Ready(Err(InferenceError::Closed)) };
        Pin::new(told).poll(context).map(|told| {
            self.told = None;
            // A call that is dropped untold belongs to a device that was closed.
            told.unwrap_or(Err(InferenceError::Closed))
        })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Closed first: that is how the device sees that nobody waits.
        if self.told.take().is_some() {
            self.device.abandon(self.id);
        }
    }
}

impl Device {
    /// Takes a call; it runs when its turn comes.
    pub(crate) fn submit(self: &Arc<Self>, request: Request) -> Result<Pending, InferenceError> {
        let Request { key, service, inputs, deadline } = request;
        let rows = Rows::of(&inputs);
        let (tell, told) = oneshot::channel();
        let running = Arc::new(AtomicBool::new(false));
        let mut state = self.state();
        if self.host.closed.is_cancelled() {
            return Err(InferenceError::Closed);
        }
        self.room(&state, &service)?;
        let id = state.next_number();
        state.queue.push(
            &service.clone(),
            Waiting {
                id,
                key,
                service,
                inputs,
                rows,
                since: Instant::now(),
                deadline,
                alone: false,
                tries: 0,
                running: running.clone(),
                tell,
            },
        );
        self.dispatch(&mut state);
        drop(state);
        Ok(Pending { device: self.clone(), id, running, told: Some(told) })
    }

    fn room(&self, state: &State, service: &str) -> Result<(), InferenceError> {
        let settings = self.settings();
        let busy = |what, limit: usize| Err(InferenceError::Busy { what, limit: limit as u64 });
        if state.queue.len_of(service) >= settings.service_queue {
            return busy(format!("the queue of {service} for {}", self.target), settings.service_queue);
        }
        if state.queue.len() >= settings.queue {
            return busy(format!("the queue for {}", self.target), settings.queue);
        }
        Ok(())
    }

    /// Nobody waits for this call any more.
    fn abandon(self: &Arc<Self>, id: u64) {
        let mut state = self.state();
        let waiting = state.queue.remove(|call| call.id == id);
        let n_suspects = state.suspects.len();
        state.suspects.retain(|call| call.id != id);
        if !waiting.is_empty() || state.suspects.len() < n_suspects {
            // What waited behind it may go now.
            self.dispatch(&mut state);
            return;
        }
        let grace = self.settings().grace;
        let is = |run: &Run| run.calls.iter().any(|call| call.id == id);
        let Some((number, run)) = state.runs.iter_mut().find(|(_, run)| is(run)) else { return };
        if run.kill_at.is_some() || !run.calls.iter().all(Waiting::abandoned) {
            return;
        }
        // Whoever merely left gives the run the time that the call had: killing a worker costs the others.
        let latest = run.calls.iter().map(|call| call.deadline).max();
        run.kill_at = Some(latest.map_or_else(Instant::now, |latest| latest.max(Instant::now())) + grace);
        let number = *number;
        state.tell_to_cancel(number);
        self.wake.notify_one();
    }
}
