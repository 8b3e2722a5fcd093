//! Stopping what was accepted and is not wanted any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use wicket_core::{InvocationId, Queue as _, QueueError};

use super::Node;

type Tokens = HashMap<InvocationId, CancellationToken>;

/// The attempts from the queue that run now, each with what stops it.
#[derive(Debug, Default)]
pub(crate) struct Cancels(Arc<Mutex<Tokens>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Cancellable {
    all: Arc<Mutex<Tokens>>,
    id: InvocationId,
    token: CancellationToken,
}

impl Cancels {
    /// Takes note of an attempt that begins.
    pub(crate) fn of(&self, id: InvocationId) -> Cancellable {
        let token = CancellationToken::new();
        lock(&self.0).insert(id, token.clone());
        Cancellable { all: self.0.clone(), id, token }
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
        lock(&self.all).remove(&self.id);
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
        if let Some(token) = lock(&self.cancels.0).get(&id) {
            token.cancel();
        }
        tracing::info!(%id, reason, "invocation cancelled");
        Ok(())
    }
}
