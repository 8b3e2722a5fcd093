//! One node: its parts, and the doors through which events come in.

mod announcer;
mod cancel;
mod inferred;
mod outside;
mod placing;
mod posted;
mod recorder;
mod run;
mod slots;
mod try_once;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wicket_batch::BatchExecutor;
use wicket_buckets::LocalBuckets;
use wicket_config::{HostConfig, ServiceName, Variant};
use wicket_container::{DockerExecutor, EngineError};
use wicket_core::{
    Delivery, Deployment, Event, Executor, Fetches, Invocation, InvocationId, LogSink, ObjectRef, Objects,
    Pushed, Queue, QueueError, State, may_name,
};
use wicket_queue::SqliteQueue;
use wicket_store::Store;
use wicket_wasm::{Models, WasmExecutor};

use crate::attempt::AttemptObjects;
use crate::auth::Credentials;
use crate::catalog::{Catalog, Table};

pub(crate) use announcer::Announcer;
pub(crate) use cancel::Cancels;
pub(crate) use outside::Outside;
pub(crate) use placing::Placing;
pub(crate) use posted::{Posted, Prediction, model_source};
pub(crate) use recorder::Recorder;
pub(crate) use run::{Kept, Made, RunError, RunReply};
pub(crate) use slots::{Slot, Slots};
pub(crate) use try_once::{Tried, created};

/// All parts of a node. What they do on their own (listeners, dispatcher, housekeeping) is started by `app`.
#[derive(Debug)]
pub(crate) struct Node {
    /// The operator's file.
    pub(crate) config: HostConfig,
    /// The SQLite file under queue, buckets and catalog.
    pub(crate) store: Store,
    /// Invocations that wait.
    pub(crate) queue: Arc<SqliteQueue>,
    /// This node's buckets.
    pub(crate) buckets: Arc<LocalBuckets>,
    /// Routes what becomes visible in them.
    pub(crate) announcer: Arc<Announcer>,
    /// Other people's buckets.
    pub(crate) outside: Arc<Outside>,
    /// What runs wasm.
    pub(crate) wasm: Arc<WasmExecutor>,
    /// The models that functions ask for.
    pub(crate) models: Models,
    /// What runs containers.
    pub(crate) docker: Arc<DockerExecutor>,
    /// What runs jobs of AWS Batch, where this host is set up for it.
    pub(crate) batch: Option<Arc<BatchExecutor>>,
    /// What is deployed.
    pub(crate) catalog: Arc<Catalog>,
    /// Who may do what.
    pub(crate) credentials: Credentials,
    /// What is on its way here.
    pub(crate) fetches: Fetches,
    /// Attempts that run now.
    pub(crate) running: Running,
    /// What stops those of them that come from the queue.
    pub(crate) cancels: Cancels,
    /// Receipts of synchronous calls, on their way to the store.
    pub(crate) recorder: Recorder,
    /// Bounds the attempts of all services together.
    pub(crate) slots: Slots,
    /// What decides where attempts run.
    pub(crate) placing: Placing,
    /// Folder of the attempts' folders.
    pub(crate) work: PathBuf,
    /// Where the node listens, once it does.
    pub(crate) addresses: OnceLock<Addresses>,
    /// Set when the node begins to drain.
    pub(crate) stop: CancellationToken,
    /// Set when what still runs at the end of the drain must go.
    pub(crate) abandon: CancellationToken,
    /// Everything that was spawned.
    pub(crate) tasks: TaskTracker,
}

/// Where a node listens; also the file `host.json` in its data folder.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// The process.
    pub(crate) pid: u32,
    /// HTTP triggers and the API.
    pub(crate) http: SocketAddr,
    /// Buckets.
    pub(crate) s3: SocketAddr,
}

/// Logs of the attempts that run now, for those who follow them.
#[derive(Debug, Default)]
pub(crate) struct Running(Arc<Mutex<HashMap<InvocationId, (u32, LogSink)>>>);

/// Takes an attempt out of [`Running`] when it ends, however it ends.
#[derive(Debug)]
pub(crate) struct RunningGuard {
    running: Arc<Mutex<HashMap<InvocationId, (u32, LogSink)>>>,
    id: InvocationId,
}

impl Running {
    /// Shows this attempt's log until the guard is dropped.
    pub(crate) fn show(&self, id: InvocationId, attempt: u32, log: LogSink) -> RunningGuard {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(id, (attempt, log));
        RunningGuard { running: self.0.clone(), id }
    }

