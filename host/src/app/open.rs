//! Puts the parts of a node together: the only place where they all meet.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wicket_batch::BatchExecutor;
use wicket_buckets::{Keys, LocalBuckets};
use wicket_config::{DockerSection, HostConfig, WasmSection};
use wicket_container::{DockerConfig, DockerExecutor};
use wicket_core::{Fetches, Secret};
use wicket_inference::Inference;
use wicket_queue::SqliteQueue;
use wicket_store::Store;
use wicket_wasm::{Models, WasmConfig, WasmEngine, WasmExecutor};

use super::data_dir::{DB_FILE, DataDir};
use super::{batch, inference};
use crate::auth::Credentials;
use crate::catalog::{self, Catalog, Executors, TableCell};
use crate::node::{Announcer, Cancels, Node, Outside, Placing, Recorder, Running, Slots};
use crate::{doctor, env};

/// A node that is ready to be started.
pub(super) struct Opened {
    /// Its parts.
    pub(super) node: Arc<Node>,
    /// Its folder.
    pub(super) data_dir: DataDir,
    /// Stores receipts until the node is gone.
    pub(super) recording: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Opens a node on its data folder. Nothing listens and nothing runs yet.
pub(super) async fn node(config: HostConfig, data: &Path) -> anyhow::Result<Opened> {
    // Before anything is made: half a key pair is a mistake.
    let s3_keys = env::s3_keys()?;
    // It takes as long as all the rest, and touches nothing of the folder.
    let (max_instances, max_memory) = (config.wasm.max_instances, config.wasm.max_memory);
    let engine = tokio::task::spawn_blocking(move || WasmEngine::start(max_instances, max_memory));
    let data_dir = DataDir::open(data)?;
    let parts = [catalog::PART, wicket_queue::PART, wicket_buckets::PART];
    data_dir.check_whole()?;
    // The store's lock comes first: two hosts on one folder must not touch anything else of it.
    let store = Store::open(&data_dir.file(DB_FILE), &parts).context("the store")?;
    let work = data_dir.fresh_work()?;
    let credentials = credentials(&data_dir, s3_keys)?;

    let table = TableCell::default();
    let announcer = Announcer::new(table.clone());
    let buckets = LocalBuckets::open(store.clone(), &data_dir.file("objects"), announcer.clone())
        .await
        .context("the buckets")?;
    let queue = SqliteQueue::new(store.clone(), buckets.clone());
    announcer.connect(queue.clone());
    let cut_off = queue.end_leases().await.context("the queue")?;
    if cut_off > 0 {
        tracing::info!(cut_off, "attempts that ended with an earlier process are made again");
    }
    let engine = engine.await?.context("the wasm engine")?;
    let inference = Inference::start(inference::settings(&config.inference, data));
    let models = Models::open(inference, &data_dir.file("models")).context("the models")?;
    let wasm = WasmExecutor::on(engine, wasm_config(&config.wasm, &data_dir)?, Some(models.clone()))
        .context("the wasm executor")?;
    let fetches = Fetches::default();
    let docker = DockerExecutor::new(docker_config(&config.docker, &data_dir)?, fetches.clone());
    let batch = batch::config(&config.batch, &data_dir.node_id()?)?.map(BatchExecutor::new);
    let executors = Executors {
        wasm: wasm.clone(),
        docker: docker.clone(),
        batch: batch.clone(),
        models: models.clone(),
        fetches: fetches.clone(),
        max_model: config.inference.max_model,
    };
    let catalog =
        Catalog::open(table, store.clone(), buckets.clone(), executors).await.context("the catalog")?;
    let (recorder, recording) = Recorder::new(queue.clone());
    let node = Node {
        slots: Slots::new(&config.wasm, &config.docker, &config.batch, doctor::machine_memory()),
        config,
        store,
        queue,
        buckets,
        announcer,
        outside: Arc::new(Outside::default()),
        wasm,
        models,
        docker,
        batch,
        catalog,
        credentials,
        running: Running::default(),
        fetches,
        cancels: Cancels::default(),
        recorder,
        placing: Placing::default(),
        work,
        addresses: OnceLock::new(),
        stop: CancellationToken::new(),
        abandon: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    Ok(Opened { node: Arc::new(node), data_dir, recording: Box::pin(recording) })
}

/// What the environment gives goes before what the data folder keeps; what it gives is not stored.
fn credentials(data_dir: &DataDir, s3_keys: Option<(String, Secret)>) -> anyhow::Result<Credentials> {
    let password = match env::admin_password() {
        Some(password) => password,
        None => data_dir.admin_password()?,
    };
    let keys = match s3_keys {
        Some((access_key, secret_key)) => Keys::new(access_key, secret_key.reveal()),
        None => {
            let kept = data_dir.s3_keys()?;
            Keys::new(kept.access_key, kept.secret_key)
        }
    };
    Ok(Credentials::new(password, keys))
}

fn docker_config(section: &DockerSection, data_dir: &DataDir) -> anyhow::Result<DockerConfig> {
    Ok(DockerConfig {
        socket: section.socket.clone().unwrap_or_else(env::docker_socket),
        work: data_dir.containers()?,
        node: data_dir.node_id()?,
        // The engine answers when the container has ended, and its client waits two minutes.
        grace: section.stop_grace.0.min(Duration::from_secs(100)),
        networks: section.networks.clone(),
        images: section.images.clone(),
        pinned_only: section.pinned_only,
        registries: section.registries.clone(),
    })
}

fn wasm_config(section: &WasmSection, data_dir: &DataDir) -> anyhow::Result<WasmConfig> {
    let (modules, cache) = (data_dir.file("modules"), data_dir.file("cache"));
    Ok(WasmConfig {
        max_instances: section.max_instances,
        max_memory: section.max_memory,
        queue_wait: section.queue_wait.0,
        loaded_modules: section.loaded_modules as usize,
        loaded_bytes: section.loaded_bytes,
        compile_memory: section.compile_memory,
        compile_time: section.compile_time.0,
        max_module: section.max_module,
        ..WasmConfig::new(modules, cache, data_dir.cache_key()?)
    })
}
