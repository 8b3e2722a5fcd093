//! Instances that wait for another request, for services that asked for it (`instance_reuse`).

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio_util::task::TaskTracker;
use wicket_core::Deployment;

use super::guest::Live;

/// Where they wait. It is bounded in instances, in memory and in time, and gives way to calls that need the place.
#[derive(Debug)]
pub(crate) struct Shelf {
    waiting: Mutex<Waiting>,
    bounds: Bounds,
    /// Calls that want a place in the pool.
    wanted: AtomicUsize,
    sweepers: TaskTracker,
}

#[derive(Debug)]
struct Bounds {
    most: usize,
    memory: u64,
    oldest: Duration,
}

#[derive(Default)]
struct Waiting {
    /// Longest first.
    idle: Vec<(Instant, Box<Live>)>,
    /// Their linear memory, bytes.
    memory: u64,
    /// Whether somebody looks for those that wait too long.
    swept: bool,
    /// Nothing is kept any more.
    closed: bool,
}

impl Waiting {
    fn remove(&mut self, at: usize) -> Box<Live> {
        let (_, live) = self.idle.remove(at);
        self.memory = self.memory.saturating_sub(live.memory());
        live
    }
}

/// A call that waits for a place; instances that come back meanwhile are let go.
pub(crate) struct Wanted<'s>(&'s Shelf);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.wanted.fetch_sub(1, SeqCst);
    }
}

impl Shelf {
    /// Keeps at most so many instances with so many bytes of linear memory, each for so long.
    pub(crate) fn new(most: usize, memory: u64, oldest: Duration) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            bounds: Bounds { most, memory, oldest },
            wanted: AtomicUsize::new(0),
            sweepers: TaskTracker::new(),
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Waiting) -> T) -> T {
        act(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one that waited shortest: its memory is warmest. Only for the very same version of the service.
    pub(super) fn take(&self, deployment: &Arc<Deployment>) -> Option<Box<Live>> {
        self.with(|waiting| {
            let at = waiting.idle.iter().rposition(|(_, live)| live.serves(deployment))?;
            Some(waiting.remove(at))
        })
    }

    /// Keeps an instance for later, or lets it go, or others that waited longer.
    pub(super) fn put(self: &Arc<Self>, live: Box<Live>) {
        let (gone, sweep) = self.with(|waiting| {
            if waiting.closed || self.bounds.oldest.is_zero() {
                return (vec![live], false);
            }
            waiting.memory += live.memory();
            waiting.idle.push((Instant::now(), live));
            let mut gone = Vec::new();
            while waiting.idle.len() > self.bounds.most
                || waiting.memory > self.bounds.memory
                // Under the lock, after it was pushed: whoever wants a place found it there, or is seen here.
                || self.wanted.load(SeqCst) > gone.len() && !waiting.idle.is_empty()
            {
                gone.push(waiting.remove(0));
            }
            let sweep = !waiting.idle.is_empty() && !std::mem::replace(&mut waiting.swept, true);
            (gone, sweep)
        });
        drop(gone);
        if sweep {
            self.sweepers.spawn(sweep_up(Arc::downgrade(self), self.bounds.oldest));
        }
    }

    /// Until the answer is dropped, instances that come back are let go.
    pub(crate) fn want(&self) -> Wanted<'_> {
        self.wanted.fetch_add(1, SeqCst);
        Wanted(self)
    }

    /// Frees a place in the pool. Whether there was one to free.
    pub(crate) fn give_way(&self) -> bool {
        let gone = self.with(|waiting| (!waiting.idle.is_empty()).then(|| waiting.remove(0)));
        gone.is_some()
    }

    /// Lets all go, and keeps none from now on.
    pub(crate) fn close(&self) {
        let gone = self.with(|waiting| {
            waiting.closed = true;
            waiting.memory = 0;
            std::mem::take(&mut waiting.idle)
        });
        drop(gone);
    }

    /// Instances that wait.
    pub(crate) fn len(&self) -> usize {
        self.with(|waiting| waiting.idle.len())
    }
}

/// Lets go what waits too long; ends when nothing waits.
async fn sweep_up(shelf: Weak<Shelf>, oldest: Duration) {
    loop {
        tokio::time::sleep(oldest / 2).await;
        let Some(shelf) = shelf.upgrade() else { return };
        let (old, more) = shelf.with(|waiting| {
            let mut old = Vec::new();
            while waiting.idle.first().is_some_and(|(since, _)| since.elapsed() >= oldest) {
                old.push(waiting.remove(0));
            }
            // Under the lock: whoever puts the next one sees that nobody sweeps.
            waiting.swept = !waiting.idle.is_empty();
            (old, waiting.swept)
        });
        drop(old);
        if !more {
            return;
        }
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting")
            .field("idle", &self.idle.len())
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}
