//! Which services stand on this node, in which version, and the tables compiled from them.
//!
//! The table is swapped whole: whoever took the old one finishes with it, and nobody sees half of a change.

mod http_table;
mod models;
mod record;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Semaphore, watch};
use wicket_batch::{BatchError, BatchExecutor};
use wicket_buckets::{BucketError, LocalBuckets};
use wicket_config::{ByteSize, ImageName, ModelName, ModuleDigest, Service, ServiceName, Variant};
use wicket_container::{DockerExecutor, EngineError};
use wicket_core::{Cycle, Deployment, Fetches, Router, Secret, Timestamp, chain, find_cycle};
use wicket_store::{Store, StoreError};
use wicket_wasm::{FileError, Models, ModuleError, Shape, WasmExecutor};

pub(crate) use http_table::{Endpoint, HttpTable, Lookup, RouteClash};
pub(crate) use models::NoModel;
pub(crate) use record::PART;

/// Everything compiled from the services of this moment.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Events to services.
    pub(crate) router: Router,
    /// Services by name.
    pub(crate) deployments: BTreeMap<ServiceName, Arc<Deployment>>,
    /// HTTP requests to services.
    pub(crate) http: HttpTable,
    /// What bounds the attempts of each service at once.
    pub(crate) permits: HashMap<ServiceName, Arc<Semaphore>>,
}

/// Where the current table is read. Exists before the catalog: a bucket that announces an object needs only this.
pub(crate) type TableCell = Arc<ArcSwap<Table>>;

/// The services of this node.
#[derive(Debug)]
pub(crate) struct Catalog {
    cell: TableCell,
    store: Store,
    buckets: Arc<LocalBuckets>,
    executors: Executors,
    /// Changes come one after the other.
    changing: Mutex<()>,
    changed: watch::Sender<u64>,
}

/// What services are checked with before they stand.
#[derive(Clone, Debug)]
pub(crate) struct Executors {
    pub(crate) wasm: Arc<WasmExecutor>,
    pub(crate) docker: Arc<DockerExecutor>,
    pub(crate) batch: Option<Arc<BatchExecutor>>,
    /// What modules infer with.
    pub(crate) models: Models,
    /// What is on its way here.
    pub(crate) fetches: Fetches,
    /// Largest model that is fetched.
    pub(crate) max_model: ByteSize,
}

/// What must hold of a service for `apply` to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// There is none of its name.
    Absent,
    /// There is one.
    Present,
}

/// What `apply` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// What happened.
    pub(crate) change: Change,
    /// The version that is current now.
    pub(crate) version: u32,
    /// Why one of its variants cannot run now, where another can.
    pub(crate) note: Option<String>,
}

/// What happened to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is new.
    Created,
    /// It has a new version.
    Updated,
    /// It was just so already.
    Unchanged,
}

/// One version of a service.
#[derive(Clone, Debug)]
pub(crate) struct VersionInfo {
    /// From 1.
    pub(crate) version: u32,
    /// When it was applied.
    pub(crate) created: Timestamp,
    /// Its module.
    pub(crate) wasm: Option<ModuleDigest>,
    /// Its image.
    pub(crate) image: Option<ImageName>,
    /// Whether it is the one that runs.
    pub(crate) current: bool,
}

