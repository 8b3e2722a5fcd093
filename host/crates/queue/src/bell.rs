//! Wakes those who wait for work, without polling.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use wicket_config::ServiceName;
use wicket_core::{QueueError, Timestamp};

/// The longest sleep of a waiter that knows when its time comes. A wall clock may be set while it sleeps: a box
/// without a clock of its own starts in 1970.
const NAP: Duration = Duration::from_secs(30);

/// What changed for those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    /// There may be work now.
    Now,
    /// There may be work earlier than they think.
    Later,
}

/// One bell for each service.
#[derive(Debug, Default)]
pub(crate) struct Bells {
    bells: Mutex<HashMap<ServiceName, Arc<Bell>>>,
}

#[derive(Debug, Default)]
struct Bell {
    notify: Notify,
    /// How often it rang for work that is there.
    now: AtomicU64,
}

impl Bells {
    /// Call it after the change can be seen.
    pub(crate) fn ring(&self, service: &ServiceName, ring: Ring) {
        let bell = self.of(service);
        if ring == Ring::Now {
            bell.now.fetch_add(1, Ordering::SeqCst);
        }
        bell.notify.notify_waiters();
    }

    /// Returns when there may be work. `next` says when the next work falls due, `clock` what time it is; where `next`
    /// fails this returns too, so that the lease that follows says why.
    pub(crate) async fn wait<F>(
        &self,
        service: &ServiceName,
        clock: impl Fn() -> Timestamp,
        next: impl Fn() -> F,
    ) where
        F: Future<Output = Result<Option<Timestamp>, QueueError>>,
    {
        let bell = self.of(service);
        let heard = bell.now.load(Ordering::SeqCst);
        while bell.now.load(Ordering::SeqCst) == heard {
            // Listen first, then look: nothing falls between the two.
            let mut rung = std::pin::pin!(bell.notify.notified());
            rung.as_mut().enable();
            match next().await {
                Err(_) => return,
                Ok(None) => rung.await,
                Ok(Some(due)) => {
                    let wait = due.since(clock());
                    if wait.is_zero() {
                        return;
                    }
                    // Running out is as good as a ring: either way it looks again.
                    tokio::time::timeout(wait.min(NAP), rung).await.ok();
                }
            }
        }
    }

    fn of(&self, service: &ServiceName) -> Arc<Bell> {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        match bells.get(service) {
            Some(bell) => Arc::clone(bell),
            None => Arc::clone(bells.entry(service.clone()).or_default()),
        }
    }
}
