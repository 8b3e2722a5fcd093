//! A handler that runs: an instance, made for one request or kept from the one before.

use std::future::poll_fn;
use std::sync::{Arc, PoisonError};

use http::Request;
use http::uri::{Authority, PathAndQuery, Scheme};
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme as Scheme02;
use wasmtime_wasi_http::p3::bindings::Service as Service03;
use wasmtime_wasi_http::{WasiHttpView as _, p3};
use wicket_core::{Deployment, Failure, Limit, Redactor};

use super::request::Limited;
use super::{Entered, Said, Slot};
use crate::AnswerBody;
use crate::library::Code;
use crate::meter::Meter;
use crate::state::State;
use crate::trap;

/// Where an instance comes from.
pub(super) enum Source {
    /// Made for this call; kept afterwards for the deployment that is named.
    Fresh(Entered, Option<Arc<Deployment>>),
    /// It served others of the same deployment before.
    Again(Box<Live>),
}

/// An instance with its place in the pool.
pub(super) struct Live {
    store: Store<State>,
    handler: Handler,
    /// Goes after the store.
    _held: Entered,
    /// Whose requests it may serve, if it may serve more than one.
    deployment: Option<Arc<Deployment>>,
    /// Requests it has served.
    served: u32,
}

/// By version of WASI.
enum Handler {
    V02(Proxy),
    V03(Service03),
}

impl Live {
    async fn make(
        (module, place): Entered,
        deployment: Option<Arc<Deployment>>,
        state: State,
    ) -> wasmtime::Result<Self> {
        let (store, handler) = match &module.code {
            Code::Http(pre) => {
                let mut store = state.into_store(pre.engine());
                let proxy = pre.instantiate_async(&mut store).await?;
                (store, Handler::V02(proxy))
            }
            Code::Http03(pre) => {
                let mut store = state.into_store(pre.engine());
                let service = pre.instantiate_async(&mut store).await?;
                (store, Handler::V03(service))
            }
            Code::Command(_) | Code::Command03(_) | Code::Preview1(_) | Code::Event(_) => {
                return Err(wasmtime::format_err!("the module is no HTTP handler"));
            }
        };
        Ok(Self { store, handler, _held: (module, place), deployment, served: 0 })
    }

    /// Whether it may serve this very version of a service.
    pub(super) fn serves(&self, deployment: &Arc<Deployment>) -> bool {
        self.deployment.as_ref().is_some_and(|own| Arc::ptr_eq(own, deployment))
    }

    /// Bytes of linear memory that it holds.
    pub(super) fn memory(&self) -> u64 {
        self.store.data().meter.memory()
    }

    fn may_serve_more(&self) -> bool {
        self.deployment.as_ref().is_some_and(|own| self.served < own.service.instance_reuse)
    }

    async fn handle(
        &mut self,
        request: Request<AnswerBody>,
        slot: Slot,
        meter: &Arc<Meter>,
    ) -> wasmtime::Result<()> {
        let request = request.map(|body| Limited::new(body, meter.clone()));
        match &self.handler {
            Handler::V02(proxy) => handle_02(&mut self.store, proxy, request, slot).await,
            Handler::V03(service) => handle_03(&mut self.store, service, request, slot).await,
        }
    }
}

/// Runs a guest on one request, to its very end. What comes back may serve another.
pub(super) async fn run(
    source: Source,
    state: State,
    request: Request<AnswerBody>,
    slot: Slot,
    meter: Arc<Meter>,
) -> Result<Option<Box<Live>>, Failure> {
    let named = |error: wasmtime::Error| trap::failure(&error, &meter);
    let mut live = match source {
        Source::Fresh(entered, deployment) => Live::make(entered, deployment, state).await.map_err(named)?,
        Source::Again(mut live) => {
            live.store.set_epoch_deadline(1);
            live.store.data_mut().begin_again(state);
            *live
        }
    };
    meter.started();
    live.handle(request, slot, &meter).await.map_err(named)?;
    stands(&meter)?;
    live.served += 1;
    if !live.may_serve_more() {
        return Ok(None);
    }
    live.store.data().end_lines();
    Ok(Some(Box::new(live)))
}

fn say(slot: &Slot, said: Said) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
}

async fn handle_02(
    store: &mut Store<State>,
    proxy: &Proxy,
    request: Request<Limited>,
    slot: Slot,
) -> wasmtime::Result<()> {
    let scheme = match request.uri().scheme_str() {
        Some("https") => Scheme02::Https,
        Some(_) | None => Scheme02::Http,
    };
    let deployment = store.data().deployment.clone();
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(scheme, request)?;
    let out = http.new_response_outparam_from_callback(move |said| {
        say(&slot, said.map_err(|code| Redactor::of(&deployment).words(format_args!("{code:?}"))));
    })?;
    proxy.wasi_http_incoming_handler().call_handle(store, request, out).await
}

async fn handle_03(
    store: &mut Store<State>,
    service: &Service03,
    request: Request<Limited>,
    slot: Slot,
) -> wasmtime::Result<()> {
    let deployment = store.data().deployment.clone();
    let http = store.data_mut().http();
    let (request, sent) = p3::Request::from_http(http.hooks, absolute(request));
    let request = http.table.push(request)?;
    let ended = store.run_concurrent(async |accessor| {
        let answered = service.wasi_http_handler().call_handle(accessor, request).await?;
        let said = match answered {
            Ok(response) => Ok(accessor.with(|mut access| {
                let response = access.get().table.delete(response)?;
                response.into_http(access, sent)
            })?),
            Err(code) => Err(Redactor::of(&deployment).words(format_args!("{code:?}"))),
        };
        say(&slot, said);
        // It may go on after it returned: its body, or whatever else it began.
        poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
        Ok(())
    });
    ended.await?
}

/// A guest of 0.3 sees scheme and authority in the request's URI only; of most requests they stand in the head.
fn absolute(mut request: Request<Limited>) -> Request<Limited> {
    if request.uri().authority().is_some() {
        return request;
    }
    let host = request.headers().get(http::header::HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    parts.authority = authority;
    if parts.authority.is_some()
        && let Ok(uri) = http::Uri::from_parts(parts)
    {
        *request.uri_mut() = uri;
    }
    request
}

/// A guest that caught the error which stopped it, and went on, has still reached its limit.
fn stands(meter: &Meter) -> Result<(), Failure> {
    match meter.tripped() {
        Some(limit @ (Limit::Body | Limit::Output | Limit::Log)) => Err(meter.failure(limit)),
        Some(_) | None => Ok(()),
    }
}
