//! `wicket serve`: put the parts together, run, take them apart in order.

pub(crate) mod batch;
mod data_dir;
pub(crate) mod inference;
mod open;
mod shutdown;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::task::TaskTracker;
use wicket_config::HostConfig;
use wicket_core::{Queue, Retention, chain};

use crate::auth::ADMIN_USER;
use crate::node::{Addresses, Node};
use crate::{api, dispatch, env, trigger};

pub(crate) use data_dir::{HOST_FILE, NODE_ID_FILE, PASSWORD_FILE, S3_KEYS_FILE};

/// How `serve` talks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServeOptions {
    /// Print the addresses as JSON.
    pub(crate) json: bool,
}

/// Connections that wait in the kernel to be accepted; of more, clients try again after a second.
const BACKLOG: u32 = 4096;

/// How often old receipts and logs are looked for, and containers that are nobody's.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// How long a container engine is waited for when the host starts and when it ends.
const ENGINE: Duration = Duration::from_secs(10);

/// How long AWS Batch and the work bucket of its jobs are waited for when the host starts and when it ends.
const BATCH: Duration = Duration::from_secs(20);

/// How long an uploaded module may wait for a service that names it.
const UNNAMED: Duration = Duration::from_secs(86_400);

/// Runs a host on the data folder `data` until it is told to stop.
pub(crate) fn serve(config: HostConfig, data: PathBuf, options: ServeOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(run(config, data, options));
    // What still blocks a thread (a compile in its child process) must not hold the exit.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn run(config: HostConfig, data: PathBuf, options: ServeOptions) -> anyhow::Result<()> {
    // Bound and opened before anything starts: whoever sees the addresses can use them.
    let http = bind(config.top.listen).context("the HTTP listener")?;
    let s3 = bind(config.top.s3_listen).context("the S3 listener")?;
    let addresses = Addresses { pid: std::process::id(), http: http.local_addr()?, s3: s3.local_addr()? };
    let mut signals = shutdown::Signals::new()?;
    // In a task of its own: a signal ends the host also while a large store is being opened.
    let opening = TaskTracker::new().spawn(async move { open::node(config, &data).await });
    let opened = tokio::select! {
        opened = opening => opened??,
        () = signals.wait() => return Ok(()),
    };
    let node = opened.node;
    node.addresses.get_or_init(|| addresses);

    // Before anybody can call: what runs then is told from what was left.
    recover_containers(&node).await;
    recover_jobs(&node).await;
    let s3_endpoint = wicket_buckets::S3Endpoint::new(node.buckets.clone(), node.credentials.s3.clone());
    node.tasks.spawn(s3_endpoint.serve(s3, node.stop.clone()));
    node.tasks.spawn(trigger::http::serve(node.clone(), http, api::router(node.clone())));
    node.tasks.spawn(dispatch::run(node.clone()));
    node.tasks.spawn(housekeeping(node.clone()));
    node.tasks.spawn(tidy_containers(node.clone()));
    // Not one of the node's tasks: it ends when they have.
    let recording = TaskTracker::new();
    recording.spawn(opened.recording);
    recording.close();

    if let Err(error) = opened.data_dir.write_host_file(&addresses) {
        let error = format!("{error:#}");
        tracing::warn!(error, "commands will not find this host by its data folder: give them --endpoint");
    }
    say(&addresses, &opened.data_dir, options)?;
    node.tasks.spawn(sweep(node.clone()));

    signals.wait().await;
    tracing::info!("draining");
    node.stop.cancel();
    node.tasks.close();
    let drain = async {
        if tokio::time::timeout(node.config.drain.deadline.0, node.tasks.wait()).await.is_err() {
            tracing::warn!("drain deadline passed: what still runs is returned to the queue");
        }
    };
    tokio::select! {
        () = drain => {}
        () = signals.wait() => tracing::warn!("second signal: leaving at once"),
    }
    node.abandon.cancel();
    let returned = tokio::time::timeout(Duration::from_secs(2), node.tasks.wait()).await;
    if returned.is_err() {
        tracing::warn!("some work did not end; its leases run out by themselves");
    }
    opened.data_dir.remove_host_file();
    if tokio::time::timeout(ENGINE, node.docker.drain()).await.is_err() {
        tracing::warn!("some containers were not removed; the next start does it");
    }
    if let Some(batch) = &node.batch
        && tokio::time::timeout(BATCH, batch.drain()).await.is_err()
    {
        tracing::warn!("some batch jobs were not ended; the next start does it");
    }
    node.models.inference().close().await;
    let store = node.store.clone();
    let dropped = node.recorder.dropped();
    drop(node);
    if tokio::time::timeout(Duration::from_secs(2), recording.wait()).await.is_err() || dropped > 0 {
        tracing::warn!(dropped, "some receipts of synchronous calls were not stored");
    }
    store.close().await;
    Ok(())
}

