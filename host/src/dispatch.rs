//! From a waiting invocation to its end: permit, lease, attempt, verdict.
//!
//! One loop per service, so that a slow or poisoned service never stands before another. A loop that has nothing to do
//! is a sleeping task and holds no permit.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use wicket_config::{ServiceName, Then, Variant};
use wicket_core::{
    AttemptRecord, Delivery, Deployment, Failure, Lease, Log, Placed, Queue, QueueError, Settled,
    StagedObject, Timestamp, Usage, Verdict, Waiting, chain, executor_of, judge, moves_on,
};

use crate::attempt::Scratch;
use crate::node::{Node, REMOVED, Slot, Tried, created, service};

/// How long a loop waits after the queue failed, before it asks again.
const QUEUE_FAILED: Duration = Duration::from_secs(1);

/// Runs until the node stops: one loop for every service that is deployed.
pub(crate) async fn run(node: Arc<Node>) {
    let mut changes = node.catalog.changes();
    let mut loops: HashMap<ServiceName, CancellationToken> = HashMap::new();
    loop {
        changes.mark_unchanged();
        let table = node.catalog.table();
        loops.retain(|name, stop| {
            let stays = table.deployments.contains_key(name);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for name in table.deployments.keys() {
            loops.entry(name.clone()).or_insert_with(|| {
                let stop = node.stop.child_token();
                node.tasks.spawn(serve(node.clone(), name.clone(), stop.clone()));
                stop
            });
        }
        tokio::select! {
            () = node.stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// The loop of one service.
async fn serve(node: Arc<Node>, service: ServiceName, stop: CancellationToken) {
    let mut changes = node.catalog.changes();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = node.queue.ready(&service) => {}
        }
        changes.mark_unchanged();
        // Permits first: a lease that waits for a permit would run out.
        let permits = match node.catalog.table().permits.get(&service).cloned() {
            Some(permits) => tokio::select! {
                () = stop.cancelled() => return,
                // The service may have got another bound: then these are not its permits any more.
                changed = changes.changed() => if changed.is_ok() { continue } else { return },
                permit = permits.acquire_owned() => permit,
            },
            // Removed. When it comes back before anybody has seen that it was gone, this loop is still its own.
            None => tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_ok() { continue } else { return },
            },
        };
        // A slot of the executor that most of its attempts run on; one that moves on waits for another's.
        let Some((deployment, variant)) = first_variant(&node, &service) else { continue };
        let slot = tokio::select! {
            () = stop.cancelled() => return,
            slot = node.slots.take(variant, &deployment.service) => slot,
        };
        let (Ok(permit), Some(slot)) = (permits, slot) else { return };
        match node.queue.lease(&service, node.config.queue.lease.0).await {
            Ok(Some(lease)) => {
                node.tasks.spawn(settle(node.clone(), lease, permit, (variant, slot)));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%service, error = chain(&error), "no lease could be taken");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(QUEUE_FAILED) => {}
                }
            }
        }
    }
}

/// The variant that an invocation of this service runs first; none when it was removed just now.
fn first_variant(node: &Node, service: &ServiceName) -> Option<(Arc<Deployment>, Variant)> {
    let deployment = node.catalog.table().deployments.get(service)?.clone();
    let first = deployment.service.variants().first().copied()?;
    Some((deployment, first))
}

/// Runs one leased attempt and settles it.
async fn settle(node: Arc<Node>, lease: Lease, permit: OwnedSemaphorePermit, slot: (Variant, Slot)) {
    let id = lease.invocation.id;
    let service = lease.invocation.service.clone();
    match attempt(&node, lease, slot).await {
        Ok(()) => {}
        Err(QueueError::Fenced(_)) => {
            tracing::warn!(%id, %service, "cancelled, or its lease is lost: what the attempt did is dropped");
        }
        Err(error) => {
            tracing::error!(%id, %service, error = chain(&error), "attempt could not be settled, it will be made again");
        }
    }
    drop(permit);
}

