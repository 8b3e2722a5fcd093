//! A real executor in a folder of its own, with buckets in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use sha2::{Digest as _, Sha256};
use wicket_config::{BucketName, ByteSize, Limits, ModuleDigest, Service, Span};
use wicket_core::{
    Attempt, ByteStream, Deployment, Event, EventId, Executor as _, Failure, Invocation, InvocationId, Limit,
    LogSink, ObjectEntry, ObjectError, ObjectRef, Objects, Opened, OutputName, Outputs, Report, Secret,
};
use wicket_wasm::{Answer, AnswerBody, Compiler, HttpCall, ModuleError, WasmConfig, WasmExecutor};

/// An argument that means nothing to the test harness, and tells the compile child that it is one.
pub(crate) const CHILD_MARK: &str = "no-test-has-this-name";

/// The media type of every object.
pub(crate) const TEXT: &str = "text/plain";

pub(crate) struct Kit {
    pub(crate) executor: Arc<WasmExecutor>,
    pub(crate) dir: tempfile::TempDir,
}

#[derive(Debug, Default)]
pub(crate) struct Buckets {
    pub(crate) objects: Mutex<BTreeMap<String, Bytes>>,
    pub(crate) staged: Mutex<BTreeMap<String, (Option<String>, Bytes)>>,
    /// Bytes of every piece of an output, as it came.
    pub(crate) pieces: Mutex<Vec<usize>>,
}

/// An answer or why there is none, the report to come, and the log.
pub(crate) type Called = (Result<Answer, Failure>, tokio::sync::oneshot::Receiver<Report>, LogSink);

/// How a call went: its report, what it staged, its log.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) report: Report,
    pub(crate) outputs: BTreeMap<String, (Option<String>, Bytes)>,
    pub(crate) log: Vec<String>,
}

pub(crate) fn config(dir: &std::path::Path) -> WasmConfig {
    let program = std::env::current_exe().unwrap();
    let args = ["--exact", "the_compile_child", "--nocapture", "--skip", CHILD_MARK];
    WasmConfig {
        compiler: Compiler { program, args: args.map(Into::into).into() },
        max_instances: 50,
        queue_wait: Duration::from_millis(200),
        ..WasmConfig::new(dir.join("modules"), dir.join("cache"), [7; 32])
    }
}

pub(crate) fn digest(wasm: &[u8]) -> ModuleDigest {
    hex::encode(Sha256::digest(wasm)).parse().unwrap()
}

pub(crate) fn stream(bytes: impl Into<Bytes>) -> ByteStream {
    let bytes = bytes.into();
    Box::pin(futures::stream::once(async move { Ok(bytes) }))
}

/// Limits that tests reach quickly.
pub(crate) fn tight() -> Limits {
    Limits {
        memory: ByteSize::mib(16),
        cpu_time: Span(Duration::from_millis(200)),
        timeout: Span::secs(5),
        output: ByteSize::mib(1),
        log: ByteSize::kib(4),
        body: ByteSize::kib(64),
        table_elements: 1000,
        handles: 32,
        outgoing: 2,
        concurrency: 8,
    }
}

/// The module that a service runs.
pub(crate) fn module(service: &Service) -> &ModuleDigest {
    service.wasm.as_ref().unwrap()
}

pub(crate) fn service(wasm: ModuleDigest) -> Service {
    let json = serde_json::json!({ "name": "test", "wasm": wasm.as_str() });
    Service { limits: tight(), ..serde_json::from_value(json).unwrap() }
}

pub(crate) fn deployment(service: Service) -> Arc<Deployment> {
    let secrets = [("TOKEN".to_owned(), Secret::new("s3cret"))].into();
    Arc::new(Deployment { service, version: 1, secrets })
}

