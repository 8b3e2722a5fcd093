//! One device: who runs next on it, what is loaded on it, and its worker.
//!
//! Everything is decided under one lock, in whatever thread something happened: a caller that asks, an answer that comes, a
//! time that passes. So a call on an idle device goes straight to the worker, and no task of this host stands between.

mod answer;
mod calls;
mod dispatch;
mod end;
mod load;
mod models;
mod status;
mod worker;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::memory::Pool;
use crate::queue::Queue;
use crate::{InferenceError, Settings, Target};

pub(crate) use calls::{Pending, Request};
pub(crate) use models::Key;
pub use status::{DeviceStatus, ModelStatus};

use calls::{Run, Waiting};
use load::Loading;
use models::Entry;
use worker::Life;

/// What all devices share.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) settings: Arc<Settings>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the service is closed.
    pub(crate) closed: CancellationToken,
}

/// A device.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) target: Target,
    host: Host,
    /// Something was decided that has a time: see [`Device::keep_time`].
    wake: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    life: Life,
    /// Ends the worker whose number this is, at once.
    kill: CancellationToken,
    /// Workers so far.
    generation: u64,
    crashes: u64,
    onnxruntime: Option<Result<String, String>>,
    /// Who wants to know that the worker is up.
    hopes: Vec<oneshot::Sender<Result<(), InferenceError>>>,
    models: HashMap<Key, Entry>,
    /// Models to be loaded, in their order.
    wanted: VecDeque<Key>,
    loading: Option<Loading>,
    queue: Queue<Waiting>,
    /// Calls that were under way when the worker ended: tried again, each with nothing beside it, so that the one to
    /// blame is found.
    suspects: VecDeque<Waiting>,
    runs: HashMap<u64, Run>,
    /// When it was last looked which calls may go. A window that ended since then is still to be acted on.
    looked: Instant,
    /// When [`Device::keep_time`] looks next by itself.
    keeps: Option<Instant>,
    /// The last number given to a call, a run or a model in a worker.
    number: u64,
}

impl Device {
    pub(crate) fn new(target: Target, host: Host) -> Arc<Self> {
        let state = State {
            life: Life::None,
            kill: CancellationToken::new(),
            generation: 0,
            crashes: 0,
            onnxruntime: None,
            hopes: Vec::new(),
            models: HashMap::new(),
            wanted: VecDeque::new(),
            loading: None,
            queue: Queue::new(),
            suspects: VecDeque::new(),
            runs: HashMap::new(),
            looked: Instant::now(),
            keeps: None,
            number: 0,
        };
        let device = Arc::new(Self { target, host, wake: Notify::new(), state: Mutex::new(state) });
        device.host.tasks.spawn(device.clone().keep_time());
        device
    }

    fn settings(&self) -> &Settings {
        &self.host.settings
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is done under the lock that leaves it half done when it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is due when its time has come.
    async fn keep_time(self: Arc<Self>) {
        loop {
            let next = self.state().keep_next_time();
            let time = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.host.closed.cancelled() => break,
                () = self.wake.notified() => {}
                () = time => self.time_passed(),
            }
        }
        self.close();
    }

    /// Wakes the keeper of time where something is due before it looks by itself: most calls need no time kept.
    fn wake_in_time(&self, state: &State) {
        let Some(next) = state.next_time() else { return };
        if state.keeps.is_none_or(|keeps| next < keeps) {
            self.wake.notify_one();
        }
    }

    /// Ends what takes too long, and tries what had to wait.
    fn time_passed(self: &Arc<Self>) {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(run) = state.runs.values_mut().find(|run| run.kill_at.is_some_and(|at| at <= now)) {
            run.overdue = true;
            state.kill("a run did not end when it was told to");
        }
        if state.loading.as_ref().is_some_and(|loading| loading.until <= now) {
            let after = self.settings().load_timeout;
            state.kill(&format!("a model was not loaded within {after:?}"));
        }
        if matches!(&state.life, Life::Starting { until, .. } if *until <= now) {
            state.kill("it did not start in time");
        }
        self.dispatch(&mut state);
    }

    fn close(&self) {
        let mut state = self.state();
        state.kill.cancel();
        let calls = state.queue.remove(|_| true);
        for call in calls.into_iter().chain(state.suspects.drain(..).collect::<Vec<_>>()) {
            call.fail(InferenceError::Closed);
        }
        for (_, run) in state.runs.drain() {
            run.calls.into_iter().for_each(|call| call.fail(InferenceError::Closed));
        }
        state.fail_all_hopes(&InferenceError::Closed);
        state.models.clear();
    }
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn keep_next_time(&mut self) -> Option<Instant> {
        self.keeps = self.next_time();
        self.keeps
    }

    fn has_windows(&self) -> bool {
        self.models.values().any(|entry| !entry.batch.window.is_zero())
    }

    /// When something is due at the latest.
    fn next_time(&self) -> Option<Instant> {
        let runs = self.runs.values().filter_map(|run| run.kill_at);
        let loading = self.loading.as_ref().map(|loading| loading.until);
        let window = |call: &Waiting| Some(call.since + self.models.get(&call.key)?.window(call)?);
        let queue = self.has_windows().then(|| self.queue.iter().filter_map(window));
        // What was over when it was last looked at waits for something else than time.
        let windows = queue.into_iter().flatten().filter(|at| *at > self.looked);
        let starting = match &self.life {
            Life::Starting { until, .. } => Some(*until),
            _ => None,
        };
        runs.chain(loading).chain(windows).chain(starting).min()
    }

    fn kill(&mut self, why: &str) {
        if !self.kill.is_cancelled() {
            tracing::warn!(why, "an inference worker is killed");
            self.kill.cancel();
        }
    }
}
