//! The thread behind the epochs: it ticks while guests run and sleeps while none does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use wasmtime::Engine;

use crate::WasmError;

/// Between two looks at a running guest: the error of a CPU limit, and the longest turn of one guest before its
/// neighbours get theirs.
pub(crate) const TICK: Duration = Duration::from_millis(2);
/// Ticks without a guest after which the thread sleeps: waking it costs a call into the kernel, so a steady
/// trickle of requests should find it awake.
const IDLE_TICKS: u32 = 100;

/// Owns the thread; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    handle: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    /// Grows with every poll of a guest.
    polls: AtomicU64,
    /// Guests being polled now.
    running: AtomicU64,
    asleep: AtomicBool,
    stop: AtomicBool,
    /// Ticks too, once there is one.
    second: OnceLock<Engine>,
}

/// A guest is on a CPU while this lives.
pub(crate) struct Running<'t>(&'t Ticker);

impl Ticker {
    pub(crate) fn start(engine: Engine) -> Result<Self, WasmError> {
        let shared = Arc::new(Shared::default());
        let inside = shared.clone();
        let thread = std::thread::Builder::new()
            .name("wasm-epoch".to_owned())
            .spawn(move || tick(&inside, &engine))
            .map_err(WasmError::Thread)?;
        let handle = thread.thread().clone();
        Ok(Self { shared, thread: Some(thread), handle })
    }

    /// Ticks for another engine as well; there is one such.
    pub(crate) fn also(&self, engine: Engine) {
        self.shared.second.get_or_init(|| engine);
    }

    /// Makes sure that the thread ticks while a guest is polled.
    pub(crate) fn running(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        self.shared.polls.fetch_add(1, Ordering::Relaxed);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.handle.unpark();
        }
        Running(self)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.shared.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.handle.unpark();
        if let Some(thread) = self.thread.take() {
            // The thread holds nothing that could be poisoned.
            let _ = thread.join();
        }
    }
}

fn tick(shared: &Shared, engine: &Engine) {
    let mut seen = 0;
    let mut idle = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        let polls = shared.polls.load(Ordering::Relaxed);
        let busy = polls != seen || shared.running.load(Ordering::Relaxed) > 0;
        idle = if busy { 0 } else { idle + 1 };
        seen = polls;
        if idle > IDLE_TICKS {
            shared.asleep.store(true, Ordering::SeqCst);
            // A guest that began before it could see `asleep` shows itself here.
            if shared.running.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
                std::thread::park();
            }
            shared.asleep.store(false, Ordering::SeqCst);
            idle = 0;
            continue;
        }
        std::thread::park_timeout(TICK);
        engine.increment_epoch();
        if let Some(second) = shared.second.get() {
            second.increment_epoch();
        }
    }
}