impl Kit {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let executor = WasmExecutor::start(config(dir.path())).unwrap();
        Self { executor, dir }
    }

    /// Waits until no instance lives.
    pub(crate) async fn empty(&self) {
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while self.executor.stats().instances > 0 {
            assert!(std::time::Instant::now() < deadline, "an instance still lives");
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn upload(&self, wasm: Vec<u8>) -> ModuleDigest {
        let digest = digest(&wasm);
        self.executor.store_module(&digest, stream(wasm), ByteSize::mib(64)).await.unwrap();
        digest
    }

    pub(crate) async fn refusal(&self, wasm: Vec<u8>) -> ModuleError {
        let service = service(self.upload(wasm).await);
        self.executor.prepare(module(&service)).await.expect_err("a refusal")
    }

    pub(crate) async fn deploy(&self, wasm: Vec<u8>) -> Arc<Deployment> {
        self.deploy_with(wasm, |_| {}).await
    }

    pub(crate) async fn deploy_with(
        &self,
        wasm: Vec<u8>,
        edit: impl FnOnce(&mut Service),
    ) -> Arc<Deployment> {
        let mut service = service(self.upload(wasm).await);
        edit(&mut service);
        self.executor.prepare(module(&service)).await.unwrap();
        deployment(service)
    }

    /// Runs an attempt on an event.
    pub(crate) async fn execute(
        &self,
        deployment: &Arc<Deployment>,
        event: Event,
        buckets: Arc<Buckets>,
    ) -> Run {
        let scratch = tempfile::tempdir_in(self.dir.path()).unwrap();
        let log = LogSink::new(deployment.service.limits.log.0);
        let attempt = Attempt {
            deployment: deployment.clone(),
            invocation: Invocation::of(&deployment.service.name, event),
            number: 1,
            objects: buckets.clone(),
            outputs: buckets.clone(),
            log: log.clone(),
            scratch: scratch.path().to_owned(),
        };
        let report = self.executor.execute(attempt).await;
        let outputs = buckets.staged.lock().unwrap().clone();
        Run { report, outputs, log: log.take().lines.into_iter().map(|line| line.text).collect() }
    }

    /// Runs an attempt on an event about nothing.
    pub(crate) async fn run(&self, deployment: &Arc<Deployment>) -> Run {
        self.execute(deployment, Event::new("test", "test", EventId("1".into())), Arc::default()).await
    }

    /// Sends a request; the answer's body is still to be read.
    pub(crate) async fn call(&self, deployment: &Arc<Deployment>, body: AnswerBody) -> Called {
        self.request(deployment, |request| *request.body_mut() = body).await
    }

    /// Sends a request as it was made.
    pub(crate) async fn request(
        &self,
        deployment: &Arc<Deployment>,
        edit: impl FnOnce(&mut http::Request<AnswerBody>),
    ) -> Called {
        let (tell, told) = tokio::sync::oneshot::channel();
        let log = LogSink::new(deployment.service.limits.log.0);
        let mut request = http::Request::post("/").header("host", "test").body(body("")).unwrap();
        edit(&mut request);
        let call = HttpCall {
            deployment: deployment.clone(),
            id: InvocationId::random(),
            request,
            objects: Arc::new(Buckets::default()),
            log: log.clone(),
            done: Box::new(move |report| tell.send(report).unwrap_or(())),
        };
        (self.executor.serve(call).await, told, log)
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn get(&self, deployment: &Arc<Deployment>) -> (Result<(u16, Bytes), String>, Report) {
        let (answer, report, _) = self.call(deployment, body("")).await;
        let answer = match answer {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let body = answer.into_body().collect().await;
                body.map(|body| (status, body.to_bytes())).map_err(|error| error.to_string())
            }
            Err(failure) => Err(failure.to_string()),
        };
        (answer, report.await.unwrap())
    }
}

pub(crate) fn body(bytes: impl Into<Bytes>) -> AnswerBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

impl Run {
    #[track_caller]
    pub(crate) fn failure(&self) -> &Failure {
        self.report.result.as_ref().expect_err("a failure")
    }
    #[track_caller]
    pub(crate) fn limit(&self) -> Limit {
        limit(&self.report)
    }
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.report.result.as_ref().unwrap().body).unwrap()
    }
}

#[track_caller]
pub(crate) fn limit(report: &Report) -> Limit {
    match &report.result {
        Err(Failure::Limit { limit, .. }) => *limit,
        other => panic!("no limit: {other:?}"),
    }
}

impl Buckets {
    pub(crate) fn with(key: &str, bytes: impl Into<Bytes>) -> Arc<Self> {
        let buckets = Self::default();
        buckets.objects.lock().unwrap().insert(key.to_owned(), bytes.into());
        Arc::new(buckets)
    }
}

pub(crate) fn object(key: &str) -> ObjectRef {
    ObjectRef {
        provider: wicket_config::ProviderId::default(),
        bucket: "photos".parse().unwrap(),
        key: key.parse().unwrap(),
        size: None,
        etag: None,
    }
}

pub(crate) fn created(key: &str) -> Event {
    Event::object_created(object(key), EventId(key.to_owned()))
}

#[async_trait]
impl Objects for Buckets {
    async fn open(&self, object: &ObjectRef) -> Result<Opened, ObjectError> {
        let found = self.objects.lock().unwrap().get(object.key.as_str()).cloned();
        let bytes = found.ok_or_else(|| ObjectError::Missing {
            bucket: object.bucket.to_string(),
            key: object.key.to_string(),
        })?;
        let content_type = Some(TEXT.to_owned());
        Ok(Opened { size: bytes.len() as u64, content_type, body: stream(bytes) })
    }

    async fn list(
        &self,
        _bucket: &BucketName,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ObjectEntry>, ObjectError> {
        let objects = self.objects.lock().unwrap();
        let fits = |(key, _): &(&String, _)| {
            key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        };
        let entry = |(key, bytes): (&String, &Bytes)| ObjectEntry {
            key: key.parse().unwrap(),
            size: bytes.len() as u64,
            modified: wicket_core::Timestamp(0),
        };
        Ok(objects.iter().filter(fits).take(limit as usize).map(entry).collect())
    }
}

#[async_trait]
impl Outputs for Buckets {
    async fn stage(
        &self,
        name: OutputName,
        content_type: Option<String>,
        mut body: ByteStream,
    ) -> Result<u64, ObjectError> {
        let mut bytes = Vec::new();
        while let Some(part) = body.next().await {
            let part = part.unwrap();
            self.pieces.lock().unwrap().push(part.len());
            bytes.extend_from_slice(&part);
        }
        let size = bytes.len() as u64;
        self.staged.lock().unwrap().insert(name.as_str().to_owned(), (content_type, bytes.into()));
        Ok(size)
    }
}
