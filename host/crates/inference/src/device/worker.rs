//! The life of the worker of a device.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Device, State};
use crate::link::{Link, last_words};
use crate::wire::{Hello, MAX_MESSAGE, ToHost, ToWorker};
use crate::{InferenceError, Target};

/// How long a device that cannot be used is not tried again.
const UNUSABLE: Duration = Duration::from_secs(30);

/// The same for a worker that does not start.
const NOT_STARTED: Duration = Duration::from_secs(2);

/// Private memory of a worker without any model: its code, its stacks, its tables.
const BASE: u64 = 512 << 20;

/// Where the worker is in its life.
#[derive(Debug)]
pub(super) enum Life {
    /// None was needed so far, or the last one ended.
    None,
    Starting {
        until: Instant,
    },
    Up {
        link: Arc<Link>,
        process: Option<u32>,
    },
    /// The device cannot be used; nobody asks again before that.
    Unusable {
        why: InferenceError,
        until: Instant,
    },
}

impl Device {
    /// Waits until the worker is up.
    pub(crate) async fn up(self: &Arc<Self>) -> Result<(), InferenceError> {
        let hope = {
            let mut state = self.state();
            match &state.life {
                _ if self.host.closed.is_cancelled() => return Err(InferenceError::Closed),
                Life::Up { .. } => return Ok(()),
                Life::Unusable { why, until } if *until > Instant::now() => return Err(why.clone()),
                _ => {}
            }
            let (tell, hope) = oneshot::channel();
            state.hopes.push(tell);
            self.dispatch(&mut state);
            hope
        };
        hope.await.unwrap_or(Err(InferenceError::Closed))
    }

    /// Starts the worker, unless that was tried in vain just now.
    pub(super) fn start_worker(self: &Arc<Self>, state: &mut State) {
        match &state.life {
            Life::Starting { .. } | Life::Up { .. } => return,
            Life::Unusable { why, until } if *until > Instant::now() => {
                let why = why.clone();
                return state.fail_all(&why);
            }
            Life::None | Life::Unusable { .. } => {}
        }
        if self.host.closed.is_cancelled() {
            return;
        }
        state.generation += 1;
        state.kill = CancellationToken::new();
        state.life = Life::Starting { until: Instant::now() + self.settings().start_timeout };
        self.wake.notify_one();
        let (generation, kill) = (state.generation, state.kill.clone());
        self.host.tasks.spawn(self.clone().follow(generation, kill));
    }

    /// Follows one worker from its start to its end.
    async fn follow(self: Arc<Self>, generation: u64, kill: CancellationToken) {
        let started = Link::start(&self.settings().worker, self.settings().shared_memory);
        let (link, mut child) = match started {
            Ok(started) => started,
            Err(error) => {
                let program = self.settings().worker.program.display();
                let why =
                    InferenceError::host(format_args!("starting the inference worker {program}"), error);
                return self.ended(generation, why, "");
            }
        };
        let words = self.host.tasks.spawn(last_words(child.stderr.take(), self.target));
        let broken = tokio::select! {
            () = kill.cancelled() => Some("killed by the host".to_owned()),
            () = self.host.closed.cancelled() => None,
            broken = self.listen(generation, &link, child.id()) => broken,
        };
        // It may have ended by itself: then this does nothing.
        let _ = child.start_kill();
        let status = child.wait().await;
        let words = words.await.unwrap_or_default();
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let why = broken.map_or_else(|| status.clone(), |broken| format!("{broken} ({status})"));
        let why = if words.is_empty() { why } else { format!("{why}; it said: {words}") };
        tracing::info!(device = %self.target, why, "an inference worker ended");
        let error = InferenceError::host(format_args!("the inference worker of {}", self.target), &why);
        self.ended(generation, error, &why);
    }

