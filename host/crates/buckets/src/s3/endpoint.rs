//! The listener's loop.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use super::front::Front;
use crate::{Keys, LocalBuckets};

/// What the endpoint bears of its clients.
#[derive(Clone, Copy, Debug)]
pub struct EndpointLimits {
    /// Connections at once; who comes then waits in the kernel's queue.
    pub connections: usize,
    /// Uploads of more than 64 KiB at once; who comes then waits as long as for a body, and is told to slow down.
    pub uploads: usize,
    /// For the head of a request, and between two requests.
    pub head: Duration,
    /// For the next 16 KiB of a body, or its end.
    pub body: Duration,
    /// For a client that takes nothing of an answer.
    pub write: Duration,
}

impl Default for EndpointLimits {
    fn default() -> Self {
        let patience = Duration::from_secs(60);
        Self { connections: 512, uploads: 64, head: patience, body: patience, write: patience }
    }
}

/// After the system refused a connection (no file descriptors, say).
const REFUSED: Duration = Duration::from_millis(100);

/// The S3 endpoint of this host's buckets.
#[derive(Debug)]
pub struct S3Endpoint {
    buckets: Arc<LocalBuckets>,
    keys: Keys,
    limits: EndpointLimits,
}

impl S3Endpoint {
    /// An endpoint that lets in who signs with these keys.
    pub fn new(buckets: Arc<LocalBuckets>, keys: Keys) -> Self {
        Self { buckets, keys, limits: EndpointLimits::default() }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(self, limits: EndpointLimits) -> Self {
        Self { limits, ..self }
    }

    /// Serves until `stop`; then takes nothing new, and returns when what was begun is done. Dropping the future ends
    /// all connections at once.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let limits = self.limits;
        let front = Arc::new(Front::new(self.buckets, &self.keys, &limits));
        let slots = Arc::new(Semaphore::new(limits.connections));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.head);
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            let accepting = async {
                let slot = slots.clone().acquire_owned().await;
                (slot, listener.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                Some(_ended) = connections.join_next() => continue,
                accepted = accepting => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let front = front.clone();
                    let service = service_fn(move |request| {
                        let front = front.clone();
                        async move { front.answer(request).await }
                    });
                    let connection =
                        graceful.watch(http.serve_connection(prepare(stream, limits.write), service));
                    connections.spawn(async move {
                        let _slot = slot;
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "an S3 connection ended early");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an S3 connection could not be accepted");
                    tokio::time::sleep(REFUSED).await;
                }
            }
        }
        drop(listener);
        let ended = async { while connections.join_next().await.is_some() {} };
        tokio::join!(graceful.shutdown(), ended);
    }
}

/// A connection that waits for no packet to fill up, nor for ever for its client to read.
fn prepare(stream: TcpStream, write: Duration) -> TokioIo<Pin<Box<TimeoutStream<TcpStream>>>> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write));
    TokioIo::new(Box::pin(stream))
}