async fn attempt(node: &Node, lease: Lease, slot: (Variant, Slot)) -> Result<(), QueueError> {
    let table = node.catalog.table();
    let Some(deployment) = table.deployments.get(&lease.invocation.service).cloned() else {
        let failure = Failure::Host { message: REMOVED.to_owned() };
        let settled = not_run(node, &lease, 0, failure);
        return node.queue.bury(lease, settled).await;
    };
    let earlier = earlier(node, &lease).await?;
    let size = lease.invocation.event.size();
    let Some(Placed { variant, placement, away }) = node.place(&deployment, size, &earlier).await else {
        let failure = Failure::Host { message: "there is nothing to run".to_owned() };
        let settled = not_run(node, &lease, deployment.version, failure);
        return node.queue.bury(lease, settled).await;
    };
    let lease =
        Lease { attempt: lease.attempt - moved(&deployment, &earlier).min(lease.attempt - 1), ..lease };
    if let Some(reason) = away {
        return wait(node, lease, &deployment, variant, reason).await;
    }
    // One that an earlier process began and a container or a job goes on with is no further attempt.
    let goes_on = node.goes_on(lease.invocation.id);
    if lease.attempt > deployment.service.retry.attempts.max(1) && !goes_on {
        // Attempts that ended with the host itself: a poisoned event must not take it down for ever.
        let message = "no attempt could be settled: each time the host stopped, the disk was full or the lease was lost";
        let failure = Failure::Host { message: message.to_owned() };
        let settled = not_run(node, &lease, deployment.version, failure);
        return node.queue.bury(lease, settled).await;
    }
    let scratch = match Scratch::make(&node.work, &lease.invocation.id.to_string()) {
        Ok(scratch) => scratch,
        Err(error) => {
            let failure = Failure::Host { message: format!("no scratch folder: {error}") };
            let settled = not_run(node, &lease, deployment.version, failure.clone());
            return finish(node, lease, &deployment, variant, settled, Err(failure)).await;
        }
    };
    let queue_us = u64::try_from(Timestamp::now().since(lease.due).as_micros()).unwrap_or(u64::MAX);
    let event = lease.invocation.event.clone();
    let cancel = node.cancels.of(lease.invocation.id);
    let run = async {
        let _slot = on(node, variant, &deployment, slot).await;
        node.try_once(&deployment, variant, lease.invocation.clone(), lease.number, &scratch, None).await
    };
    let Tried { mut record, log, result } = tokio::select! {
        tried = run => tried,
        error = keep(node, &lease) => return Err(error),
        () = cancel.cancelled() => return Err(QueueError::Fenced(lease.invocation.id)),
        // Drained past the deadline: somebody will make this attempt again, and it does not count.
        () = node.abandon.cancelled() => return node.queue.release(lease).await,
    };
    record.queue_us = queue_us;
    record.placement = (deployment.service.variants().len() > 1).then_some(placement);
    node.placing.learn(&deployment, variant, &record);
    let settled = Settled { attempt: record, log };
    // By the services of this moment: one that was deployed while the attempt ran sees what becomes visible now.
    let table = node.catalog.table();
    let result = result.map(|(reply, collected)| {
        let follow_ups = created(&event, lease.invocation.id, &collected.staged)
            .iter()
            .flat_map(|event| table.router.route(event))
            .collect::<Vec<Delivery>>();
        (reply, collected.staged, follow_ups)
    });
    let started: BTreeSet<ServiceName> = match &result {
        Ok((_, _, follow_ups)) => follow_ups.iter().map(|delivery| service(delivery).clone()).collect(),
        Err(_) => BTreeSet::new(),
    };
    finish(node, lease, &deployment, variant, settled, result).await?;
    node.bury_orphans(&started).await
}

/// The attempts of this set: those before a dead letter was redriven do not count.
async fn earlier(node: &Node, lease: &Lease) -> Result<Vec<AttemptRecord>, QueueError> {
    if lease.attempt == 1 {
        return Ok(Vec::new());
    }
    let receipt = node.queue.receipt(lease.invocation.id).await?;
    let mut attempts = receipt.map(|receipt| receipt.attempts).unwrap_or_default();
    attempts.retain(|one| one.number > lease.number.saturating_sub(lease.attempt));
    Ok(attempts)
}

/// How many of these attempts moved on from a lighter variant.
fn moved(deployment: &Deployment, attempts: &[AttemptRecord]) -> u32 {
    let heaviest = deployment.service.variants().last().copied().map(executor_of);
    let moved = attempts
        .iter()
        .filter(|one| heaviest != Some(one.executor.as_str()) && one.failure.as_ref().is_some_and(moves_on));
    u32::try_from(moved.count()).unwrap_or(u32::MAX)
}

