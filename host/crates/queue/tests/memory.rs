//! The contract over the queue in memory.

use async_trait::async_trait;
use wicket_core::{Queue, StagedObject};
use wicket_queue::MemoryQueue;
use wicket_queue::contract::Subject;

struct Memory(MemoryQueue);

#[async_trait]
impl Subject for Memory {
    fn queue(&self) -> &dyn Queue {
        &self.0
    }
    async fn published(&self) -> Vec<StagedObject> {
        self.0.published()
    }
}

async fn make() -> Memory {
    Memory(MemoryQueue::new())
}

wicket_queue::contract!(make);
