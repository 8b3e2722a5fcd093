//! Outgoing HTTP of guests: names by the service's allow-list, then addresses after DNS, then the very address that
//! was checked.

mod address;
mod connect;
mod get;
mod names;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::{Request, Response};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};
use wicket_core::{Deployment, Limit, LogSink, LogStream, Redactor};

use crate::meter::Meter;

pub use get::{Got, NotGot, get};

/// Decides and sends the outgoing requests of one guest.
pub(crate) struct Egress {
    deployment: Arc<Deployment>,
    log: LogSink,
    meter: Arc<Meter>,
    /// Made when the first request goes out.
    running: Option<Arc<AtomicU32>>,
}

/// One request's place among those that may run at once.
pub(crate) struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

type Sent = Result<(Response<WasiBody>, Io), Error>;
type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl Egress {
    pub(crate) fn new(deployment: Arc<Deployment>, log: LogSink, meter: Arc<Meter>) -> Self {
        Self { deployment, log, meter, running: None }
    }

    /// Goes on for another call of the same guest: what it sent before and did not give up counts.
    pub(crate) fn succeed(&mut self, before: &mut Self) {
        self.running = before.running.take();
    }

    fn place(&mut self) -> Result<Place, Error> {
        let running = self.running.get_or_insert_default();
        if running.fetch_add(1, Relaxed) >= self.deployment.service.limits.outgoing {
            running.fetch_sub(1, Relaxed);
            self.meter.trip(Limit::Outgoing);
            return Err(Error::ConnectionLimitReached);
        }
        Ok(Place(running.clone()))
    }
}

/// Made once: the default makes it anew for every set of headers.
static FORBIDDEN: LazyLock<ForbiddenHeaderFilter> =
    LazyLock::new(|| Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name)));

impl WasiHttpHooks for Egress {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        FORBIDDEN.clone()
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let place = match self.place() {
            Ok(place) => place,
            Err(error) => return Box::new(std::future::ready(Err(error))),
        };
        let left = self.meter.deadline().saturating_duration_since(std::time::Instant::now());
        let waits = connect::Waits::within(options.unwrap_or_default(), left.max(Duration::from_millis(1)));
        let (deployment, log) = (self.deployment.clone(), self.log.clone());
        Box::new(async move {
            let to = format!("{} {}", request.method(), shown(request.uri()));
            let sent = connect::send(&deployment.service.grants, request, waits, place).await;
            sent.map_err(|refusal| {
                let said = Redactor::of(&deployment).text(format!("outgoing request {to}: {refusal}"));
                log.line(LogStream::Host, said.as_bytes());
                refusal.error
            })
        })
    }
}

/// Without the query, where people put tokens.
fn shown(uri: &http::Uri) -> String {
    format!(
        "{}://{}{}",
        uri.scheme_str().unwrap_or("http"),
        uri.authority().map_or("", |a| a.as_str()),
        uri.path()
    )
}
