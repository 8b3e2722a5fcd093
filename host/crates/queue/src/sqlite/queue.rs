//! The contract, method by method: encode, ask the writer or a reader, decode.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use wicket_config::ServiceName;
use wicket_core::{
    Delivery, Depth, Event, Filter, Forget, Invocation, InvocationId, Lease, Log, Pushed, Queue, QueueError,
    Receipt, Retention, Settled, StagedObject, Timestamp, Waiting,
};
use wicket_store::{StoreError, Tx};

use super::packed::Packed;
use super::push::Rung;
use super::settle::{End, Held, StoredAttempt, StoredCall};
use super::stored::{Stored, decode, json};
use super::{SqliteQueue, fault, join, lease, packed, prune, push, read, settle};
use crate::alike::{abandoned, cancelled};
use crate::bell::{Bells, Ring};

/// Invocations of one step when a service is abandoned.
const STEP: u32 = 500;

impl SqliteQueue {
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, QueueError> {
        self.store.write(work).await.map_err(fault)
    }

    /// For what a power cut may take back: a lease is taken again, and nobody was told of a call's receipt.
    async fn write_relaxed<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, QueueError> {
        self.store.write_relaxed(work).await.map_err(fault)
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, QueueError> {
        self.store.read(work).await.map_err(fault)
    }
}

impl SqliteQueue {
    /// An event that is damaged, or that a newer host wrote, must not come back for ever.
    async fn bury_unreadable(&self, held: Held, error: &StoreError) -> Result<(), QueueError> {
        let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let attempt = abandoned(Timestamp::now(), &format!("the stored event cannot be read: {source}"));
        let settled = Settled { attempt, log: Log::default() };
        let attempt = StoredAttempt::of(&settled).map_err(fault)?;
        self.write(move |tx| settle::end(tx, held, &attempt, End::Dead, Timestamp::now())).await
    }
}

fn ring(tx: &mut Tx<'_>, bells: &Arc<Bells>, service: &ServiceName, how: Ring) {
    let mut rung = Rung::default();
    rung.add(service, how);
    rung.after(tx, bells);
}

fn encoded(deliveries: Vec<Delivery>) -> Result<Vec<Stored>, QueueError> {
    deliveries.into_iter().map(Stored::of).collect::<Result<_, _>>().map_err(fault)
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn push(&self, deliveries: Vec<Delivery>) -> Result<Vec<Pushed>, QueueError> {
        let stored = encoded(deliveries)?;
        let bells = Arc::clone(&self.bells);
        self.write(move |tx| push::and_ring(tx, &stored, &bells)).await
    }

    async fn ready(&self, service: &ServiceName) {
        let next = || {
            let service = service.clone();
            self.read(move |conn| lease::next(conn, &service))
        };
        self.bells.wait(service, Timestamp::now, next).await;
    }

    async fn lease(&self, service: &ServiceName, ttl: Duration) -> Result<Option<Lease>, QueueError> {
        let (of, bells, handed) = (service.clone(), Arc::clone(&self.bells), Arc::clone(&self.handed));
        let taken = self
            .write_relaxed(move |tx| {
                let now = Timestamp::now();
                let mut rung = Rung::default();
                join::close_due(tx, &of, now, false, &mut rung)?;
                let taken = lease::take(tx, &of, now, ttl, &handed)?;
                if taken.is_some() {
                    // Who waits has to look again: this lease may run out before what they wait for.
                    rung.add(&of, Ring::Later);
                }
                rung.after(tx, &bells);
                Ok(taken)
            })
            .await?;
        let Some(taken) = taken else { return Ok(None) };
        let event = match decode(&taken.body) {
            Ok(event) => event,
            Err(error) => {
                self.bury_unreadable(Held::new(taken.id, taken.fence), &error).await?;
                return Ok(None);
            }
        };
        Ok(Some(Lease {
            invocation: Invocation { id: taken.id, service: service.clone(), event },
            attempt: taken.attempt,
            number: taken.number,
            fence: taken.fence,
            accepted: taken.accepted,
            due: taken.due,
        }))
    }

    async fn extend(&self, lease: &Lease, ttl: Duration) -> Result<(), QueueError> {
        let (held, service) = (Held::of(lease), lease.invocation.service.clone());
        let (id, bells, handed) = (lease.invocation.id, Arc::clone(&self.bells), Arc::clone(&self.handed));
        self.write_relaxed(move |tx| {
            settle::extend(tx, held, Timestamp::now().after(ttl))?;
            handed.hold(id, ttl);
            ring(tx, &bells, &service, Ring::Later);
            Ok(())
        })
        .await
    }

    async fn complete(
        &self,
        lease: Lease,
        settled: Settled,
        outputs: Vec<StagedObject>,
        follow_ups: Vec<Delivery>,
    ) -> Result<(), QueueError> {
        let (held, id) = (Held::of(&lease), lease.invocation.id);
        let attempt = StoredAttempt::of(&settled).map_err(fault)?;
        let follow_ups = encoded(follow_ups)?;
        let (bells, publish) = (Arc::clone(&self.bells), Arc::clone(&self.publish));
        let ended = self.write(move |tx| {
            let now = Timestamp::now();
            let mut rung = Rung::default();
            settle::end(tx, held, &attempt, End::Succeeded, now)?;
            if !outputs.is_empty() {
                publish.publish(tx, &outputs)?;
            }
            push::all(tx, &follow_ups, now, &mut rung)?;
            rung.after(tx, &bells);
            Ok(())
        });
        ended.await.inspect(|()| self.handed.end(id))
    }

    async fn retry(&self, lease: Lease, settled: Settled, due: Timestamp) -> Result<(), QueueError> {
        let (held, id, service) = (Held::of(&lease), lease.invocation.id, lease.invocation.service);
        let attempt = StoredAttempt::of(&settled).map_err(fault)?;
        let bells = Arc::clone(&self.bells);
        let ended = self.write(move |tx| {
            settle::end(tx, held, &attempt, End::Again(due), Timestamp::now())?;
            ring(tx, &bells, &service, Ring::Later);
            Ok(())
        });
        ended.await.inspect(|()| self.handed.end(id))
    }

    async fn bury(&self, lease: Lease, settled: Settled) -> Result<(), QueueError> {
        let (held, id) = (Held::of(&lease), lease.invocation.id);
        let attempt = StoredAttempt::of(&settled).map_err(fault)?;
        let ended = self.write(move |tx| settle::end(tx, held, &attempt, End::Dead, Timestamp::now()));
        ended.await.inspect(|()| self.handed.end(id))
    }

    async fn release(&self, lease: Lease) -> Result<(), QueueError> {
        let (held, id, due) = (Held::of(&lease), lease.invocation.id, lease.due);
        let service = lease.invocation.service;
        let bells = Arc::clone(&self.bells);
        let ended = self.write(move |tx| {
            settle::release(tx, held, due)?;
            ring(tx, &bells, &service, Ring::Now);
            Ok(())
        });
        ended.await.inspect(|()| self.handed.end(id))
    }

    async fn postpone(&self, lease: Lease, waiting: Waiting, due: Timestamp) -> Result<(), QueueError> {
        let (held, id, service) = (Held::of(&lease), lease.invocation.id, lease.invocation.service);
        let waiting = json(&waiting).map_err(fault)?;
        let bells = Arc::clone(&self.bells);
        let ended = self.write(move |tx| {
            settle::postpone(tx, held, &waiting, due)?;
            ring(tx, &bells, &service, Ring::Later);
            Ok(())
        });
        ended.await.inspect(|()| self.handed.end(id))
    }

    async fn redrive(&self, id: InvocationId) -> Result<(), QueueError> {
        let bells = Arc::clone(&self.bells);
        self.write(move |tx| {
            let service = settle::redrive(tx, id, Timestamp::now())?;
            ring(tx, &bells, &service.parse().map_err(StoreError::refused)?, Ring::Now);
            Ok(())
        })
        .await
    }

    async fn cancel(&self, id: InvocationId, reason: &str) -> Result<(), QueueError> {
        let record = json(&cancelled(Timestamp::now(), reason)).map_err(fault)?;
        let ended = self.write(move |tx| settle::cancel(tx, id, &record, Timestamp::now()));
        ended.await.inspect(|()| self.handed.end(id))
    }

    async fn record(&self, calls: Vec<(Receipt, Log)>) -> Result<(), QueueError> {
        let Packed { packs, single } = packed::pack(calls).map_err(fault)?;
        let single = single.into_iter().map(|(receipt, log)| StoredCall::of(receipt, &log));
        let single = single.collect::<Result<Vec<_>, _>>().map_err(fault)?;
        self.write_relaxed(move |tx| {
            let now = Timestamp::now();
            packs.iter().try_for_each(|pack| pack.add(tx))?;
            single.iter().try_for_each(|call| call.add(tx, now))
        })
        .await
    }

    async fn receipt(&self, id: InvocationId) -> Result<Option<Receipt>, QueueError> {
        self.read(move |conn| read::one(conn, id)).await
    }

    async fn event(&self, id: InvocationId) -> Result<Option<Event>, QueueError> {
        let body = self.read(move |conn| read::event(conn, id)).await?;
        body.map(|body| decode(&body)).transpose().map_err(fault)
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Receipt>, QueueError> {
        let filter = filter.clone();
        self.read(move |conn| read::list(conn, &filter)).await
    }

    async fn logs(&self, id: InvocationId) -> Result<Vec<(u32, Log)>, QueueError> {
        self.read(move |conn| read::logs(conn, id)).await
    }

    async fn depth(&self, service: &ServiceName) -> Result<Depth, QueueError> {
        let service = service.clone();
        self.read(move |conn| read::depth(conn, &service)).await
    }

    async fn prune(&self, keep: Retention) -> Result<u64, QueueError> {
        let now = Timestamp::now();
        let before = |age: Duration| now.0.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let (age, dead) = (before(keep.age), before(keep.dead_letter_age));
        let ended = prune::ended(&self.store, age, keep.receipt_bytes).await.map_err(fault)?;
        let buried = prune::buried(&self.store, dead).await.map_err(fault)?;
        prune::joins(&self.store, age).await.map_err(fault)?;
        prune::logs(&self.store, keep.log_bytes).await.map_err(fault)?;
        Ok(ended + buried)
    }

    async fn forget(&self, service: &ServiceName, which: Forget) -> Result<u64, QueueError> {
        let mut gone = 0;
        loop {
            let service = service.clone();
            let n = self.store.write_freeing(move |tx| prune::some_of(tx, service.as_str(), which)).await;
            let n = n.map_err(fault)?;
            gone += n;
            if n == 0 || matches!(which, Forget::One(_)) {
                return Ok(gone);
            }
        }
    }

    async fn abandon(&self, service: &ServiceName, reason: &str) -> Result<u64, QueueError> {
        // The parts of open joins become dead letters too, so that nothing accepted is lost.
        self.close_joins(service).await?;
        let record = json(&abandoned(Timestamp::now(), reason)).map_err(fault)?;
        let mut gone = 0;
        loop {
            let (of, record) = (service.clone(), record.clone());
            let n = self.write(move |tx| settle::abandon(tx, &of, &record, Timestamp::now(), STEP)).await?;
            gone += n;
            if n == 0 {
                return Ok(gone);
            }
        }
    }
    async fn close_joins(&self, service: &ServiceName) -> Result<(), QueueError> {
        loop {
            let (of, bells) = (service.clone(), Arc::clone(&self.bells));
            let n_closed = self.write(move |tx| {
                let mut rung = Rung::default();
                let n_closed = join::close_due(tx, &of, Timestamp::now(), true, &mut rung)?;
                rung.after(tx, &bells);
                Ok(n_closed)
            });
            if n_closed.await? == 0 {
                return Ok(());
            }
        }
    }

    async fn services(&self) -> Result<Vec<ServiceName>, QueueError> {
        self.read(read::services).await
    }
}