/// Puts an invocation back until somebody looks again for what it needs; gives it up when that took too long.
async fn wait(
    node: &Node,
    lease: Lease,
    deployment: &Deployment,
    variant: Variant,
    reason: String,
) -> Result<(), QueueError> {
    let (id, service, now) = (lease.invocation.id, &deployment.service, Timestamp::now());
    let receipt = node.queue.receipt(id).await?;
    let since = receipt.and_then(|receipt| receipt.waiting).map_or(now, |waiting| waiting.since);
    let (waited, patience) = (now.since(since), service.unavailable.timeout);
    if waited >= patience.0 {
        tracing::warn!(%id, service = %service.name, "invocation given up: what it needs did not come back");
        let message = format!("it waited {patience} (`unavailable.timeout`): {reason}");
        let failure = Failure::Unavailable { message };
        let mut settled = not_run(node, &lease, deployment.version, failure);
        executor_of(variant).clone_into(&mut settled.attempt.executor);
        return node.queue.bury(lease, settled).await;
    }
    tracing::info!(%id, service = %service.name, reason, "invocation waits for what it needs");
    let pause = node.placing.pause(&service.name, variant).min(patience.0.saturating_sub(waited));
    node.queue.postpone(lease, Waiting { since, reason }, now.after(pause)).await
}

/// A slot of this variant's executor: the one that was taken, or another.
async fn on(
    node: &Node,
    variant: Variant,
    deployment: &Deployment,
    (of, slot): (Variant, Slot),
) -> Option<Slot> {
    if of == variant {
        return Some(slot);
    }
    drop(slot);
    node.slots.take(variant, &deployment.service).await
}

type Done = (wicket_core::Reply, Vec<StagedObject>, Vec<Delivery>);

async fn finish(
    node: &Node,
    lease: Lease,
    deployment: &Deployment,
    variant: Variant,
    settled: Settled,
    result: Result<Done, Failure>,
) -> Result<(), QueueError> {
    let id = lease.invocation.id;
    if let Err(failure) = &result
        && moves_on(failure)
        && deployment.service.variants().last() != Some(&variant)
        && (deployment.service.unavailable.then == Then::Next
            || !matches!(failure, Failure::Unavailable { .. }))
    {
        tracing::info!(%id, service = %deployment.service.name, %failure, "a heavier variant is next");
        return node.queue.retry(lease, settled, Timestamp::now()).await;
    }
    if let Err(Failure::Unavailable { message }) = result {
        return wait(node, lease, deployment, variant, message).await;
    }
    let (judged, done) = match result {
        Ok((reply, staged, follow_ups)) => (Ok(reply), Some((staged, follow_ups))),
        Err(failure) => (Err(failure), None),
    };
    match (judge(&judged, &deployment.service.retry, lease.attempt, rand::random()), done) {
        (Verdict::Done, Some((staged, follow_ups))) => {
            let unpublished = staged.clone();
            let completed = node.queue.complete(lease, settled, staged, follow_ups).await;
            if completed.is_err() {
                node.buckets.discard(unpublished);
            }
            completed
        }
        (Verdict::Retry(wait), _) => {
            tracing::info!(%id, service = %deployment.service.name, ?wait, "attempt failed, will retry");
            node.queue.retry(lease, settled, Timestamp::now().after(wait)).await
        }
        (Verdict::Bury | Verdict::Done, _) => {
            tracing::warn!(%id, service = %deployment.service.name, "invocation given up");
            node.queue.bury(lease, settled).await
        }
    }
}

/// Holds the lease while the attempt runs; returns when it is lost.
async fn keep(node: &Node, lease: &Lease) -> QueueError {
    let ttl = node.config.queue.lease.0;
    let mut held_until = Instant::now() + ttl;
    loop {
        tokio::time::sleep(ttl / 3).await;
        match node.queue.extend(lease, ttl).await {
            Ok(()) => held_until = Instant::now() + ttl,
            Err(error @ QueueError::Fenced(_)) => return error,
            // A full or slow disk: the lease holds for a while yet.
            Err(error) if Instant::now() > held_until => return error,
            Err(error) => {
                tracing::warn!(error = chain(&error), "lease could not be extended, will try again");
            }
        }
    }
}

/// The record of an attempt that was not made.
fn not_run(node: &Node, lease: &Lease, version: u32, failure: Failure) -> Settled {
    let attempt = AttemptRecord {
        number: lease.number,
        version,
        executor: first_variant(node, &lease.invocation.service)
            .map_or("none", |(_, first)| executor_of(first))
            .to_owned(),
        started: Timestamp::now(),
        queue_us: 0,
        usage: Usage::default(),
        status: None,
        failure: Some(failure),
        placement: None,
    };
    Settled { attempt, log: Log::default() }
}
