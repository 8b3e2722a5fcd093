//! `POST /run`: a caller who waits. The same permits, limits, executor and receipt as everything; no queue.

use tokio::sync::OwnedSemaphorePermit;
use wicket_config::{ByteSize, Service, ServiceName, Span, Variant};
use wicket_core::{
    AttemptRecord, Deployment, Event, EventId, Failure, Invocation, InvocationId, Limit, Log, Receipt, Reply,
    State, Timestamp, Trigger, Usage, chain, executor_of, moves_on,
};
use wicket_store::{Announce, Publish};

use super::{Node, Posted, Slot, Tried, created};
use crate::attempt::{Answer, Collected, Scratch};

/// What the caller gets.
#[derive(Debug)]
pub(crate) struct RunReply {
    /// Which invocation this was.
    pub(crate) id: InvocationId,
    /// What it answered, or why it failed.
    pub(crate) result: Result<Made, Failure>,
}

/// What a call has made.
#[derive(Debug)]
pub(crate) struct Made {
    /// What the function said.
    pub(crate) reply: Reply,
    /// The files that it made.
    pub(crate) files: Vec<Answer>,
    /// Kept until the answer is sent.
    pub(crate) kept: Kept,
}

/// What an answer keeps until it is sent: the folder of its files, and the permit of its call, so that answers which clients are
/// slow to read take no more room than so many calls do.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) scratch: Scratch,
    _permit: OwnedSemaphorePermit,
}

