//! Connections: how many, how slow they may be, and how they end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer;
use super::arriving::Left;
use super::wire::Wire;
use crate::node::Node;

/// Wait after `accept` failed (no file descriptors left, say). The listener stays.
const ACCEPT_FAILED: Duration = Duration::from_millis(50);
/// A shortage that goes on is told again after so long.
const SAY_AGAIN: Duration = Duration::from_secs(10);
/// Bytes of a request's head. A longer one is answered with 431.
const MAX_HEAD: usize = 32 << 10;
/// Bytes that a connection asks for at once, of what comes, and holds back, of what goes.
const MAX_BUFFER: usize = 32 << 10;

/// Serves until the node stops, then finishes the requests that are under way.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener, api: axum::Router) {
    let connections = Arc::new(Semaphore::new(node.config.http.max_connections));
    take_descriptors(node.config.http.max_connections as u64);
    let mut failures = Failures::default();
    loop {
        // The permit before the connection: what cannot be served waits in the kernel's backlog, not in memory.
        let permit = tokio::select! {
            () = node.stop.cancelled() => return,
            permit = connections.clone().acquire_owned() => permit,
        };
        let Ok(permit) = permit else { return };
        let accepted = tokio::select! {
            () = node.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) => {
                node.tasks.spawn(connection(node.clone(), stream, permit, api.clone()));
            }
            Err(error) => {
                failures.say(&error);
                tokio::time::sleep(ACCEPT_FAILED).await;
            }
        }
    }
}

/// Makes room for so many connections where the user may have it: shells and service managers give few descriptors.
fn take_descriptors(connections: u64) {
    let own = getrlimit(Resource::Nofile);
    // The same again for buckets, and some for everything else.
    let wanted = connections.saturating_mul(2).saturating_add(1024);
    let wanted = own.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    if own.current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..own })
    {
        tracing::debug!(%error, "no more file descriptors");
    }
}

/// Failures to accept, told now and then: a long shortage does not fill the log.
#[derive(Default)]
struct Failures {
    since: u64,
    said: Option<Instant>,
}

impl Failures {
    fn say(&mut self, error: &std::io::Error) {
        self.since += 1;
        if self.said.is_none_or(|said| said.elapsed() > SAY_AGAIN) {
            tracing::warn!(%error, times = self.since, "connections could not be accepted, will try again");
            *self = Self { since: 0, said: Some(Instant::now()) };
        }
    }
}

async fn connection(node: Arc<Node>, stream: TcpStream, permit: OwnedSemaphorePermit, api: axum::Router) {
    // Answers are written whole: waiting for more (Nagle) only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let left = Left::default();
    let wire = Wire::new(stream, node.config.http.write_timeout.0, left.clone());
    let service = service_fn(|request| answer(node.clone(), api.clone(), left.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Begins when the answer before has gone: so it ends idle connections too.
        .header_read_timeout(node.config.http.header_timeout.0)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(wire), service);
    let mut connection = std::pin::pin!(connection);
    // Of its own: thousands of connections do not meet at one lock.
    let stop = node.stop.child_token();
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                served = connection.as_mut() => served,
                () = node.abandon.cancelled() => Ok(()),
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
    drop(permit);
}