    /// The attempt of this invocation that runs now, and its log.
    pub(crate) fn log(&self, id: InvocationId) -> Option<(u32, LogSink)> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&id).cloned()
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&self.id);
    }
}

/// Why what waited for a service is a dead letter.
pub(crate) const REMOVED: &str = "the service was removed";

/// What an event started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accepted {
    /// Service, invocation, and whether it was known already.
    pub(crate) started: Vec<(ServiceName, InvocationId, bool)>,
    /// Joins that keep it as a part.
    pub(crate) waiting: u32,
}

/// Why what an earlier process left was not looked after.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SweepError {
    /// The queue does not say what waits.
    #[error("cannot read what waits")]
    Queue(#[from] QueueError),
    /// The engine does not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why an event was not accepted. Nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    /// No such service.
    #[error("there is no service `{0}`")]
    Unknown(ServiceName),
    /// The service would read an object that its caller may not have it read.
    #[error(
        "service `{0}` has no input that takes `{key}` of bucket `{bucket}`, and is not granted to read it",
        key = .1.key, bucket = .1.bucket
    )]
    NotGranted(ServiceName, ObjectRef),
    /// The node is on its way out.
    #[error("the host is stopping")]
    Stopping,
    /// The queue did not take it.
    #[error("cannot queue the event")]
    Queue(#[from] QueueError),
}

impl Node {
    /// Takes events: routes them and stores what they start, all of it or nothing. Durable on return. With `only`, no
    /// other service is started. What an event names, its function may read: nothing is accepted when somebody who is
    /// not the admin names what the service may not read in any case. The answers stand in the order of the events.
    pub(crate) async fn accept(
        &self,
        events: &[Event],
        only: Option<&ServiceName>,
        is_admin: bool,
    ) -> Result<Vec<Accepted>, AcceptError> {
        if self.stop.is_cancelled() {
            return Err(AcceptError::Stopping);
        }
        let table = self.catalog.table();
        let mut accepted = vec![Accepted::default(); events.len()];
        let mut deliveries = Vec::new();
        let mut whose = Vec::new();
        for (idx, event) in events.iter().enumerate() {
            let routed = table.router.route(event).into_iter();
            for delivery in routed.filter(|delivery| only.is_none_or(|only| service(delivery) == only)) {
                if !is_admin {
                    check_named(&table, service(&delivery), event)?;
                }
                whose.push((idx, service(&delivery).clone()));
                deliveries.push(delivery);
            }
        }
        if deliveries.is_empty() {
            return Ok(accepted);
        }
        let pushed = self.queue.push(deliveries).await?;
        self.bury_orphans(&whose.iter().map(|(_, service)| service.clone()).collect()).await?;
        for ((idx, service), pushed) in whose.into_iter().zip(pushed) {
            match pushed {
                Pushed::New(id) => accepted[idx].started.push((service, id, false)),
                Pushed::Duplicate(id) => accepted[idx].started.push((service, id, true)),
                Pushed::Waiting => accepted[idx].waiting += 1,
            }
        }
        Ok(accepted)
    }

    /// Queues one service on each of these events, whatever the routes say: all or none, and none when somebody who is
    /// not the admin names what the service may not read in any case. The ids, and whether they were known already.
    pub(crate) async fn submit(
        &self,
        service: &ServiceName,
        events: Vec<Event>,
        is_admin: bool,
    ) -> Result<Vec<(InvocationId, bool)>, AcceptError> {
        if self.stop.is_cancelled() {
            return Err(AcceptError::Stopping);
        }
        let table = self.catalog.table();
        if !table.deployments.contains_key(service) {
            return Err(AcceptError::Unknown(service.clone()));
        }
        if !is_admin {
            events.iter().try_for_each(|event| check_named(&table, service, event))?;
        }
        let invocations: Vec<Invocation> =
            events.into_iter().map(|event| Invocation::of(service, event)).collect();
        let ids: Vec<InvocationId> = invocations.iter().map(|invocation| invocation.id).collect();
        let pushed = self.queue.push(invocations.into_iter().map(Delivery::Run).collect()).await?;
        self.bury_orphans(&BTreeSet::from([service.clone()])).await?;
        Ok(ids
            .into_iter()
            .zip(pushed)
            .map(|(id, pushed)| (id, matches!(pushed, Pushed::Duplicate(_))))
            .collect())
    }
}

impl Node {
    /// The queue, once it has the receipts of all calls that were answered.
    pub(crate) async fn receipts(&self) -> &SqliteQueue {
        self.recorder.flush().await;
        &self.queue
    }