/// Why a call was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// No such service.
    #[error("there is no service `{0}`")]
    Unknown(ServiceName),
    /// As many attempts run as may.
    #[error("service `{0}` runs as many attempts as its `limits.concurrency` allows")]
    Busy(ServiceName, InvocationId),
    /// As many attempts of all services run as may.
    #[error("the host runs as many attempts on {0} as it may")]
    Full(&'static str, InvocationId),
    /// The node is on its way out.
    #[error("the host is stopping")]
    Stopping,
    /// The body is over the service's limit.
    #[error("the body passes the limit of {1} of service `{0}`")]
    TooLarge(ServiceName, ByteSize, InvocationId),
    /// The body did not arrive.
    #[error("the body could not be read")]
    Body(#[source] std::io::Error),
    /// The body came too slowly.
    #[error("the body did not arrive within the `limits.timeout` of service `{0}`, {1}")]
    Slow(ServiceName, Span),
    /// The host has no room to work in.
    #[error("no scratch folder could be made")]
    Scratch(#[source] std::io::Error),
}

impl RunError {
    /// The invocation that met a limit before it ran: it has a receipt.
    pub(crate) fn id(&self) -> Option<InvocationId> {
        match self {
            Self::Busy(_, id) | Self::Full(_, id) | Self::TooLarge(_, _, id) => Some(*id),
            _ => None,
        }
    }
}

impl Node {
    /// Runs a service on a body, of which at least `announced` bytes will come, and waits. The body is not asked for before there is a permit: whoever holds much of it
    /// in memory is one of so many.
    pub(crate) async fn run<E: From<RunError>>(
        &self,
        name: &ServiceName,
        announced: u64,
        posted: impl Future<Output = Result<Posted, E>> + Send,
    ) -> Result<RunReply, E> {
        if self.stop.is_cancelled() {
            return Err(RunError::Stopping.into());
        }
        let table = self.catalog.table();
        let (Some(deployment), Some(permits)) = (table.deployments.get(name), table.permits.get(name)) else {
            return Err(RunError::Unknown(name.clone()).into());
        };
        if announced > deployment.service.limits.body.0 {
            return Err(self.too_large(deployment).into());
        }
        let wait = self.config.http.permit_timeout;
        let permit = tokio::time::timeout(wait.0, permits.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            let message = none_ended(deployment.service.limits.concurrency, wait);
            let id = self.refuse(deployment, Limit::Concurrency, message);
            return Err(RunError::Busy(name.clone(), id).into());
        };
        let Some(first) = deployment.service.variants().first().copied() else {
            return Err(RunError::Unknown(name.clone()).into());
        };
        let Some(mut slot) = self.slot(first, &deployment.service).await else {
            return Err(self.full(deployment, first).into());
        };

        let scratch = Scratch::make(&self.work, "run").map_err(RunError::Scratch)?;
        let accepted = Timestamp::now();
        let patience = deployment.service.limits.timeout;
        let received = tokio::time::timeout(patience.0, self.receive(deployment, &scratch, posted)).await;
        let (event, file) = received.map_err(|_| RunError::Slow(name.clone(), patience))??;
        let invocation = Invocation { id: InvocationId::random(), service: name.clone(), event };
        let id = invocation.id;
        let event = invocation.event.clone();
        let receipt = Receipt {
            id,
            service: name.clone(),
            trigger: Trigger::Run,
            event: invocation.event.id.clone(),
            source: invocation.event.source.clone(),
            subject: invocation.event.subject.clone(),
            origin: invocation.event.origin.clone(),
            state: State::Running,
            accepted,
            finished: None,
            due: None,
            waiting: None,
            attempts: Vec::new(),
        };
        let size = event.size();
        let Some(mut placed) = self.place(deployment, size, &[]).await else {
            return Err(RunError::Unknown(name.clone()).into());
        };
        if placed.variant != first {
            drop(slot);
            slot = match self.slot(placed.variant, &deployment.service).await {
                Some(slot) => slot,
                None => return Err(self.full(deployment, placed.variant).into()),
            };
        }
        let mut call = Call {
            node: self,
            version: deployment.version,
            executor: executor_of(placed.variant),
            receipt: Some(receipt),
            log: Log::default(),
        };
        let mut attempts: Vec<AttemptRecord> = Vec::new();
        let Tried { record, log, result } = loop {
            let variant = placed.variant;
            call.executor = executor_of(variant);
            let number = u32::try_from(attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
            let (invocation, file) = (invocation.clone(), file.clone());
            let mut tried =
                self.try_once(deployment, variant, invocation, number, &scratch, Some(file)).await;
            if deployment.service.variants().len() > 1 {
                tried.record.placement = Some(placed.placement);
            }
            self.placing.learn(deployment, variant, &tried.record);
            if !tried.record.failure.as_ref().is_some_and(moves_on) {
                break tried;
            }
            attempts.push(tried.record.clone());
            let next = self.place(deployment, size, &attempts).await;
            let Some(next) = next.filter(|next| next.variant != variant) else { break tried };
            drop(slot);
            // Who waits is told how far it came, not kept for ever.
            slot = match self.slot(next.variant, &deployment.service).await {
                Some(slot) => slot,
                None => break tried,
            };
            call.went_on(tried.record, tried.log);
            placed = next;
        };
        let result = match result {
            Ok((reply, collected)) => {
                let answers = self.publish(collected, &event, id).await;
                answers.map(|files| Made { reply, files, kept: Kept { scratch, _permit: permit } })
            }
            Err(failure) => Err(failure),
        };
        let failure = result.as_ref().err().cloned();
        call.end(AttemptRecord { failure, ..record }, log);
        Ok(RunReply { id, result })
    }

    /// A slot of a variant's executor, if one comes free in time.
    async fn slot(&self, variant: Variant, service: &Service) -> Option<Slot> {
        let wait = self.config.http.permit_timeout;
        tokio::time::timeout(wait.0, self.slots.take(variant, service)).await.ok()?
    }

    /// Records that none came free.
    fn full(&self, deployment: &Deployment, variant: Variant) -> RunError {
        let message = none_ended(self.slots.most(variant), self.config.http.permit_timeout);
        let id = self.refuse(deployment, Limit::Concurrency, message);
        RunError::Full(executor_of(variant), id)
    }

    pub(super) fn too_large(&self, deployment: &Deployment) -> RunError {
        let (name, limit) = (deployment.service.name.clone(), deployment.service.limits.body);
        let message = format!("a request body may have {limit}");
        RunError::TooLarge(name, limit, self.refuse(deployment, Limit::Body, message))
    }

    /// Records that a call met a limit before anything ran.
    fn refuse(&self, deployment: &Deployment, limit: Limit, message: String) -> InvocationId {
        let (id, now) = (InvocationId::random(), Timestamp::now());
        let record = AttemptRecord {
            number: 1,
            version: deployment.version,
            executor: deployment
                .service
                .variants()
                .first()
                .map_or("none", |first| executor_of(*first))
                .to_owned(),
            started: now,
            queue_us: 0,
            usage: Usage::default(),
            status: None,
            failure: Some(Failure::Limit { limit, message }),
            placement: None,
        };
        let (name, event) = (deployment.service.name.clone(), EventId(id.to_string()));
        let receipt = Receipt {
            id,
            source: source(&name),
            service: name,
            trigger: Trigger::Run,
            event: event.clone(),
            subject: None,
            origin: event,
            state: State::Failed,
            accepted: now,
            finished: Some(now),
            due: None,
            waiting: None,
            attempts: vec![record],
        };
        self.recorder.record(receipt, Log::default());
        id
    }

    /// Makes outputs of a synchronous call visible, each with the event that it is.
    async fn publish(
        &self,
        collected: Collected,
        cause: &Event,
        id: InvocationId,
    ) -> Result<Vec<Answer>, Failure> {
        let Collected { staged, answers, .. } = collected;
        if staged.is_empty() {
            return Ok(answers);
        }
        let (store, buckets, announcer) = (self.store.clone(), self.buckets.clone(), self.announcer.clone());
        let events = created(cause, id, &staged);
        // A task of its own: what is staged is published or discarded, also when the caller goes away meanwhile.
        let published = self.tasks.spawn(async move {
            let (publish, unpublished) = (buckets.clone(), staged.clone());
            let published = store.write(move |tx| {
                publish.publish(tx, &staged)?;
                events.iter().try_for_each(|event| announcer.created(tx, event))
            });
            published.await.inspect_err(|_| buckets.discard(unpublished))
        });
        match published.await {
            Ok(Ok(())) => Ok(answers),
            Ok(Err(error)) => Err(Failure::Host { message: chain(&error) }),
            Err(error) => Err(Failure::Host { message: chain(&error) }),
        }
    }
}

impl Node {
    /// A synchronous call's failure, as its receipt tells it. What the host cuts off at the end of its drain looks like a
    /// client that leaves, to who only sees that nobody waits any more.
    pub(crate) fn told(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Cancelled { .. } if self.abandon.is_cancelled() => {
                Failure::Cancelled { message: "the host was stopping".to_owned() }
            }
            failure => failure,
        }
    }
}

fn none_ended(n_attempts: u32, wait: Span) -> String {
    format!("{n_attempts} attempts ran, and none ended within {wait}")
}

/// Where the event of a call happens.
pub(super) fn source(service: &ServiceName) -> String {
    format!("/run/{service}")
}

/// A synchronous call under way. It has a receipt even when its caller goes away before the end.
struct Call<'n> {
    node: &'n Node,
    version: u32,
    /// What runs it now.
    executor: &'static str,
    /// None: it is stored.
    receipt: Option<Receipt>,
    /// What attempts that were not the last have said.
    log: Log,
}

impl Call<'_> {
    fn end(mut self, record: AttemptRecord, log: Log) {
        self.store(record, log);
    }

    /// An attempt ended at a limit, and another follows.
    fn went_on(&mut self, record: AttemptRecord, log: Log) {
        self.log.lines.extend(log.lines);
        self.log.dropped += log.dropped;
        if let Some(receipt) = &mut self.receipt {
            receipt.attempts.push(record);
        }
    }

    fn store(&mut self, record: AttemptRecord, last: Log) {
        let Some(mut receipt) = self.receipt.take() else { return };
        let mut log = std::mem::take(&mut self.log);
        log.lines.extend(last.lines);
        log.dropped += last.dropped;
        receipt.state = if record.failure.is_none() { State::Succeeded } else { State::Failed };
        receipt.finished = Some(Timestamp::now());
        receipt.attempts.push(record);
        self.node.recorder.record(receipt, log);
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let Some(receipt) = &self.receipt else { return };
        let started = receipt.accepted;
        let wall_us = u64::try_from(Timestamp::now().since(started).as_micros()).unwrap_or(u64::MAX);
        let record = AttemptRecord {
            number: u32::try_from(receipt.attempts.len()).unwrap_or(u32::MAX).saturating_add(1),
            version: self.version,
            executor: self.executor.to_owned(),
            started,
            queue_us: 0,
            usage: Usage { wall_us, ..Usage::default() },
            status: None,
            failure: Some(self.node.told(Failure::Cancelled {
                message: "the client went away before the answer was complete".to_owned(),
            })),
            placement: None,
        };
        self.store(record, Log::default());
    }
}
