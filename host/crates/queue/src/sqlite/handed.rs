//! The leases that this process has handed out, by a clock that nobody sets.
//!
//! In the tables a lease runs out by the time of day. A box whose clock is set forward while an attempt runs would take
//! it for lost, and run it twice. Nobody else hands out leases on this file, so what stands here is true.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wicket_core::InvocationId;

/// More than run at once: then those are thrown out whose holder is gone.
const MANY: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Handed(Mutex<HashMap<InvocationId, Instant>>);

impl Handed {
    pub(super) fn hold(&self, id: InvocationId, ttl: Duration) {
        let now = Instant::now();
        let mut until = self.until();
        if until.len() >= MANY {
            until.retain(|_, until| *until > now);
        }
        until.insert(id, now + ttl);
    }

    /// How much longer a lease is held.
    pub(super) fn left(&self, id: InvocationId) -> Duration {
        self.until().get(&id).map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    pub(super) fn end(&self, id: InvocationId) {
        self.until().remove(&id);
    }

    fn until(&self) -> MutexGuard<'_, HashMap<InvocationId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