    /// To be called after invocations of these services were queued: one that was removed just then has nobody who
    /// would look at them, so they become dead letters as all that waited for it.
    pub(crate) async fn bury_orphans(&self, services: &BTreeSet<ServiceName>) -> Result<(), QueueError> {
        let table = self.catalog.table();
        for service in services {
            if !table.deployments.contains_key(service) {
                self.queue.abandon(service, REMOVED).await?;
            }
        }
        Ok(())
    }

    /// To be called after a service changed: what waits in its joins by the rule that it had before is queued.
    pub(crate) async fn end_old_joins(
        &self,
        service: &ServiceName,
        before: &Table,
    ) -> Result<(), QueueError> {
        let rule = |table: &Table| {
            table.deployments.get(service).and_then(|deployment| deployment.service.join.clone())
        };
        match rule(before) {
            Some(old) if rule(&self.catalog.table()) != Some(old.clone()) => {
                self.queue.close_joins(service).await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Looks after what waits for nobody: a crash between the removal of a service and the end of what waited for it,
    /// an upload that was routed just before.
    pub(crate) async fn settle_orphans(&self) -> Result<(), QueueError> {
        let waiting: BTreeSet<ServiceName> = self.queue.services().await?.into_iter().collect();
        self.bury_orphans(&waiting).await?;
        let table = self.catalog.table();
        for service in &waiting {
            if table.deployments.get(service).is_some_and(|deployment| deployment.service.join.is_none()) {
                self.queue.close_joins(service).await?;
            }
        }
        Ok(())
    }

    /// What runs a variant; none where this host is not set up for it.
    pub(crate) fn executor(&self, variant: Variant) -> Option<&dyn Executor> {
        match variant {
            Variant::Wasm => Some(&*self.wasm),
            Variant::Docker => Some(&*self.docker),
            Variant::Batch => self.batch.as_deref().map(|batch| batch as &dyn Executor),
        }
    }

    /// Removes containers that are nobody's, and those that an earlier process left and nobody will take over: their
    /// invocation has its end.
    pub(crate) async fn sweep_containers(&self) -> Result<(), SweepError> {
        self.docker.tidy().await?;
        for (id, attempt) in self.docker.waiting() {
            if !self.will_go_on(id, attempt).await? {
                self.docker.discard(id).await?;
            }
        }
        Ok(())
    }

    /// Ends batch jobs that an earlier process left and nobody will take over.
    pub(crate) async fn sweep_jobs(&self) -> Result<(), QueueError> {
        let Some(batch) = &self.batch else { return Ok(()) };
        for (id, attempt) in batch.waiting() {
            if !self.will_go_on(id, attempt).await? {
                batch.discard(id);
            }
        }
        Ok(())
    }

    /// Whether an attempt that an earlier process began will be made again.
    async fn will_go_on(&self, id: InvocationId, attempt: u32) -> Result<bool, QueueError> {
        let receipt = self.queue.receipt(id).await?;
        Ok(receipt.is_some_and(|one| {
            let ended = one.attempts.iter().any(|record| record.number == attempt);
            matches!(one.state, State::Queued | State::Running) && !ended
        }))
    }

    /// Whether something that an earlier process began for an invocation waits to be taken over.
    pub(crate) fn goes_on(&self, id: InvocationId) -> bool {
        self.docker.is_waiting(id) || self.batch.as_ref().is_some_and(|batch| batch.is_waiting(id))
    }

    /// What an HTTP-shaped function of this service may read: the buckets it was granted.
    pub(crate) fn objects_for(&self, deployment: &Arc<Deployment>) -> Arc<dyn Objects> {
        let (buckets, outside) = (self.buckets.clone(), self.outside.clone());
        Arc::new(AttemptObjects::granted_only(deployment.clone(), buckets, outside))
    }
}

/// Whether a service may read all that an event names, whoever named it.
fn check_named(table: &Table, name: &ServiceName, event: &Event) -> Result<(), AcceptError> {
    let Some(deployment) = table.deployments.get(name) else { return Ok(()) };
    let refused = event.objects().into_iter().find(|object| !may_name(&deployment.service, object));
    refused.map_or(Ok(()), |object| Err(AcceptError::NotGranted(name.clone(), object.clone())))
}

/// Whose delivery it is.
pub(crate) fn service(delivery: &Delivery) -> &ServiceName {
    match delivery {
        Delivery::Run(invocation) => &invocation.service,
        Delivery::Part(part) => &part.service,
    }
}
