//! Where attempts run: what the host lacks, what it has learned, and what follows for an attempt.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wicket_config::{Service, ServiceName, Variant};
use wicket_core::{
    Asked, AttemptRecord, Deployment, Experience, Failure, Filter, Lack, Placed, Placement, Queue, Receipt,
    executor_of, place,
};

use super::Node;

/// Invocations of a service that a host looks back on when it starts.
const LOOK_BACK: u32 = 1000;
/// How long something that is away is left alone: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// What is known beside the configuration.
#[derive(Debug, Default)]
pub(crate) struct Placing {
    /// By service, with the version that it is about.
    experience: Mutex<HashMap<ServiceName, (u32, Experience)>>,
    away: Mutex<HashMap<(ServiceName, Variant), Away>>,
}

/// Something that was away when it was looked for.
#[derive(Clone, Debug)]
struct Away {
    why: String,
    /// When somebody may look again, and how long that was from the last look.
    until: Instant,
    pause: Duration,
}

impl Placing {
    fn experience(&self) -> MutexGuard<'_, HashMap<ServiceName, (u32, Experience)>> {
        self.experience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn away(&self) -> MutexGuard<'_, HashMap<(ServiceName, Variant), Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long until somebody looks again for what a variant runs on.
    pub(crate) fn pause(&self, service: &ServiceName, variant: Variant) -> Duration {
        let away = self.away();
        let until = away.get(&(service.clone(), variant)).map(|away| away.until);
        until.map_or(FIRST_PAUSE, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Takes in how an attempt ended.
    pub(crate) fn learn(&self, deployment: &Deployment, variant: Variant, record: &AttemptRecord) {
        let name = &deployment.service.name;
        let mut away = self.away();
        let key = (name.clone(), variant);
        match &record.failure {
            Some(Failure::Unavailable { message }) => {
                let pause = away.get(&key).map_or(FIRST_PAUSE, |one| (one.pause * 2).min(LAST_PAUSE));
                away.insert(key, Away { why: message.clone(), until: Instant::now() + pause, pause });
            }
            // It ran, so it is there.
            Some(_) | None => {
                away.remove(&key);
            }
        }
        drop(away);
        if record.placement.is_none() {
            return;
        }
        let mut experience = self.experience();
        if let Some((_, experience)) =
            experience.get_mut(name).filter(|(version, _)| *version == deployment.version)
        {
            experience.learn(record);
        }
    }

    /// A new version may run where the one before could not.
    pub(crate) fn forget(&self, service: &ServiceName) {
        self.away().retain(|(name, _), _| name != service);
        self.experience().remove(service);
    }
}

impl Node {
    /// Where an attempt of a service runs on an input of this size, after these attempts; none when it has no variant.
    pub(crate) async fn place(
        &self,
        deployment: &Deployment,
        size: Option<u64>,
        attempts: &[AttemptRecord],
    ) -> Option<Placed> {
        // Most have one variant, and nothing to learn.
        if deployment.service.variants().len() < 2 {
            return self.place_by(deployment, size, attempts, &mut Experience::default());
        }
        self.look_back(deployment).await;
        let mut experience = self.placing.experience();
        let (_, experience) = experience
            .entry(deployment.service.name.clone())
            .or_insert_with(|| (deployment.version, Experience::default()));
        self.place_by(deployment, size, attempts, experience)
    }

    /// The same as a question: no probe counts as made.
    pub(crate) async fn would_place(&self, deployment: &Deployment, size: Option<u64>) -> Option<Placed> {
        self.look_back(deployment).await;
        let known = self.placing.experience().get(&deployment.service.name).cloned();
        let (_, mut experience) = known.unwrap_or_default();
        self.place_by(deployment, size, &[], &mut experience)
    }

    fn place_by(
        &self,
        deployment: &Deployment,
        size: Option<u64>,
        attempts: &[AttemptRecord],
        experience: &mut Experience,
    ) -> Option<Placed> {
        let variants = deployment.service.variants();
        let asked = Asked {
            variants: &variants,
            version: deployment.version,
            then: deployment.service.unavailable.then,
            size,
            attempts,
            lacks: &|variant| self.lacks(&deployment.service, variant),
        };
        let mut placed = place(&asked, experience)?;
        if variants.len() == 1 {
            placed.placement = Placement::default();
        }
        Some(placed)
    }

    /// Reads what receipts say of this version, once.
    async fn look_back(&self, deployment: &Deployment) {
        let (name, version) = (&deployment.service.name, deployment.version);
        let is_known = |known: &HashMap<ServiceName, (u32, Experience)>| {
            known.get(name).is_some_and(|(known, _)| *known == version)
        };
        if deployment.service.variants().len() < 2 || is_known(&self.placing.experience()) {
            return;
        }
        let filter = Filter { service: Some(name.clone()), limit: LOOK_BACK, ..Filter::default() };
        let receipts: Vec<Receipt> = self.queue.list(&filter).await.unwrap_or_else(|error| {
            tracing::warn!(service = %name, %error, "the record of a service cannot be read: it begins anew");
            Vec::new()
        });
        let attempts = receipts.iter().rev().flat_map(|receipt| &receipt.attempts);
        let experience = Experience::of(version, attempts);
        let mut known = self.placing.experience();
        if !is_known(&known) {
            known.insert(name.clone(), (version, experience));
        }
    }

    /// Which variants of a service can never run on this host, and why.
    pub(crate) fn some_never_run(&self, service: &Service) -> Vec<String> {
        let needs = |variant: Variant| match self.lacks(service, variant)? {
            Lack::Needs(what) => Some(format!("not on {}: {what}", executor_of(variant))),
            Lack::Away(_) => None,
        };
        service.variants().into_iter().filter_map(needs).collect()
    }

    /// Why a service can never run on this host; none where one of its variants can.
    pub(crate) fn never_runs(&self, service: &Service) -> Option<String> {
        let needs = |variant: Variant| match self.lacks(service, variant) {
            Some(Lack::Needs(what)) => Some(what),
            Some(Lack::Away(_)) | None => None,
        };
        let all: Option<Vec<String>> = service.variants().into_iter().map(needs).collect();
        all.map(|all| all.join("; "))
    }

    /// What this host lacks for a variant of a service.
    fn lacks(&self, service: &Service, variant: Variant) -> Option<Lack> {
        if self.executor(variant).is_none() {
            let text = "this host is not set up for AWS Batch (`[batch]` in wicket.toml)".to_owned();
            return Some(Lack::Needs(text));
        }
        if variant == Variant::Wasm {
            let gpus = [
                service.container.as_ref().map_or(0, |container| container.gpus),
                service.batch.as_ref().map_or(0, |batch| batch.gpus),
            ];
            // A module that infers says itself what its models run on (`models.target`).
            let gpus = gpus.into_iter().max().filter(|gpus| *gpus > 0 && service.models.is_empty());
            if let Some(gpus) = gpus {
                return Some(Lack::Needs(format!("it needs {gpus} GPU(s), which a wasm instance has not")));
            }
            let (asked, most) = (service.limits.memory, self.config.wasm.max_memory);
            if asked.0 > most.0 {
                let text = format!(
                    "it needs {asked} of memory, and a wasm instance has at most {most} here (`wasm.max_memory`)"
                );
                return Some(Lack::Needs(text));
            }
        }
        let most = self.slots.memory();
        if let (Variant::Docker, Some(container)) = (variant, &service.container)
            && container.memory.0 > most.0
        {
            let asked = container.memory;
            return Some(Lack::Needs(format!(
                "it needs {asked} of memory, and containers have {most} together here (`docker.max_memory`)"
            )));
        }
        let away = self.placing.away();
        let away = away.get(&(service.name.clone(), variant)).filter(|away| away.until > Instant::now())?;
        Some(Lack::Away(away.why.clone()))
    }
}
