//! Instantiate, call and drop: through the executor, beside a bare `InstancePre` on an engine with the same settings.
//!
//! Both answer the same request with the same component, `hello`. The bare one has a pool, epochs and a WASI context,
//! and nothing else: no limits, no grants, no receipt.
//!
//! `cargo bench -p wicket-benches --bench instantiate`

use std::convert::Infallible;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, UpdateDeadline,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{Error, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};
use wicket_benches::{Table, median, scratch};
use wicket_config::{BucketName, ByteSize, ModuleDigest, Service};
use wicket_core::{Deployment, InvocationId, LogSink, ObjectEntry, ObjectError, ObjectRef, Objects, Opened};
use wicket_wasm::{AnswerBody, HttpCall, WasmConfig, WasmExecutor};

const ROUNDS: usize = 7;
const CALLS: u32 = 20_000;
const GOAL: f64 = 1.2;

#[derive(Debug)]
struct NoObjects;

#[async_trait]
impl Objects for NoObjects {
    async fn open(&self, _: &ObjectRef) -> Result<Opened, ObjectError> {
        Err(ObjectError::Refused("there are no objects here".to_owned()))
    }
    async fn list(
        &self,
        _: &BucketName,
        _: &str,
        _: Option<&str>,
        _: u32,
    ) -> Result<Vec<ObjectEntry>, ObjectError> {
        Ok(Vec::new())
    }
}

/// The executor with one deployed function.
struct Ours {
    executor: Arc<WasmExecutor>,
    deployment: Arc<Deployment>,
    objects: Arc<NoObjects>,
}

impl Ours {
    async fn new(wasm: &[u8], folder: &Path, instance_reuse: u32) -> Self {
        let config = WasmConfig::new(folder.join("modules"), folder.join("cache"), [1; 32]);
        let executor = WasmExecutor::start(config).expect("an executor");
        let digest: ModuleDigest = hex::encode(Sha256::digest(wasm)).parse().expect("a digest");
        let bytes = Bytes::copy_from_slice(wasm);
        let body = Box::pin(futures::stream::once(async move { Ok(bytes) }));
        executor.store_module(&digest, body, ByteSize::mib(256)).await.expect("a module");
        let service = serde_json::json!({
            "name": "hello", "wasm": digest.as_str(), "instance_reuse": instance_reuse
        });
        let service: Service = serde_json::from_value(service).expect("a service");
        executor.prepare(service.wasm.as_ref().expect("it has a module")).await.expect("it compiles");
        let deployment = Arc::new(Deployment { service, version: 1, secrets: Default::default() });
        Self { executor, deployment, objects: Arc::new(NoObjects) }
    }

    async fn call(&self) -> u16 {
        let body: AnswerBody = Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync();
        let call = HttpCall {
            deployment: self.deployment.clone(),
            id: InvocationId::random(),
            request: http::Request::get("/").header("host", "bench").body(body).expect("a request"),
            objects: self.objects.clone(),
            log: LogSink::new(self.deployment.service.limits.log.0),
            done: Box::new(|report| assert!(report.result.is_ok())),
        };
        let answer = self.executor.serve(call).await.expect("an answer");
        let status = answer.status().as_u16();
        drop(answer.into_body().collect().await.expect("a body"));
        status
    }
}

/// What wasmtime and its WASI need to run the component, and no more.
struct Bare {
    engine: Engine,
    pre: ProxyPre<State>,
}

struct State {
    table: ResourceTable,
    wasi: Option<WasiCtx>,
    http: WasiHttpCtx,
    hooks: Hooks,
}

struct Hooks;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        _: http::Request<wasmtime_wasi_http::WasiBody>,
        _: Option<wasmtime_wasi_http::RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

