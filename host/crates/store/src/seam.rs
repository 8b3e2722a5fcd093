//! How queue and buckets take part in each other's transactions without knowing each other.

use std::fmt::Debug;

use wicket_core::{Event, StagedObject};

use crate::{StoreError, Tx};

/// Is told of a new object inside the transaction that makes it visible. The host implements it: route, and push into
/// the queue.
pub trait Announce: Debug + Send + Sync {
    /// An `Err` takes the object back.
    fn created(&self, tx: &mut Tx<'_>, event: &Event) -> Result<(), StoreError>;
}

/// Makes staged outputs visible inside the transaction that ends the invocation. The buckets implement it.
pub trait Publish: Debug + Send + Sync {
    /// All of them, or an `Err` and the invocation has not ended.
    fn publish(&self, tx: &mut Tx<'_>, outputs: &[StagedObject]) -> Result<(), StoreError>;
}
