//! What a store holds besides the guest: its counters, its WASI context, and what its trigger gave it.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use wicket_core::{Deployment, LogSink, LogStream, Objects, Outputs, Redactor};

use crate::egress::Egress;
use crate::meter::{Bounds, Meter, at_tick};
use crate::nn::Models;
use crate::nn::preview1::Handles;
use crate::stdio::Sink;

/// Bytes of all headers of a request or a response that a guest builds, with what they take in memory.
const HEADERS: usize = 64 << 10;
/// Random bytes that a guest may ask for at once.
const RANDOM: u64 = 1 << 20;
/// Bytes that one call may carry over the border of guest and host.
const HOSTCALL: usize = 64 << 20;

/// The data of every store.
pub(crate) struct State {
    pub(crate) meter: Arc<Meter>,
    bounds: Bounds,
    pub(crate) table: ResourceTable,
    /// Made at the first call that needs it: most answers to HTTP requests need none.
    wasi: Option<WasiCtx>,
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) log: LogSink,
    streams: Option<[Sink; 2]>,
    http: WasiHttpCtx,
    pub(crate) egress: Egress,
    /// Of a preview-1 module.
    pub(crate) p1: Option<Box<WasiP1Ctx>>,
    /// Reads the buckets that the service was granted.
    pub(crate) objects: Option<Arc<dyn Objects>>,
    /// What it infers with.
    pub(crate) models: Option<Models>,
    /// Handles of a preview-1 module on models.
    pub(crate) nn: Handles,
    /// Of the event shape.
    pub(crate) outputs: Option<Arc<dyn Outputs>>,
}

impl State {
    pub(crate) fn new(deployment: &Arc<Deployment>, log: &LogSink, meter: &Arc<Meter>) -> Self {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HEADERS);
        let mut table = ResourceTable::new();
        table.set_max_capacity(deployment.service.limits.handles as usize);
        Self {
            meter: meter.clone(),
            bounds: Bounds(meter.clone()),
            table,
            wasi: None,
            deployment: deployment.clone(),
            log: log.clone(),
            streams: None,
            http,
            egress: Egress::new(deployment.clone(), log.clone(), meter.clone()),
            p1: None,
            objects: None,
            models: None,
            nn: Handles::default(),
            outputs: None,
        }
    }

    /// With a context of the caller's making.
    pub(crate) fn with_builder(
        deployment: &Arc<Deployment>,
        log: &LogSink,
        meter: &Arc<Meter>,
        mut builder: WasiCtxBuilder,
        preview1: bool,
    ) -> Self {
        let mut state = Self::new(deployment, log, meter);
        if preview1 {
            let mut context = Box::new(builder.build_p1());
            context.ctx().table.set_max_capacity(deployment.service.limits.handles as usize);
            state.p1 = Some(context);
        } else {
            state.wasi = Some(builder.build());
        }
        state
    }

    /// Goes on with another call: the guest, what it holds and what it used of memory stay, all else is the new
    /// call's.
    pub(crate) fn begin_again(&mut self, mut next: Self) {
        next.meter.inherit(&self.meter);
        self.meter = next.meter.clone();
        self.bounds = Bounds(next.meter.clone());
        self.log = next.log.clone();
        for stream in self.streams.iter().flatten() {
            stream.retarget(&next.log, &next.meter);
        }
        self.objects = next.objects.take();
        next.egress.succeed(&mut self.egress);
        std::mem::swap(&mut self.egress, &mut next.egress);
    }

    /// Logs what the guest wrote without a line end.
    pub(crate) fn end_lines(&self) {
        for stream in self.streams.iter().flatten() {
            stream.finish();
        }
    }

    /// A store with all limits on.
    pub(crate) fn into_store(self, engine: &Engine) -> Store<Self> {
        let handles = self.deployment.service.limits.handles as usize;
        let mut store = Store::new(engine, self);
        store.limiter(|state| &mut state.bounds);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| at_tick(store.data()));
        store.set_hostcall_fuel(HOSTCALL);
        // Handles of the guest's own resources, and those of the host's, which are counted again while they are lent.
        store.set_max_component_handles(handles.saturating_mul(2));
        if let Some(tasks) = store.concurrent_resource_table() {
            // Tasks, streams, futures: each takes a few entries.
            tasks.set_max_capacity(handles.saturating_mul(4));
        }
        store
    }

    fn wasi(&mut self) -> &mut WasiCtx {
        let (deployment, log, meter, streams) = (&self.deployment, &self.log, &self.meter, &mut self.streams);
        self.wasi.get_or_insert_with(|| {
            let secrets = Redactor::of(deployment);
            let out = Sink::log(log.clone(), secrets.clone(), LogStream::Stdout, meter.clone());
            let err = Sink::log(log.clone(), secrets, LogStream::Stderr, meter.clone());
            *streams = Some([out.clone(), err.clone()]);
            builder(deployment).stdout(out).stderr(err).build()
        })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.end_lines();
    }
}

/// A context with what every shape gets: the service's environment and secrets, and nothing else of this machine.
pub(crate) fn builder(deployment: &Deployment) -> WasiCtxBuilder {
    let mut builder = WasiCtxBuilder::new();
    builder.max_random_size(RANDOM).allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    for (name, value) in &deployment.service.environment {
        builder.env(name, value);
    }
    for name in &deployment.service.secrets {
        if let Some(value) = deployment.secrets.get(name) {
            builder.env(name, value.reveal());
        }
    }
    builder
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi();
        let ctx = self.wasi.as_mut().expect("the line above made it");
        WasiCtxView { ctx, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.egress, table: &mut self.table, ctx: &mut self.http }
    }
}