type Sent =
    (http::Response<wasmtime_wasi_http::WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| WasiCtx::builder().build());
        WasiCtxView { ctx, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

impl Bare {
    fn new(wasm: &[u8]) -> Self {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(1000)
            .total_core_instances(6000)
            .total_memories(1258)
            .total_tables(4000)
            .total_stacks(1016)
            .linear_memory_keep_resident(1 << 20)
            .table_keep_resident(64 << 10)
            .async_stack_keep_resident(64 << 10);
        if PoolingAllocationConfig::is_pagemap_scan_available() {
            pool.pagemap_scan(Enabled::Yes);
        }
        let mut config = Config::new();
        config.epoch_interruption(true);
        config.concurrency_support(false);
        config.memory_guard_size(32 << 20);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).expect("an engine");
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("WASI");
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).expect("wasi:http");
        let component = Component::new(&engine, wasm).expect("it compiles");
        let pre = linker.instantiate_pre(&component).and_then(ProxyPre::new).expect("it links");
        Self { engine, pre }
    }

    async fn call(&self) -> u16 {
        let state = State { table: ResourceTable::new(), wasi: None, http: WasiHttpCtx::new(), hooks: Hooks };
        let mut store = Store::new(&self.engine, state);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
        let proxy = self.pre.instantiate_async(&mut store).await.expect("an instance");
        let body = Empty::<Bytes>::new().map_err(|never: Infallible| -> Error { match never {} });
        let request = http::Request::get("/").header("host", "bench").body(body).expect("a request");
        let said = Arc::new(Mutex::new(None));
        let slot = said.clone();
        let mut http = store.data_mut().http();
        let request = http.new_incoming_request(Scheme::Http, request).expect("a request");
        let out = http
            .new_response_outparam_from_callback(move |answer| {
                *slot.lock().expect("nobody panics") = Some(answer);
            })
            .expect("a place for the answer");
        proxy.wasi_http_incoming_handler().call_handle(&mut store, request, out).await.expect("no trap");
        drop(store);
        let answer = said.lock().expect("nobody panics").take().expect("an answer").expect("no error");
        let status = answer.status().as_u16();
        drop(answer.into_body().collect().await.expect("a body"));
        status
    }
}

/// CPU and wall time of a call, µs.
async fn measure(call: impl AsyncFn() -> u16) -> (f64, f64) {
    let cpu = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
    };
    let (begin, before) = (Instant::now(), cpu());
    for _ in 0..CALLS {
        assert_eq!(call().await, 200);
        // Or tokio's budget for one poll runs out, and every channel says that it is not ready.
        tokio::task::yield_now().await;
    }
    let per_call = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(CALLS);
    (per_call(cpu() - before), per_call(begin.elapsed()))
}

async fn bench() {
    let hello = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests/hello.wasm");
    let wasm = std::fs::read(&hello).expect("target/guests/hello.wasm: run `cargo xtask guests`");
    let folder = scratch();
    let fresh = Ours::new(&wasm, &folder.path().join("fresh"), 1).await;
    let kept = Ours::new(&wasm, &folder.path().join("kept"), 1000).await;
    let bare = Bare::new(&wasm);
    let mut all: [Vec<(f64, f64)>; 3] = Default::default();
    for _ in 0..ROUNDS {
        all[0].push(measure(async || bare.call().await).await);
        all[1].push(measure(async || fresh.call().await).await);
        all[2].push(measure(async || kept.call().await).await);
    }
    let [cpu, wall]: [Vec<f64>; 2] = [0, 1].map(|which| {
        let figure = |(cpu, wall): &(f64, f64)| if which == 0 { *cpu } else { *wall };
        all.iter().map(|rounds| median(rounds.iter().map(figure).collect())).collect()
    });
    let mut table = Table::new(&["instantiate + call + drop", "CPU µs", "wall µs", "× bare (CPU)", "goal"]);
    for (at, name) in ["bare InstancePre", "executor", "executor, kept instances"].into_iter().enumerate() {
        let goal = if at == 1 { format!("≤ {GOAL}") } else { "–".to_owned() };
        let ratio = cpu[at] / cpu[0];
        table.row(&[
            name.to_owned(),
            format!("{:.2}", cpu[at]),
            format!("{:.2}", wall[at]),
            format!("{ratio:.2}"),
            goal,
        ]);
    }
    table.print("Instances in one process");
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|arg| arg == "compile-child") {
        return wicket_wasm::compile_child();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(bench());
    ExitCode::SUCCESS
}
