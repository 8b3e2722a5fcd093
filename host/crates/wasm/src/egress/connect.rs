//! Resolving, checking, connecting, sending.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, timeout};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};
use wicket_config::Grants;

use super::address::{is_granted, is_public};
use super::names::granted;
use super::{Io, Place};

/// Addresses tried of one name.
const MOST_ADDRESSES: usize = 8;
/// Bytes of an answer's head.
const LARGEST_HEAD: usize = 64 << 10;

/// How long each step may take.
#[derive(Clone, Copy)]
pub(super) struct Waits {
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl Waits {
    /// What the guest asked for, and never longer than the time it has.
    pub(super) fn within(asked: RequestOptions, left: Duration) -> Self {
        let bound = |asked: Option<Duration>| asked.map_or(left, |asked| asked.min(left));
        Self {
            connect: bound(asked.connect_timeout),
            first_byte: bound(asked.first_byte_timeout),
            between_bytes: bound(asked.between_bytes_timeout).max(Duration::from_millis(1)),
        }
    }
}

/// Why a request was not sent: a sentence for the log, a code for the guest.
#[derive(Debug)]
pub(super) struct Refusal {
    said: String,
    pub(super) error: Error,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

fn refuse(error: Error) -> impl FnOnce(String) -> Refusal {
    move |said| Refusal { said, error }
}

/// ring by name: a process may have no default provider, or another.
static TLS: LazyLock<Arc<rustls::ClientConfig>> = LazyLock::new(|| {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the ciphers of both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
});

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) async fn send(
    grants: &Grants,
    mut request: Request<WasiBody>,
    waits: Waits,
    place: Place,
) -> Result<(http::Response<WasiBody>, Io), Refusal> {
    let (host, port, tls) = target(request.uri())?;
    if !granted(&grants.http, &host, port, if tls { 443 } else { 80 }) {
        let said = format!("`{host}:{port}` is not in the service's grants.http");
        return Err(refuse(Error::HttpRequestDenied)(said));
    }
    let connecting = connect(grants, &host, port, tls);
    let stream = timeout(waits.connect, connecting).await.map_err(|_| {
        refuse(Error::ConnectionTimeout)(format!("no connection within {:?}", waits.connect))
    })??;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(LARGEST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Refusal { said: error.to_string(), error: error.into() })?;
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    let mut connection = Box::pin(connection);
    let answering = async {
        let mut answer = std::pin::pin!(sender.send_request(request));
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // Over, or broken: the answer says which.
            _ = &mut connection => answer.await,
        }
    };
    let answer = timeout(waits.first_byte, answering)
        .await
        .map_err(|_| {
            refuse(Error::ConnectionReadTimeout)(format!("no answer within {:?}", waits.first_byte))
        })?
        .map_err(|error| Refusal { said: error.to_string(), error: error.into() })?;
    let wait = waits.between_bytes;
    let answer = answer.map(|inner| {
        Patient { inner, wait, timer: Box::pin(tokio::time::sleep(wait)), _place: place }.boxed_unsync()
    });
    let io: Io = Box::new(async move {
        // A connection that is over when its answer came has nothing more to say.
        connection.await.map_err(Error::from)
    });
    Ok((answer, io))
}

/// Host without brackets, port, and whether it is TLS.
fn target(uri: &Uri) -> Result<(String, u16, bool), Refusal> {
    let tls = uri.scheme() == Some(&Scheme::HTTPS);
    let host = uri.host().unwrap_or("").trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(refuse(Error::HttpRequestUriInvalid)("its URI has no plain host".to_owned()));
    }
    Ok((host.to_owned(), uri.port_u16().unwrap_or(if tls { 443 } else { 80 }), tls))
}

async fn connect(grants: &Grants, host: &str, port: u16, tls: bool) -> Result<Box<dyn Stream>, Refusal> {
    let stream = dial(grants, host, port).await?;
    // The answer to a small request should not wait for more of it.
    let _ = stream.set_nodelay(true);
    if !tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        refuse(Error::HttpRequestUriInvalid)(format!("`{host}` is no name a certificate can have"))
    })?;
    let stream = TlsConnector::from(TLS.clone())
        .connect(name, stream)
        .await
        .map_err(|error| Refusal { said: format!("TLS: {error}"), error: Error::Tls(error) })?;
    Ok(Box::new(stream))
}

/// Connects to an address that was checked; the name is not looked up again.
async fn dial(grants: &Grants, host: &str, port: u16) -> Result<TcpStream, Refusal> {
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => {
            let dns = || Error::DnsError { rcode: None, info_code: None };
            let found = tokio::net::lookup_host((host, port))
                .await
                .map_err(|error| refuse(dns())(format!("`{host}` cannot be resolved: {error}")))?;
            found.take(MOST_ADDRESSES).collect()
        }
    };
    let mut last = refuse(Error::DestinationNotFound)(format!("`{host}` has no address"));
    for address in addresses {
        let ip = address.ip();
        if !is_public(ip) && !is_granted(&grants.networks, ip) {
            let said =
                format!("`{host}` is at {ip}, in a network that is not in the service's grants.networks");
            last = refuse(Error::DestinationIpProhibited)(said);
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                last = Refusal {
                    said: format!("cannot connect to {address}: {error}"),
                    error: Error::Connect(error),
                };
            }
        }
    }
    Err(last)
}

/// An answer's body with a limit on the silence between its parts. It holds the request's place.
struct Patient {
    inner: hyper::body::Incoming,
    wait: Duration,
    timer: Pin<Box<Sleep>>,
    _place: Place,
}

impl Body for Patient {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.timer.as_mut().reset(Instant::now() + this.wait);
                Poll::Ready(frame.map(|frame| frame.map_err(Error::from)))
            }
            Poll::Pending => {
                use std::future::Future as _;
                this.timer.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
