//! What a worker answers. It is not trusted: whatever it says is checked before anybody sees it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::calls::{Done, Run, Waiting};
use super::models::{Key, name};
use super::{Device, State};
use crate::link::Link;
use crate::memory::Buffer;
use crate::wire::{Fault, Place, ToHost};
use crate::{InferenceError, Port, Tensor};

/// An output as it came: whose bytes it is, and where they are.
type Column = (Place, usize);

impl Device {
    /// Takes what a worker says.
    ///
    /// # Errors
    ///
    /// What the worker did wrong; it is then ended.
    pub(super) fn take(
        self: &Arc<Self>,
        generation: u64,
        link: &Arc<Link>,
        message: ToHost,
        file: Option<OwnedFd>,
    ) -> Result<(), String> {
        let mut state = self.state();
        if generation != state.generation {
            return Ok(());
        }
        match message {
            ToHost::Ready { .. } => return Err("it was ready before".into()),
            ToHost::Loaded { model, loaded } => self.loaded(&mut state, model, loaded)?,
            ToHost::NotLoaded { model, fault } => self.load_failed(&mut state, model, fault)?,
            ToHost::Ran { run, micros, piece, new, outputs } => {
                link.ran();
                let new = match (new, file) {
                    (Some(len), Some(file)) => Some((file, len)),
                    (None, None) => None,
                    _ => return Err("a piece without its file".into()),
                };
                let lease = link.outputs().lease(link, piece, new)?;
                let ended = state.end(run)?;
                let entry = state.models.get(&ended.key).and_then(|entry| entry.info.clone());
                let info = entry.ok_or("a run of a model that nobody asked for")?;
                let size = lease.bytes().len();
                let split = split(&ended, &info.outputs, outputs, size);
                let Ok(split) = split else {
                    // Put back: the calls are not lost with the worker.
                    state.runs.insert(run, ended);
                    return split.map(drop);
                };
                let tensors = tensors(lease, split)?;
                let inference = Duration::from_micros(micros).min(ended.since.elapsed());
                state.answer(ended, tensors, inference);
            }
            ToHost::NotRan { run, fault } => {
                link.ran();
                let ended = state.end(run)?;
                self.run_failed(&mut state, ended, fault);
            }
        }
        self.dispatch(&mut state);
        Ok(())
    }

    fn run_failed(&self, state: &mut State, run: Run, fault: Fault) {
        if matches!(fault, Fault::Rows) {
            if let Some(entry) = state.models.get_mut(&run.key) {
                entry.not_batched = true;
            }
            tracing::info!(model = %run.key.digest, "a model whose rows depend on each other is not batched any more");
        }
        let together = run.calls.len() > 1;
        let error = error(fault, &run.key);
        for mut call in run.calls {
            // One of them may be to blame: each is tried alone.
            if together && !call.abandoned() {
                call.alone = true;
                call.running.store(false, std::sync::atomic::Ordering::Relaxed);
                state.queue.push_front(&call.service.clone(), call);
            } else {
                call.fail(error.clone());
            }
        }
    }
}

impl State {
    fn end(&mut self, run: u64) -> Result<Run, String> {
        let ended = self.runs.remove(&run).ok_or_else(|| format!("run {run}, which is not under way"))?;
        self.run_ended(&ended.key);
        Ok(ended)
    }

    fn answer(&mut self, run: Run, tensors: Vec<Vec<Tensor>>, inference: Duration) {
        if let Some(entry) = self.models.get_mut(&run.key) {
            entry.strikes = 0;
            entry.set_aside = None;
            entry.runs += 1;
            entry.calls += run.calls.len() as u64;
        }
        let batch = run.calls.len() as u32;
        for (Waiting { tell, inputs, since, .. }, outputs) in std::iter::zip(run.calls, tensors) {
            let queue = run.since.saturating_duration_since(since);
            let done = Done { outputs, queue, inference, batch, backend: run.key.backend };
            // Before the caller goes on: its next call finds their memory, which the caches still have.
            drop(inputs);
            // The caller may be gone.
            let _ = tell.send(Ok(done));
        }
    }
}

/// Which bytes are whose: for each call its outputs. Calls of one run have one row after the other in each output.
fn split(run: &Run, ports: &[Port], outputs: Vec<Place>, size: usize) -> Result<Vec<Vec<Column>>, String> {
    if outputs.len() != ports.len() {
        return Err(format!("{} outputs of {}", outputs.len(), ports.len()));
    }
    let mut calls: Vec<Vec<Column>> = run.calls.iter().map(|_| Vec::with_capacity(ports.len())).collect();
    for (place, port) in std::iter::zip(outputs, ports) {
        let len = crate::tensor::byte_len(place.dtype, &place.shape).map_err(|error| error.to_string())?;
        let start = usize::try_from(place.start).map_err(|error| error.to_string())?;
        if place.dtype != port.dtype || start.checked_add(len).is_none_or(|end| end > size) {
            return Err(format!("output {:?} of the wrong type or outside of its piece", port.name));
        }
        if let [call] = &mut calls[..] {
            call.push((place, len));
            continue;
        }
        let rows: u64 = run.calls.iter().map(count).sum();
        if place.shape.first() != Some(&rows) {
            return Err(format!("output {:?} without its {rows} rows", port.name));
        }
        let row = len / rows as usize;
        let mut at = start;
        for (call, waiting) in std::iter::zip(&mut calls, &run.calls) {
            let mut shape = place.shape.clone();
            shape[0] = count(waiting);
            let len = row * count(waiting) as usize;
            call.push((Place { piece: 0, start: at as u64, dtype: place.dtype, shape }, len));
            at += len;
        }
    }
    Ok(calls)
}

fn count(call: &Waiting) -> u64 {
    call.rows.as_ref().map_or(1, |rows| rows.count)
}

fn tensors(lease: crate::memory::OutputLease, calls: Vec<Vec<Column>>) -> Result<Vec<Vec<Tensor>>, String> {
    let parts = calls.iter().flatten().map(|(place, len)| (place.start as usize, *len));
    let mut buffers = Buffer::output(lease, parts.collect::<Vec<_>>()).into_iter();
    let mut tensor = |(place, _): Column| {
        let buffer = buffers.next().ok_or("no bytes")?;
        Tensor::new(place.dtype, place.shape, buffer).map_err(|error| error.to_string())
    };
    calls.into_iter().map(|call| call.into_iter().map(&mut tensor).collect()).collect()
}

/// What a caller is told.
pub(super) fn error(fault: Fault, key: &Key) -> InferenceError {
    let model = name(&key.digest);
    match fault {
        Fault::Model(why) => InferenceError::BadModel { model, why },
        Fault::Library(why) => InferenceError::NoLibrary {
            backend: key.backend.to_string(),
            why,
            help: "let the model have another backend".into(),
        },
        Fault::Runtime(why) => InferenceError::Runtime { model, why },
        Fault::Cancelled => InferenceError::Runtime { model, why: "it was told to end".into() },
        Fault::Rows => InferenceError::Runtime { model, why: "its rows depend on each other".into() },
        Fault::TooLarge { size, limit } => {
            InferenceError::TooLarge { what: format!("what model {model} reads or gives"), size, limit }
        }
        Fault::Busy { limit } => {
            InferenceError::Busy { what: format!("memory for the outputs of model {model}"), limit }
        }
    }
}

impl Run {
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue || self.kill_at.is_some_and(|at| at <= Instant::now())
    }
}
