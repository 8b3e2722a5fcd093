//! What is loaded on a device, and what has to go for it.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use tokio::sync::oneshot;

use super::calls::Waiting;
use super::models::{Entry, Key, Load, name};
use super::{Device, State};
use crate::wire::{Fault, Loaded, ToWorker};
use crate::{Backend, InferenceError, Model, ModelInfo};

/// Models that are remembered while they are not loaded.
const MOST_MODELS: usize = 1024;

/// The model that the worker loads: one after the other, so that each is measured.
#[derive(Debug)]
pub(super) struct Loading {
    pub(super) key: Key,
    number: u32,
    since: Instant,
    pub(super) until: Instant,
}

impl Device {
    /// What the model's backend is on this device, which must be up.
    pub(crate) fn key(&self, model: &Model) -> Result<Key, InferenceError> {
        let state = self.state();
        let missing = match &state.onnxruntime {
            Some(Ok(_)) => None,
            Some(Err(why)) => Some(why.clone()),
            None => Some("the worker is not up".to_owned()),
        };
        let backend = match (model.backend, missing) {
            (Backend::Auto, Some(_)) | (Backend::Builtin, _) => Backend::Builtin,
            (Backend::Auto | Backend::OnnxRuntime, None) => Backend::OnnxRuntime,
            (Backend::OnnxRuntime, Some(why)) => {
                let help = "let the set-up fetch its library, or let the model have another backend";
                return Err(InferenceError::NoLibrary {
                    backend: Backend::OnnxRuntime.to_string(),
                    why,
                    help: help.into(),
                });
            }
        };
        Ok(Key { digest: model.digest.clone(), backend })
    }

    /// Waits until a model is loaded; says at once what is known of one that is.
    pub(crate) async fn prepare(
        self: &Arc<Self>,
        model: &Model,
        key: &Key,
    ) -> Result<Arc<ModelInfo>, InferenceError> {
        let told = {
            let mut state = self.state();
            // Looked at under the lock: whoever closes takes it afterwards, and fails who waits.
            if self.host.closed.is_cancelled() {
                return Err(InferenceError::Closed);
            }
            state.forget_some();
            let entry = state.models.entry(key.clone()).or_insert_with(|| Entry::new(model));
            entry.path.clone_from(&model.path);
            entry.batch = model.batch;
            entry.pinned |= model.pinned;
            entry.last_used = Instant::now();
            if let Some(refusal) = entry.refusal(&key.digest) {
                return Err(refusal);
            }
            if let (Load::Ready { .. }, Some(info)) = (entry.load, &entry.info) {
                return Ok(info.clone());
            }
            let (tell, told) = oneshot::channel();
            entry.waiters.push(tell);
            state.want(key);
            self.dispatch(&mut state);
            told
        };
        told.await.unwrap_or(Err(InferenceError::Closed))
    }

    pub(crate) fn release(self: &Arc<Self>, key: &Key) {
        let mut state = self.state();
        let Some(entry) = state.models.get_mut(key) else { return };
        entry.pinned = false;
        let idle = entry.running == 0 && !state.queue.iter().any(|call| call.key == *key);
        if idle {
            state.unload(key);
            self.dispatch(&mut state);
        }
    }

    /// Bytes that models on this device may have.
    pub(super) fn budget(&self) -> u64 {
        match self.target {
            crate::Target::Cpu => self.settings().cpu_memory,
            crate::Target::Gpu(_) => self.settings().gpu_memory,
        }
    }

    /// Has the worker load the next model that is wanted, if there is room. While that has to wait for room, those after it
    /// may come that fit beside what is there.
    pub(super) fn start_load(self: &Arc<Self>, state: &mut State) {
        let mut waiting = VecDeque::new();
        while state.loading.is_none()
            && let Some(key) = state.wanted.pop_front()
        {
            match self.load(state, &key, waiting.is_empty()) {
                Ok(true) => {}
                // When a run ends there may be room.
                Ok(false) => waiting.push_back(key),
                Err(error) => state.not_loaded(&key, &error),
            }
        }
        waiting.append(&mut state.wanted);
        state.wanted = waiting;
    }

    fn load(
        self: &Arc<Self>,
        state: &mut State,
        key: &Key,
        may_unload: bool,
    ) -> Result<bool, InferenceError> {
        let Some(entry) = state.models.get(key) else { return Ok(true) };
        if let Some(refusal) = entry.refusal(&key.digest) {
            return Err(refusal);
        }
        let bad = |why| InferenceError::BadModel { model: name(&key.digest), why };
        let at = entry.path.display();
        let (file, size) = open(&entry.path).map_err(|error| bad(format!("opening {at}: {error}")))?;
        let independent = entry.batch.independent;
        let limit = self.settings().max_model;
        if size > limit {
            let what = format!("the file of model {}", name(&key.digest));
            return Err(InferenceError::TooLarge { what, size, limit });
        }
        // What it took last time is the best guess; a new one takes at least its file.
        let guess = entry.info.as_ref().map_or(size, |info| info.memory);
        if !self.make_room(state, key, guess, may_unload)? {
            return Ok(false);
        }
        let number = state.next_number() as u32;
        let Some(link) = state.link().cloned() else { return Ok(false) };
        let now = Instant::now();
        state.loading =
            Some(Loading { key: key.clone(), number, since: now, until: now + self.settings().load_timeout });
        state.set(key, Load::Loading);
        self.wake.notify_one();
        let message =
            ToWorker::Load { model: number, backend: key.backend, name: key.digest.to_string(), independent };
        if let Err(error) = link.send(&message, Some(file.as_fd())) {
            state.kill(&error.to_string());
        }
        Ok(true)
    }

