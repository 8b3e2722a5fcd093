//! The same contract without a disk: for the tests of those who use a queue.

mod state;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use wicket_config::ServiceName;
use wicket_core::{
    Delivery, Depth, Event, Filter, Forget, InvocationId, Lease, Log, Pushed, Queue, QueueError, Receipt,
    Retention, Settled, StagedObject, Timestamp, Waiting,
};

use crate::alike::cancelled;
use crate::bell::{Bells, Ring};
use state::{End, State};

/// Bells to ring when the lock is free again.
type Rung = Vec<(ServiceName, Ring)>;

/// A queue that forgets everything when it is dropped. Its clock is one that nobody sets.
#[derive(Debug)]
pub struct MemoryQueue {
    state: Mutex<State>,
    bells: Bells,
    began: (Timestamp, Instant),
}

impl MemoryQueue {
    /// An empty queue.
    pub fn new() -> Self {
        Self { state: Mutex::default(), bells: Bells::default(), began: (Timestamp::now(), Instant::now()) }
    }

    /// The outputs of all completed invocations; there are no buckets to make them visible in.
    pub fn published(&self) -> Vec<StagedObject> {
        self.with(|state, _, _| state.published.clone())
    }

    fn now(&self) -> Timestamp {
        self.began.0.after(self.began.1.elapsed())
    }

    fn with<T>(&self, work: impl FnOnce(&mut State, Timestamp, &mut Rung) -> T) -> T {
        let mut rung = Rung::new();
        let done = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut state, self.now(), &mut rung)
        };
        for (service, ring) in rung {
            self.bells.ring(&service, ring);
        }
        done
    }
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn push(&self, deliveries: Vec<Delivery>) -> Result<Vec<Pushed>, QueueError> {
        Ok(self.with(|state, now, rung| state.push(deliveries, now, rung)))
    }

    async fn ready(&self, service: &ServiceName) {
        let next = || std::future::ready(Ok(self.with(|state, _, _| state.next(service))));
        self.bells.wait(service, || self.now(), next).await;
    }

    async fn lease(&self, service: &ServiceName, ttl: Duration) -> Result<Option<Lease>, QueueError> {
        Ok(self.with(|state, now, rung| {
            state.close_joins(service, now, false, rung);
            let lease = state.lease(service, now, ttl);
            if lease.is_some() {
                rung.push((service.clone(), Ring::Later));
            }
            lease
        }))
    }

    async fn extend(&self, lease: &Lease, ttl: Duration) -> Result<(), QueueError> {
        self.with(|state, now, rung| {
            state.held(lease)?.until = now.after(ttl);
            rung.push((lease.invocation.service.clone(), Ring::Later));
            Ok(())
        })
    }

    async fn complete(
        &self,
        lease: Lease,
        settled: Settled,
        outputs: Vec<StagedObject>,
        follow_ups: Vec<Delivery>,
    ) -> Result<(), QueueError> {
        self.with(|state, now, rung| {
            state.end(&lease, settled, End::Succeeded, now)?;
            state.published.extend(outputs);
            state.push(follow_ups, now, rung);
            Ok(())
        })
    }

    async fn retry(&self, lease: Lease, settled: Settled, due: Timestamp) -> Result<(), QueueError> {
        self.with(|state, now, rung| {
            state.end(&lease, settled, End::Again(due), now)?;
            rung.push((lease.invocation.service.clone(), Ring::Later));
            Ok(())
        })
    }

    async fn bury(&self, lease: Lease, settled: Settled) -> Result<(), QueueError> {
        self.with(|state, now, _| state.end(&lease, settled, End::Dead, now))
    }

    async fn release(&self, lease: Lease) -> Result<(), QueueError> {
        self.with(|state, _, rung| {
            let entry = state.held(&lease)?;
            entry.attempt -= 1;
            entry.wait(lease.due);
            rung.push((lease.invocation.service.clone(), Ring::Now));
            Ok(())
        })
    }

    async fn postpone(&self, lease: Lease, waiting: Waiting, due: Timestamp) -> Result<(), QueueError> {
        self.with(|state, _, rung| {
            let entry = state.held(&lease)?;
            entry.attempt -= 1;
            entry.wait(due);
            entry.receipt.waiting = Some(waiting);
            rung.push((lease.invocation.service.clone(), Ring::Later));
            Ok(())
        })
    }

    async fn redrive(&self, id: InvocationId) -> Result<(), QueueError> {
        self.with(|state, now, rung| {
            let entry = state.entry(id).ok_or(QueueError::Unknown(id))?;
            if !entry.dead {
                return Err(QueueError::NotDead(id, entry.receipt.state));
            }
            entry.base += entry.attempt;
            entry.attempt = 0;
            entry.dead = false;
            entry.wait(now);
            rung.push((entry.receipt.service.clone(), Ring::Now));
            Ok(())
        })
    }

    async fn cancel(&self, id: InvocationId, reason: &str) -> Result<(), QueueError> {
        self.with(|state, now, _| {
            let entry = state.entry(id).ok_or(QueueError::Unknown(id))?;
            if entry.bury(cancelled(now, reason), now) { Ok(()) } else { Err(QueueError::Ended(id)) }
        })
    }

    async fn record(&self, calls: Vec<(Receipt, Log)>) -> Result<(), QueueError> {
        self.with(|state, now, _| {
            for (receipt, log) in calls {
                state.record(receipt, log, now);
            }
        });
        Ok(())
    }

    async fn receipt(&self, id: InvocationId) -> Result<Option<Receipt>, QueueError> {
        Ok(self.with(|state, _, _| state.entry(id).map(|entry| entry.receipt.clone())))
    }

    async fn event(&self, id: InvocationId) -> Result<Option<Event>, QueueError> {
        Ok(self.with(|state, _, _| state.entry(id).and_then(|entry| entry.event.clone())))
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Receipt>, QueueError> {
        Ok(self.with(|state, _, _| state.list(filter)))
    }

    async fn logs(&self, id: InvocationId) -> Result<Vec<(u32, Log)>, QueueError> {
        Ok(self.with(|state, _, _| state.logs(id)))
    }

    async fn depth(&self, service: &ServiceName) -> Result<Depth, QueueError> {
        Ok(self.with(|state, _, _| state.depth(service)))
    }

    async fn prune(&self, keep: Retention) -> Result<u64, QueueError> {
        Ok(self.with(|state, now, _| state.prune(keep, now)))
    }

    async fn forget(&self, service: &ServiceName, which: Forget) -> Result<u64, QueueError> {
        Ok(self.with(|state, _, _| state.forget(service, which)))
    }

    async fn abandon(&self, service: &ServiceName, reason: &str) -> Result<u64, QueueError> {
        Ok(self.with(|state, now, rung| {
            state.close_joins(service, now, true, rung);
            state.abandon(service, reason, now)
        }))
    }
    async fn close_joins(&self, service: &ServiceName) -> Result<(), QueueError> {
        self.with(|state, now, rung| state.close_joins(service, now, true, rung));
        Ok(())
    }

    async fn services(&self) -> Result<Vec<ServiceName>, QueueError> {
        Ok(self.with(|state, _, _| state.services()))
    }
}