    /// Says hello and hears what the worker says; gives what is wrong with it, if it is not simply gone.
    async fn listen(
        self: &Arc<Self>,
        generation: u64,
        link: &Arc<Link>,
        process: Option<u32>,
    ) -> Option<String> {
        if let Err(error) = link.send(&ToWorker::Hello(self.hello()), None) {
            return Some(format!("saying hello to it: {error}"));
        }
        let mut bytes = vec![0; MAX_MESSAGE];
        loop {
            let (message, file) = match link.receive(&mut bytes).await {
                Ok(Some(message)) => message,
                Ok(None) => return None,
                Err(error) => return Some(format!("it said what is not understood: {error}")),
            };
            let taken = match message {
                ToHost::Ready { onnxruntime, device, confined } => {
                    if let (Err(why), Target::Cpu) = (&confined, self.target) {
                        tracing::warn!(
                            why,
                            "the inference worker is not confined: a model that takes it over has the host's rights"
                        );
                    }
                    self.ready(generation, link, process, onnxruntime, device);
                    Ok(())
                }
                message => self.take(generation, link, message, file),
            };
            if let Err(wrong) = taken {
                return Some(format!("it answered wrongly: {wrong}"));
            }
        }
    }

    fn hello(&self) -> Hello {
        let settings = self.settings();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Hello {
            device: self.target,
            onnxruntime: settings.onnxruntime.clone(),
            memory: self.budget().saturating_add(settings.working_memory).saturating_add(BASE),
            gpu_memory: settings.gpu_memory,
            max_model: settings.max_model,
            max_output: settings.max_tensors,
            outputs: settings.shared_memory,
            threads: if settings.threads == 0 { processors.min(8) } else { settings.threads },
            runs: settings.runs.max(1),
        }
    }

    fn ready(
        self: &Arc<Self>,
        generation: u64,
        link: &Arc<Link>,
        process: Option<u32>,
        onnxruntime: Result<String, String>,
        device: Result<(), String>,
    ) {
        let mut state = self.state();
        if generation != state.generation {
            return;
        }
        if let (Err(why), Target::Cpu, true) =
            (&onnxruntime, self.target, self.settings().onnxruntime.is_some())
        {
            tracing::warn!(why, "ONNX Runtime cannot be used; models run on the built-in backend");
        }
        state.onnxruntime = Some(onnxruntime);
        match device {
            Ok(()) => {
                state.life = Life::Up { link: link.clone(), process };
                state.hopes.drain(..).for_each(|hope| drop(hope.send(Ok(()))));
                self.dispatch(&mut state);
            }
            Err(why) => {
                let why = InferenceError::NoDevice {
                    device: self.target.to_string(),
                    why,
                    help: "name another device, or a fallback".into(),
                };
                state.life = Life::Unusable { why: why.clone(), until: Instant::now() + UNUSABLE };
                state.fail_all(&why);
                state.kill.cancel();
            }
        }
    }

    /// The worker is gone.
    fn ended(self: &Arc<Self>, generation: u64, error: InferenceError, why: &str) {
        let mut state = self.state();
        if generation != state.generation || self.host.closed.is_cancelled() {
            return;
        }
        match &state.life {
            // Said already why.
            Life::Unusable { .. } | Life::None => return,
            Life::Starting { .. } => {
                state.crashes += 1;
                let until = Instant::now() + NOT_STARTED;
                state.life = Life::Unusable { why: error.clone(), until };
                state.fail_all(&error);
                return;
            }
            Life::Up { .. } => {}
        }
        state.life = Life::None;
        state.crashes += 1;
        self.find_the_one_to_blame(&mut state, why);
        self.dispatch(&mut state);
    }
}

impl State {
    pub(super) fn link(&self) -> Option<&Arc<Link>> {
        match &self.life {
            Life::Up { link, .. } => Some(link),
            _ => None,
        }
    }

    /// Fails everybody who waits for this device.
    pub(super) fn fail_all(&mut self, error: &InferenceError) {
        let calls =
            self.queue.remove(|_| true).into_iter().chain(self.suspects.drain(..).collect::<Vec<_>>());
        calls.for_each(|call| call.fail(error.clone()));
        self.fail_all_hopes(error);
    }

    pub(super) fn fail_all_hopes(&mut self, error: &InferenceError) {
        self.hopes.drain(..).for_each(|hope| drop(hope.send(Err(error.clone()))));
        self.wanted.clear();
        self.loading = None;
        self.models.values_mut().for_each(|entry| entry.tell(Err(error)));
    }
}
