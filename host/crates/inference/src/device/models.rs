//! The models that a device was asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::calls::Waiting;
use crate::{Backend, Batch, Digest, InferenceError, Model, ModelInfo};

/// A model that ends its worker so often in a row is set aside.
const STRIKES: u32 = 3;

/// Which model: one content on one backend, never [`Backend::Auto`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) digest: Digest,
    pub(crate) backend: Backend,
}

pub(super) type Told = oneshot::Sender<Result<Arc<ModelInfo>, InferenceError>>;

/// A model that was asked for.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) batch: Batch,
    pub(super) pinned: bool,
    /// As it was loaded last.
    pub(super) info: Option<Arc<ModelInfo>>,
    pub(super) load: Load,
    /// Since when it is wanted, while it is not loaded.
    pub(super) wanted: Instant,
    /// Runs under way.
    pub(super) running: usize,
    pub(super) last_used: Instant,
    /// Rows of its last run; before the first, of a whole batch. When so many have come, nobody else is waited for.
    pub(super) together: u64,
    /// Its rows turned out to depend on each other.
    pub(super) not_batched: bool,
    /// How often in a row it ended its worker, what was said then, and when it may be tried again.
    pub(super) strikes: u32,
    pub(super) last_strike: String,
    pub(super) set_aside: Option<Instant>,
    /// Who waits for it to be loaded.
    pub(super) waiters: Vec<Told>,
    pub(super) calls: u64,
    pub(super) runs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    Not,
    Wanted,
    Loading,
    /// By this number in the worker, and taking so many bytes.
    Ready {
        number: u32,
        memory: u64,
    },
}

impl Entry {
    pub(super) fn new(model: &Model) -> Self {
        Self {
            path: model.path.clone(),
            batch: model.batch,
            pinned: model.pinned,
            info: None,
            load: Load::Not,
            wanted: Instant::now(),
            running: 0,
            last_used: Instant::now(),
            together: model.batch.size.into(),
            not_batched: false,
            strikes: 0,
            last_strike: String::new(),
            set_aside: None,
            waiters: Vec::new(),
            calls: 0,
            runs: 0,
        }
    }

    pub(super) fn memory(&self) -> u64 {
        match self.load {
            Load::Ready { memory, .. } => memory,
            Load::Not | Load::Wanted | Load::Loading => 0,
        }
    }

    pub(super) fn batchable(&self) -> bool {
        self.batch.size > 1 && !self.not_batched && self.info.as_ref().is_some_and(|info| info.batchable)
    }

    /// How long this call may wait for others to join it: never most of the time that it has.
    pub(super) fn window(&self, call: &Waiting) -> Option<Duration> {
        let waits = self.batchable() && !call.alone && call.rows.is_some() && !self.batch.window.is_zero();
        let time = call.deadline.saturating_duration_since(call.since);
        waits.then(|| self.batch.window.min(time / 4))
    }

    pub(super) fn tell(&mut self, result: Result<&Arc<ModelInfo>, &InferenceError>) {
        if self.load != Load::Not && result.is_err() {
            self.load = Load::Not;
        }
        self.waiters.drain(..).for_each(|told| drop(told.send(result.cloned().map_err(Clone::clone))));
    }

    /// Why it is not tried for now.
    pub(super) fn refusal(&self, digest: &Digest) -> Option<InferenceError> {
        let again = self.set_aside?.checked_duration_since(Instant::now())?;
        Some(InferenceError::SetAside { model: name(digest), why: self.last_strike.clone(), again })
    }

    /// It ended its worker.
    pub(super) fn strike(&mut self, why: &str, back_off: Duration) {
        self.strikes += 1;
        self.last_strike = why.to_owned();
        if let Some(over) = self.strikes.checked_sub(STRIKES) {
            self.set_aside = Some(Instant::now() + back_off * (1 << over.min(4)));
        }
    }
}

/// A model as people are told of it.
pub(super) fn name(digest: &Digest) -> String {
    digest.chars().take(12).collect()
}
