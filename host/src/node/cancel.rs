//! Stopping what was accepted and is not wanted any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use wicket_core::{InvocationId, Queue as _, QueueError, chain};

use super::Node;

type Tokens = HashMap<InvocationId, (u64, CancellationToken)>;

/// The attempts from the queue that run now, each with what stops it.
#[derive(Debug, Default)]
pub(crate) struct Cancels(Arc<Mutex<Tokens>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Cancellable {
    all: Arc<Mutex<Tokens>>,
    id: InvocationId,
    /// Which attempt: a cancelled one may end after the next has begun.
    number: u64,
    token: CancellationToken,
}

impl Cancels {
    /// Takes note of an attempt that begins.
    pub(crate) fn of(&self, id: InvocationId) -> Cancellable {
        let token = CancellationToken::new();
        let mut all = lock(&self.0);
        let number = all.get(&id).map_or(0, |(number, _)| number + 1);
        all.insert(id, (number, token.clone()));
        drop(all);
        Cancellable { all: self.0.clone(), id, number, token }
    }
}

impl Cancellable {
    /// Returns when somebody has cancelled it.
    pub(crate) async fn cancelled(&self) {
        self.token.cancelled().await;
    }
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        if all.get(&self.id).is_some_and(|(number, _)| *number == self.number) {
            all.remove(&self.id);
        }
    }
}

fn lock(all: &Mutex<Tokens>) -> MutexGuard<'_, Tokens> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Ends an invocation that waits or runs.
    pub(crate) async fn cancel(&self, id: InvocationId, reason: &str) -> Result<(), QueueError> {
        // First the queue: from then on nothing that its attempt has made counts.
        self.queue.cancel(id, reason).await?;
        if let Some((_, token)) = lock(&self.cancels.0).get(&id) {
            token.cancel();
        }
        // What an earlier process began, and would have been taken over.
        if self.docker.is_waiting(id)
            && let Err(error) = self.docker.discard(id).await
        {
            tracing::warn!(%id, error = chain(&error), "its container goes later");
        }
        if let Some(batch) = &self.batch {
            batch.discard(id);
        }
        tracing::info!(%id, reason, "invocation cancelled");
        Ok(())
    }
}
