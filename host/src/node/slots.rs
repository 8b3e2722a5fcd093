//! How much runs at once, over all services.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wicket_config::{BatchSection, ByteSize, DockerSection, Service, Variant, WasmSection};

/// The budget of each executor. Each has its own: one that is full slows no other.
#[derive(Debug)]
pub(crate) struct Slots {
    wasm: Count,
    docker: Count,
    /// MiB that containers may have together.
    memory: Count,
    batch: Count,
}

/// A semaphore, and how many permits it began with.
#[derive(Debug)]
struct Count {
    most: u32,
    permits: Arc<Semaphore>,
}

/// A place on an executor. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Slot(#[expect(dead_code, reason = "held, not looked at")] Vec<OwnedSemaphorePermit>);

impl Count {
    fn new(most: u32) -> Self {
        Self { most, permits: Arc::new(Semaphore::new(most as usize)) }
    }

    /// Nobody closes it.
    async fn take(&self, n: u32) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().acquire_many_owned(n.min(self.most)).await.ok()
    }
}

impl Slots {
    /// `machine` is the memory of this machine: what containers have together, where the operator says nothing else.
    pub(crate) fn new(
        wasm: &WasmSection,
        docker: &DockerSection,
        batch: &BatchSection,
        machine: ByteSize,
    ) -> Self {
        Self {
            wasm: Count::new(wasm.max_instances),
            docker: Count::new(docker.max_containers),
            memory: Count::new(mib(docker.max_memory.unwrap_or(machine))),
            batch: Count::new(batch.max_jobs),
        }
    }

    /// A place for an attempt of a service, when there is one.
    pub(crate) async fn take(&self, variant: Variant, service: &Service) -> Option<Slot> {
        let permits = match (variant, &service.container) {
            (Variant::Wasm, _) => vec![self.wasm.take(1).await?],
            (Variant::Batch, _) => vec![self.batch.take(1).await?],
            // Memory first: who waits for it holds no place that a smaller one could use.
            (Variant::Docker, Some(container)) => {
                let memory = self.memory.take(mib(container.memory)).await?;
                vec![memory, self.docker.take(1).await?]
            }
            (Variant::Docker, None) => vec![self.docker.take(1).await?],
        };
        Some(Slot(permits))
    }

    /// How many attempts a variant's executor runs at once.
    pub(crate) fn most(&self, variant: Variant) -> u32 {
        match variant {
            Variant::Wasm => self.wasm.most,
            Variant::Docker => self.docker.most,
            Variant::Batch => self.batch.most,
        }
    }

    /// Memory that all containers have together.
    pub(crate) fn memory(&self) -> ByteSize {
        ByteSize::mib(self.memory.most.into())
    }
}

/// In whole MiB, a part of one counted as one.
fn mib(size: ByteSize) -> u32 {
    u32::try_from(size.0.div_ceil(1 << 20)).unwrap_or(u32::MAX)
}