fn bind(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A host that starts again has its port at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| {
        format!("cannot listen on {address}: is another host running? choose a port with --listen / --s3-listen, 0 for a free one")
    })
}

fn say(addresses: &Addresses, data_dir: &data_dir::DataDir, options: ServeOptions) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if options.json {
        writeln!(
            out,
            "{}",
            serde_json::json!({
                "http": format!("http://{}", addresses.http),
                "s3": format!("http://{}", addresses.s3),
                "data": data_dir.path(),
                "pid": addresses.pid,
            })
        )?;
    } else {
        writeln!(out, "HTTP and API  http://{}", addresses.http)?;
        writeln!(out, "S3            http://{}", addresses.s3)?;
        writeln!(out, "data          {}", data_dir.path().display())?;
        // What the environment gives is in no file.
        let (password, keys) =
            (env::admin_password().is_some(), env::s3_keys().is_ok_and(|keys| keys.is_some()));
        let place = |given: bool, variable: &str, file: &str| match given {
            true => format!("from {variable}"),
            false => format!("in {}", data_dir.file(file).display()),
        };
        let password = place(password, env::ADMIN_PASSWORD, PASSWORD_FILE);
        writeln!(out, "admin         user {ADMIN_USER}, password {password}")?;
        writeln!(out, "S3 keys       {}", place(keys, env::S3_SECRET_KEY, S3_KEYS_FILE))?;
    }
    out.flush()
}

/// Finds the containers of an earlier process before anything of their invocations is tried again. An engine that does
/// not answer holds up nothing: it is asked again later.
async fn recover_containers(node: &Node) {
    let why = match tokio::time::timeout(ENGINE, node.sweep_containers()).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => chain(&error),
        Err(_) => "the container engine does not answer".to_owned(),
    };
    tracing::warn!(why, "containers of an earlier process were not looked for, or not all of them");
}

/// Finds the batch jobs of an earlier process. Where the work bucket does not answer now, the first attempt looks.
async fn recover_jobs(node: &Node) {
    let Some(batch) = &node.batch else { return };
    let recovered = async {
        if let Err(error) = batch.recover().await {
            return Err(chain(&error));
        }
        node.sweep_jobs().await.map_err(|error| chain(&error))
    };
    let why = match tokio::time::timeout(BATCH, recovered).await {
        Ok(Ok(())) => return,
        Ok(Err(why)) => why,
        Err(_) => "the work bucket does not answer".to_owned(),
    };
    tracing::warn!(why, "batch jobs of an earlier process were not looked for");
}

/// Looks for what an earlier process left half done.
async fn sweep(node: Arc<Node>) {
    tokio::select! {
        () = node.stop.cancelled() => {}
        swept = node.buckets.sweep() => if let Err(error) = swept {
            tracing::warn!(error = chain(&error), "what an earlier process left in the buckets was not removed");
        }
    }
}

/// Looks for containers that are nobody's: soon after one could not be removed, and now and then.
async fn tidy_containers(node: Arc<Node>) {
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return,
            () = node.docker.untidy(HOUSEKEEPING) => {}
        }
        if let Err(error) = node.sweep_containers().await {
            tracing::debug!(error = chain(&error), "containers that nobody waits for were not removed");
        }
    }
}

async fn housekeeping(node: Arc<Node>) {
    let queue = &node.config.queue;
    let keep = Retention {
        age: queue.keep_receipts.0,
        dead_letter_age: queue.keep_dead_letters.0,
        receipt_bytes: queue.receipt_bytes.0,
        log_bytes: queue.log_bytes.0,
    };
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return,
            () = tokio::time::sleep(HOUSEKEEPING) => {}
        }
        if let Err(error) = node.settle_orphans().await {
            tracing::warn!(error = chain(&error), "what waits for nobody could not be looked after");
        }
        node.store.keep_reserve();
        match node.queue.prune(keep).await {
            Ok(0) => {}
            Ok(n_invocations) => tracing::debug!(n_invocations, "old receipts forgotten"),
            Err(error) => tracing::warn!(error = chain(&error), "old receipts could not be forgotten"),
        }
        if let Err(error) = node.sweep_jobs().await {
            tracing::warn!(error = chain(&error), "batch jobs that nobody waits for were not ended");
        }
        match node.catalog.forget_modules(UNNAMED).await {
            Ok(0) => {}
            Ok(n_modules) => tracing::info!(n_modules, "modules that no service names were removed"),
            Err(error) => tracing::warn!(error = chain(&error), "unused modules could not be removed"),
        }
    }
}
