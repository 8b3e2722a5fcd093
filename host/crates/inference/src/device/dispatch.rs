//! Whose turn it is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::calls::{Run, Waiting};
use super::models::{Key, Load};
use super::{Device, State};
use crate::InferenceError;
use crate::link::Link;
use crate::wire::{Place, ToWorker};

/// Most calls of one run: what names their tensors must fit into one message.
const MOST_CALLS: usize = 64;
/// Most tensors of one run, for the same reason.
const MOST_TENSORS: usize = 256;

impl Device {
    /// Does all that can be done now.
    pub(super) fn dispatch(self: &Arc<Self>, state: &mut State) {
        let idle = state.queue.len() == 0
            && state.suspects.is_empty()
            && state.wanted.is_empty()
            && state.hopes.is_empty();
        if idle {
            return;
        }
        state.looked = Instant::now();
        let Some(link) = state.link().cloned() else { return self.start_worker(state) };
        while state.runs.len() < self.settings().runs.max(1) {
            state.want_what_is_needed();
            self.start_load(state);
            let calls = match state.suspects.is_empty() {
                true => self.next_calls(state),
                // One after the other, and nothing beside it.
                false if state.runs.is_empty() && state.loading.is_none() => {
                    let ready = state.suspects.iter().position(|call| state.ready(&call.key));
                    ready.and_then(|at| state.suspects.remove(at)).into_iter().collect()
                }
                false => Vec::new(),
            };
            if calls.is_empty() {
                break;
            }
            self.begin(state, &link, calls);
        }
        self.wake_in_time(state);
    }

    /// The call whose turn it is, with those that go together with it.
    fn next_calls(&self, state: &mut State) -> Vec<Waiting> {
        let now = Instant::now();
        let complete = complete(state);
        let State { queue, models, .. } = state;
        let can_go = |call: &Waiting| {
            let Some(entry) = models.get(&call.key) else { return false };
            if !matches!(entry.load, Load::Ready { .. }) {
                return false;
            }
            let waits = |window| !complete.contains(&call.id) && now < call.since + window;
            !entry.window(call).is_some_and(waits)
        };
        let Some(first) = queue.next(can_go) else { return Vec::new() };
        let Some(entry) = models.get(&first.key).filter(|entry| entry.batchable() && !first.alone) else {
            return vec![first];
        };
        let Some(mut rows) = first.rows.as_ref().map(|rows| rows.count) else { return vec![first] };
        let most = (MOST_TENSORS / first.inputs.len().max(1)).clamp(1, MOST_CALLS);
        let mut calls = vec![first];
        while calls.len() < most {
            let more = queue.next(|call| {
                let fits = |other: &super::calls::Rows| {
                    rows.saturating_add(other.count) <= u64::from(entry.batch.size)
                };
                !call.alone && call.rows.as_ref().is_some_and(fits) && group(call) == group(&calls[0])
            });
            let Some(more) = more else { break };
            rows += more.rows.as_ref().map_or(0, |rows| rows.count);
            calls.push(more);
        }
        calls
    }

    /// Sends calls to the worker.
    fn begin(&self, state: &mut State, link: &Arc<Link>, calls: Vec<Waiting>) {
        let Some(key) = calls.first().map(|call| call.key.clone()) else { return };
        let Some(entry) = state.models.get_mut(&key) else { return };
        let Load::Ready { number: model, .. } = entry.load else { return };
        if let Some(rows) = rows(&calls) {
            entry.together = rows;
        }
        entry.running += 1;
        entry.last_used = Instant::now();
        let run = state.next_number();
        let places = calls.iter().map(|call| places(call, link)).collect::<std::io::Result<Vec<_>>>();
        let sent = places.and_then(|calls| link.run(run, model, calls));
        for call in &calls {
            call.running.store(true, Ordering::Relaxed);
        }
        let begun = Run { key: key.clone(), calls, since: Instant::now(), kill_at: None, overdue: false };
        match sent {
            Ok(()) => drop(state.runs.insert(run, begun)),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                state.run_ended(&key);
                let what = InferenceError::host("naming the tensors of a run", error);
                begun.calls.into_iter().for_each(|call| call.fail(what.clone()));
            }
            // The worker is gone, or as good as gone: what was under way is found then.
            Err(error) => {
                state.runs.insert(run, begun);
                state.kill(&error.to_string());
            }
        }
    }
}

impl State {
    /// Models of waiting calls that were unloaded meanwhile.
    fn want_what_is_needed(&mut self) {
        let calls = self.queue.iter().chain(&self.suspects);
        let cold = |key: &Key| self.models.get(key).is_some_and(|entry| entry.load == Load::Not);
        let cold: Vec<Key> = calls.map(|call| &call.key).filter(|key| cold(key)).cloned().collect();
        for key in cold {
            self.want(&key);
        }
    }

    fn ready(&self, key: &Key) -> bool {
        self.models.get(key).is_some_and(|entry| matches!(entry.load, Load::Ready { .. }))
    }

    /// A run of this model is not under way any more.
    pub(super) fn run_ended(&mut self, key: &Key) {
        if let Some(entry) = self.models.get_mut(key) {
            entry.running = entry.running.saturating_sub(1);
        }
    }

    pub(super) fn tell_to_cancel(&mut self, run: u64) {
        if let Some(link) = self.link().cloned()
            && let Err(error) = link.send(&ToWorker::Cancel { run }, None)
        {
            self.kill(&error.to_string());
        }
    }
}

/// What may go together.
fn group(call: &Waiting) -> (&Key, &[Vec<u64>]) {
    (&call.key, call.rows.as_ref().map_or(&[], |rows| &rows.others))
}

/// Rows of calls that may go with others.
fn rows(calls: &[Waiting]) -> Option<u64> {
    calls.iter().map(|call| call.rows.as_ref().filter(|_| !call.alone).map(|rows| rows.count)).sum()
}

/// Calls whose group has as many rows as ran together last, or as go together at most: there is nobody to wait for. None
/// while no model has a window, when nobody asks.
fn complete(state: &State) -> HashSet<u64> {
    if !state.has_windows() {
        return HashSet::new();
    }
    let mut rows: HashMap<_, u64> = HashMap::new();
    let calls = || state.queue.iter().filter(|call| !call.alone);
    for call in calls() {
        *rows.entry(group(call)).or_default() += call.rows.as_ref().map_or(0, |rows| rows.count);
    }
    let wanted = |call: &Waiting| {
        state.models.get(&call.key).map_or(u64::MAX, |entry| entry.together.min(entry.batch.size.into()))
    };
    calls().filter(|call| rows[&group(call)] >= wanted(call)).map(|call| call.id).collect()
}

/// Where the inputs of a call lie; shows the worker those pieces that it has not seen.
fn places(call: &Waiting, link: &Arc<Link>) -> std::io::Result<Vec<Place>> {
    let place = |tensor: &crate::Tensor| {
        let (lease, start) =
            tensor.data().own().ok_or_else(|| std::io::Error::other("a tensor of another worker"))?;
        let piece = lease.introduce(link, |piece, map| {
            let len = map.bytes().len() as u64;
            link.send(&ToWorker::Piece { piece, len }, Some(map.fd()))
        })?;
        Ok(Place { piece, start: start as u64, dtype: tensor.dtype(), shape: tensor.shape().to_vec() })
    };
    call.inputs.iter().map(place).collect()
}