    /// Unloads what was not used for longest until so many bytes are free; says whether they are. A model for which calls
    /// waited before this one was wanted stays until they have run: two that do not fit together would unload each
    /// other for ever, and neither run.
    fn make_room(
        &self,
        state: &mut State,
        key: &Key,
        size: u64,
        may_unload: bool,
    ) -> Result<bool, InferenceError> {
        let limit = self.budget();
        let pinned: u64 = state.models.values().filter(|entry| entry.pinned).map(Entry::memory).sum();
        if size.saturating_add(pinned) > limit {
            let beside =
                if pinned > 0 { format!(" beside {pinned} bytes of pinned models") } else { String::new() };
            let what = format!("model {} on {}{beside}", name(&key.digest), self.target);
            return Err(InferenceError::TooLarge { what, size, limit });
        }
        let wanted = state.models.get(key).map_or_else(Instant::now, |entry| entry.wanted);
        // Suspects go before all calls that wait.
        let before = |call: &&Waiting| call.since <= wanted && state.suspects.is_empty();
        let needed: HashSet<Key> = state.queue.iter().filter(before).map(|call| call.key.clone()).collect();
        let used: u64 = state.models.values().map(Entry::memory).sum();
        let mut missing = used.saturating_add(size).saturating_sub(limit);
        let goes = |(other, entry): &(&Key, &Entry)| {
            let may = !entry.pinned && entry.running == 0 && !needed.contains(*other);
            *other != key && entry.memory() > 0 && may
        };
        let mut rested: Vec<(&Key, &Entry)> = state.models.iter().filter(goes).collect();
        // Nothing goes in vain.
        if missing > 0
            && (!may_unload || rested.iter().map(|(_, entry)| entry.memory()).sum::<u64>() < missing)
        {
            return Ok(false);
        }
        rested.sort_by_key(|(_, entry)| entry.last_used);
        let mut gone = Vec::new();
        for (other, entry) in rested {
            if missing == 0 {
                break;
            }
            missing = missing.saturating_sub(entry.memory());
            gone.push(other.clone());
        }
        for other in gone {
            tracing::info!(model = %other.digest, device = %self.target, "a model is unloaded to make room");
            state.unload(&other);
        }
        Ok(true)
    }

    pub(super) fn loaded(
        self: &Arc<Self>,
        state: &mut State,
        number: u32,
        loaded: Loaded,
    ) -> Result<(), String> {
        let Some(loading) = state.loading.take_if(|loading| loading.number == number) else {
            return Err(format!("model {number}, which it was not to load"));
        };
        let key = loading.key;
        // Room for what it takes in truth; others may be in use and have to go later.
        let room = self.make_room(state, &key, loaded.memory, true);
        state.set(&key, Load::Ready { number, memory: loaded.memory });
        if let Err(error) = room {
            state.unload(&key);
            state.not_loaded(&key, &error);
            return Ok(());
        }
        let Some(entry) = state.models.get_mut(&key) else { return Ok(()) };
        let info = Arc::new(ModelInfo {
            inputs: loaded.inputs,
            outputs: loaded.outputs,
            backend: loaded.backend,
            device: self.target,
            fallback: false,
            memory: loaded.memory,
            batchable: loaded.batchable,
            load: loading.since.elapsed(),
        });
        entry.info = Some(info.clone());
        entry.last_used = Instant::now();
        entry.tell(Ok(&info));
        Ok(())
    }

    pub(super) fn load_failed(&self, state: &mut State, number: u32, fault: Fault) -> Result<(), String> {
        let Some(loading) = state.loading.take_if(|loading| loading.number == number) else {
            return Err(format!("model {number}, which it was not to load"));
        };
        let error = super::answer::error(fault, &loading.key);
        state.not_loaded(&loading.key, &error);
        Ok(())
    }
}

impl State {
    /// Of models that are not loaded nothing need be known but whether they do harm.
    fn forget_some(&mut self) {
        if self.models.len() >= MOST_MODELS {
            let now = Instant::now();
            let matters = |entry: &Entry| {
                entry.load != Load::Not
                    || entry.running > 0
                    || entry.set_aside.is_some_and(|until| until > now)
            };
            self.models.retain(|_, entry| matters(entry));
        }
    }

    pub(super) fn want(&mut self, key: &Key) {
        if let Some(entry) = self.models.get_mut(key)
            && entry.load == Load::Not
        {
            entry.load = Load::Wanted;
            entry.wanted = Instant::now();
            self.wanted.push_back(key.clone());
        }
    }

    fn set(&mut self, key: &Key, load: Load) {
        if let Some(entry) = self.models.get_mut(key) {
            entry.load = load;
        }
    }

    fn unload(&mut self, key: &Key) {
        let Some(entry) = self.models.get_mut(key) else { return };
        let Load::Ready { number, .. } = entry.load else { return };
        entry.load = Load::Not;
        if let Some(link) = self.link().cloned()
            && let Err(error) = link.send(&ToWorker::Unload { model: number }, None)
        {
            self.kill(&error.to_string());
        }
    }

    /// Fails everybody who waits for this model.
    pub(super) fn not_loaded(&mut self, key: &Key, error: &InferenceError) {
        if let Some(entry) = self.models.get_mut(key) {
            entry.load = Load::Not;
            entry.tell(Err(error));
        }
        let (suspects, kept): (VecDeque<Waiting>, _) =
            self.suspects.drain(..).partition(|call| call.key == *key);
        self.suspects = kept;
        for call in self.queue.remove(|call| call.key == *key).into_iter().chain(suspects) {
            call.fail(error.clone());
        }
    }
}

/// A file and its size. What is no file is not waited for.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?;
    let file = File::from(file);
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("not a file"));
    }
    Ok((file, about.len()))
}