/// Why a service was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// It would make a circle.
    #[error(transparent)]
    Cycle(#[from] Cycle),
    /// Its routes meet another's.
    #[error(transparent)]
    Route(#[from] RouteClash),
    /// Its module is missing or does not fit.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// One of its models is missing or cannot run.
    #[error("the model `{1}` of service `{0}`")]
    Model(ServiceName, ModelName, #[source] NoModel),
    /// It asks for more memory than this host gives to one function.
    #[error(
        "service `{0}` asks for `limits.memory` {1}, and this host gives at most {2} (`wasm.max_memory`)"
    )]
    Memory(ServiceName, ByteSize, ByteSize),
    /// It cannot run in a container here.
    #[error("service `{0}` cannot run in a container here")]
    Engine(ServiceName, #[source] EngineError),
    /// It cannot run as a batch job by this host.
    #[error("service `{0}` cannot run as a batch job")]
    Batch(ServiceName, #[source] BatchError),
    /// It has HTTP routes, and its module answers none.
    #[error("service `{0}` has HTTP routes, and its module is no HTTP handler but {1}")]
    NoHandler(ServiceName, Shape),
    /// One of its secrets is too short to be told from other words in a log.
    #[error(
        "secret `{1}` of service `{0}` is too short to be kept out of its log: a secret has at least {least} bytes in one line",
        least = Secret::SHORTEST
    )]
    Secret(ServiceName, String),
    /// Its buckets could not be made.
    #[error("cannot make the buckets of service `{0}`")]
    Bucket(ServiceName, #[source] BucketError),
    /// There is one already, and it was not to be changed.
    #[error("there is a service `{0}` already")]
    Taken(ServiceName),
    /// No such service.
    #[error("there is no service `{0}`")]
    Unknown(ServiceName),
    /// No such version of it.
    #[error("service `{0}` has no version {1}")]
    NoVersion(ServiceName, u32),
    /// Nothing older to go back to.
    #[error("service `{0}` has no version before its current one")]
    NoOlder(ServiceName),
    /// The store failed.
    #[error("cannot store service `{0}`")]
    Store(ServiceName, #[source] StoreError),
}

/// Why modules that nobody names are still here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgetError {
    /// The store does not say which are named.
    #[error("cannot read which modules are named")]
    Store(#[from] StoreError),
    /// A file cannot be listed or removed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The same, of a module.
    #[error(transparent)]
    Module(#[from] ModuleError),
}

impl Catalog {
    /// Reads the services of this node and compiles their table.
    pub(crate) async fn open(
        cell: TableCell,
        store: Store,
        buckets: Arc<LocalBuckets>,
        executors: Executors,
    ) -> Result<Arc<Self>, StoreError> {
        let deployments = store.read(record::load).await?;
        let table = Table::compile(deployments, &Table::default());
        cell.store(Arc::new(table));
        Ok(Arc::new(Self {
            cell,
            store,
            buckets,
            executors,
            changing: Mutex::new(()),
            changed: watch::Sender::new(0),
        }))
    }

    /// The table of this moment.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.cell.load_full()
    }

    /// Wakes after every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Creates or updates a service: checked, compiled, stored, then swapped in. On an error nothing has changed.
    pub(crate) async fn apply(
        &self,
        mut service: Service,
        secrets: BTreeMap<String, String>,
        expected: Expected,
    ) -> Result<Applied, ApplyError> {
        // Compiled before others have to wait: it may take minutes, and one of them may be a rollback.
        let table = self.table();
        expected.of(&table, &service.name)?;
        self.fits(&table, &service)?;
        let secrets: BTreeMap<String, Secret> =
            secrets.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        can_be_hidden(&service.name, &secrets)?;
        if let Some(module) = &service.wasm {
            let module = self.executors.wasm.prepare(module).await?;
            if !service.http.is_empty() && module.shape != Shape::Http {
                return Err(ApplyError::NoHandler(service.name, module.shape));
            }
        }
        self.ready(&service).await?;
        let mut note = None;
        if service.variants().contains(&Variant::Docker) {
            let content = match self.executors.docker.prepare(&service).await {
                Ok(content) => content,
                // It has another way to run.
                Err(error) if service.variants().len() > 1 => {
                    let why = format!("not on docker now: {}", chain(&error));
                    tracing::warn!(service = %service.name, "{why}");
                    note = Some(why);
                    None
                }
                Err(error) => return Err(ApplyError::Engine(service.name.clone(), error)),
            };
            if let Some(container) = &mut service.container {
                container.content = content;
            }
        }
        if service.variants().contains(&Variant::Batch) {
            let checked = match &self.executors.batch {
                Some(batch) => batch.check(&service),
                // It has another way to run.
                None if service.variants().len() > 1 => Ok(()),
                None => {
                    Err(BatchError::Lacks("this host is not set up for AWS Batch (`[batch]`)".to_owned()))
                }
            };
            checked.map_err(|source| ApplyError::Batch(service.name.clone(), source))?;
        }

        let _one_at_a_time = self.changing.lock().await;
        let table = self.table();
        let name = service.name.clone();
        expected.of(&table, &name)?;
        let current = table.deployments.get(&name);
        if let Some(current) = current
            && current.service == service
            && current.secrets == secrets
        {
            return Ok(Applied { change: Change::Unchanged, version: current.version, note });
        }
        self.check(&table, &service).await?;
        let change = if current.is_some() { Change::Updated } else { Change::Created };
        let deployment = self
            .store
            .write(move |tx| record::insert(tx, service, secrets))
            .await
            .map_err(|source| ApplyError::Store(name, source))?;
        let version = deployment.version;
        self.swap(&table, deployment).await;
        Ok(Applied { change, version, note })
    }

    /// Makes an older version current again: the given one, or the one before the current.
    pub(crate) async fn rollback(&self, name: &ServiceName, to: Option<u32>) -> Result<u32, ApplyError> {
        let _one_at_a_time = self.changing.lock().await;
        let table = self.table();
        let current = table.deployments.get(name).ok_or_else(|| ApplyError::Unknown(name.clone()))?;
        let versions = self.versions(name).await?;
        let version = match to {
            Some(version) => version,
            None => versions
                .iter()
                .map(|info| info.version)
                .filter(|version| *version < current.version)
                .max()
                .ok_or_else(|| ApplyError::NoOlder(name.clone()))?,
        };
        let wanted = name.clone();
        let found = self
            .store
            .read(move |db| record::version(db, &wanted, version))
            .await
            .map_err(|source| ApplyError::Store(name.clone(), source))?
            .ok_or_else(|| ApplyError::NoVersion(name.clone(), version))?;
        self.check(&table, &found.service).await?;
        let wanted = name.clone();
        self.store
            .write(move |tx| record::set_current(tx, &wanted, version))
            .await
            .map_err(|source| ApplyError::Store(name.clone(), source))?;
        self.swap(&table, found).await;
        Ok(version)
    }

    /// Takes a service away; false when there was none. What it left in queue and buckets stays.
    pub(crate) async fn remove(&self, name: &ServiceName) -> Result<bool, ApplyError> {
        let _one_at_a_time = self.changing.lock().await;
        let table = self.table();
        if !table.deployments.contains_key(name) {
            return Ok(false);
        }
        let wanted = name.clone();
        self.store
            .write_freeing(move |tx| record::delete(tx, &wanted))
            .await
            .map_err(|source| ApplyError::Store(name.clone(), source))?;
        let rest = table.deployments.values().filter(|d| d.service.name != *name).cloned().collect();
        self.put(Table::compile(rest, &table)).await;
        Ok(true)
    }

    /// All versions of a service, newest first.
    pub(crate) async fn versions(&self, name: &ServiceName) -> Result<Vec<VersionInfo>, ApplyError> {
        let wanted = name.clone();
        let versions = self.store.read(move |db| record::versions(db, &wanted)).await;
        versions.map_err(|source| ApplyError::Store(name.clone(), source))
    }

    /// The token that runs a service; the same over all its versions.
    pub(crate) async fn token(&self, name: &ServiceName) -> Result<Option<Secret>, ApplyError> {
        let wanted = name.clone();
        let token = self.store.read(move |db| record::token(db, &wanted)).await;
        token.map_err(|source| ApplyError::Store(name.clone(), source))
    }

    /// The tokens of all services.
    pub(crate) async fn tokens(&self) -> Result<Vec<(ServiceName, Secret)>, StoreError> {
        self.store.read(record::tokens).await
    }

    /// Removes modules and models that no version of a service names any more. One that was uploaded within `age` stays: somebody
    /// is about to name it. Answers how many went.
    pub(crate) async fn forget_modules(&self, age: Duration) -> Result<usize, ForgetError> {
        let _one_at_a_time = self.changing.lock().await;
        let named = self.store.read(record::modules).await?;
        let now = Timestamp::now();
        let mut n_gone = 0;
        for module in self.executors.wasm.modules().await? {
            let Ok(digest) = module.digest.parse::<ModuleDigest>() else { continue };
            if !named.contains(&digest) && now.since(module.stored) > age {
                n_gone += usize::from(self.executors.wasm.remove_module(&digest).await?);
            }
        }
        let named = self.store.read(record::models).await?;
        let files = self.executors.models.files();
        for model in files.list().await? {
            if !named.contains(&model.digest) && now.since(model.stored) > age {
                n_gone += usize::from(files.remove(&model.digest).await?);
            }
        }
        Ok(n_gone)
    }

    /// Everything that can be wrong with a service on this node.
    async fn check(&self, table: &Table, service: &Service) -> Result<(), ApplyError> {
        self.fits(table, service)?;
        if let Some(module) = &service.wasm {
            self.executors.wasm.prepare(module).await?;
        }
        let local = |provider: &wicket_config::ProviderId| provider.is_local();
        let inputs = service.input.iter().filter(|input| local(&input.storage_provider)).map(|i| &i.bucket);
        let outputs =
            service.output.iter().filter(|output| local(&output.storage_provider)).map(|o| &o.bucket);
        for bucket in inputs.chain(outputs) {
            self.buckets
                .create(bucket)
                .await
                .map_err(|source| ApplyError::Bucket(service.name.clone(), source))?;
        }
        Ok(())
    }

    /// Whether a service can stand beside the others on this machine.
    fn fits(&self, table: &Table, service: &Service) -> Result<(), ApplyError> {
        let others = table.deployments.values().filter(|d| d.service.name != service.name);
        let mut all: Vec<Arc<Service>> = others.map(|d| Arc::new(d.service.clone())).collect();
        all.push(Arc::new(service.clone()));
        if let Some(cycle) = find_cycle(&all) {
            return Err(cycle.into());
        }
        HttpTable::check(all.iter().map(|service| &**service))?;
        let (asked, most) = (service.limits.memory, self.executors.wasm.max_memory());
        // With another variant it runs there.
        let only = service.variants() == [Variant::Wasm] || !service.http.is_empty();
        if service.wasm.is_some() && only && asked.0 > most.0 {
            return Err(ApplyError::Memory(service.name.clone(), asked, most));
        }
        Ok(())
    }

    async fn swap(&self, table: &Table, deployment: Deployment) {
        let name = deployment.service.name.clone();
        let mut all: Vec<Arc<Deployment>> =
            table.deployments.values().filter(|d| d.service.name != name).cloned().collect();
        all.push(Arc::new(deployment));
        self.put(Table::compile(all, table)).await;
    }

    async fn put(&self, table: Table) {
        let before = self.cell.swap(Arc::new(table));
        self.changed.send_modify(|n| *n += 1);
        self.let_go(&before).await;
    }
}

/// An empty one is no secret.
fn can_be_hidden(service: &ServiceName, secrets: &BTreeMap<String, Secret>) -> Result<(), ApplyError> {
    match secrets.iter().find(|(_, secret)| !secret.can_be_hidden()) {
        Some((name, _)) => Err(ApplyError::Secret(service.clone(), name.clone())),
        None => Ok(()),
    }
}

impl Expected {
    /// Whether it is so.
    fn of(self, table: &Table, name: &ServiceName) -> Result<(), ApplyError> {
        match (self, table.deployments.contains_key(name)) {
            (Self::Absent, true) => Err(ApplyError::Taken(name.clone())),
            (Self::Present, false) => Err(ApplyError::Unknown(name.clone())),
            (Self::Absent, false) | (Self::Present, true) => Ok(()),
        }
    }
}

impl Table {
    /// Compiles these services. Permits of services whose bound did not change are kept, so that a swap under load
    /// lets no more attempts run than before.
    fn compile(deployments: Vec<Arc<Deployment>>, before: &Self) -> Self {
        let mut permits = HashMap::new();
        for deployment in &deployments {
            let service = &deployment.service;
            let same = before
                .deployments
                .get(&service.name)
                .is_some_and(|old| old.service.limits.concurrency == service.limits.concurrency);
            let kept = before.permits.get(&service.name).filter(|_| same).cloned();
            let bound = usize::try_from(service.limits.concurrency).unwrap_or(usize::MAX);
            let semaphore =
                kept.unwrap_or_else(|| Arc::new(Semaphore::new(bound.min(Semaphore::MAX_PERMITS))));
            permits.insert(service.name.clone(), semaphore);
        }
        let services = deployments.iter().map(|d| Arc::new(d.service.clone())).collect();
        Self {
            router: Router::compile(services),
            http: HttpTable::compile(&deployments, &permits),
            deployments: deployments.into_iter().map(|d| (d.service.name.clone(), d)).collect(),
            permits,
        }
    }
}
