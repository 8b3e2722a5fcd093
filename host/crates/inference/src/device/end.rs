//! A worker ended with work under way: who is to blame, and what is tried again.

use super::calls::{Run, Waiting};
use super::models::{Load, name};
use super::{Device, State};
use crate::InferenceError;

impl Device {
    /// A call that was the only one under way is to blame, as is a run that did not end when it was told to. Of several, all
    /// are tried once more, each with nothing beside it.
    pub(super) fn find_the_one_to_blame(&self, state: &mut State, why: &str) {
        let back_off = self.settings().back_off;
        for entry in state.models.values_mut() {
            entry.running = 0;
            if matches!(entry.load, Load::Ready { .. }) {
                entry.load = Load::Not;
            }
        }
        let mut runs: Vec<Run> = state.runs.drain().map(|(_, run)| run).collect();
        let loading = state.loading.take();
        let overdue = runs.iter().any(Run::is_overdue);
        let only = runs.iter().map(|run| run.calls.len()).sum::<usize>() == 1 && loading.is_none();

        for run in runs.extract_if(.., |run| if overdue { run.is_overdue() } else { only }) {
            if let Some(entry) = state.models.get_mut(&run.key) {
                entry.strike(why, back_off);
            }
            let model = name(&run.key.digest);
            for call in run.calls {
                call.fail(InferenceError::Crashed { model: model.clone(), why: why.to_owned() });
            }
        }
        for call in runs.into_iter().flat_map(|run| run.calls) {
            try_again(state, call, why, !overdue);
        }
        if let Some(loading) = loading {
            let Some(entry) = state.models.get_mut(&loading.key) else { return };
            // Loaded again only when somebody asks again.
            entry.strike(why, back_off);
            let error = InferenceError::Crashed { model: name(&loading.key.digest), why: why.to_owned() };
            state.not_loaded(&loading.key, &error);
        }
        state.fail_what_is_set_aside();
    }
}

fn try_again(state: &mut State, mut call: Waiting, why: &str, suspect: bool) {
    if call.abandoned() {
        return;
    }
    call.tries += 1;
    call.running.store(false, std::sync::atomic::Ordering::Relaxed);
    if call.tries > 2 {
        let error = InferenceError::Crashed { model: name(&call.key.digest), why: why.to_owned() };
        call.fail(error);
    } else if suspect {
        state.suspects.push_back(call);
    } else {
        state.queue.push_front(&call.service.clone(), call);
    }
}

impl State {
    fn fail_what_is_set_aside(&mut self) {
        let set_aside = |(key, entry): (&super::Key, &super::models::Entry)| {
            entry.refusal(&key.digest).map(|refusal| (key.clone(), refusal))
        };
        let refusals: Vec<_> = self.models.iter().filter_map(set_aside).collect();
        for (key, refusal) in refusals {
            self.not_loaded(&key, &refusal);
        }
    }
}
