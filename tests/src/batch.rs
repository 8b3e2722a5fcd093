//! AWS Batch for the stories: moto, which runs jobs as containers of the engine, and what stands between it and a host.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::{Engine, tools, until};

/// It takes seconds to start, more on a busy machine.
const START: Duration = Duration::from_secs(180);

/// A Batch with a queue `heavy`. Killed when dropped.
#[derive(Debug)]
pub struct BatchServer {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
    /// What it has made for a compute environment: `role`, `profile`, `subnet`, `group`.
    pub made: Value,
}

impl BatchServer {
    /// One whose jobs run on this engine, and reach this machine's loopback.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub async fn start(engine: &Engine) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = std::fs::File::create(folder.path().join("log")).expect("a temporary file");
        let script = crate::host::root().join("tests/src/batch_server.py");
        let mut child = tools::python()
            .arg(script)
            .arg(port.to_string())
            .env("DOCKER_HOST", format!("unix://{}", engine.socket.display()))
            .env("MOTO_DOCKER_NETWORK_MODE", "host")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a pipe is readable");
        let made = serde_json::from_str(&line).expect("moto starts: is `cargo xtask tools` done?");
        let up = async || tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok();
        drop(until("moto listens", START, up).await);
        Self { child, port, folder, made }
    }

    /// Its base URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for BatchServer {
    fn drop(&mut self) {
        let _gone = self.child.kill().and_then(|()| self.child.wait());
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed story shows what Batch said")]
            {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let said: Vec<&str> = log.lines().filter(|line| !line.contains("\" 200 -")).collect();
                eprintln!("--- moto said:\n{}", said.join("\n"));
            }
        }
    }
}

/// The folder with the program of batch jobs.
///
/// # Panics
///
/// When it was not built.
pub fn supervisor() -> PathBuf {
    let folder = crate::host::root().join("target/supervisor");
    let program = folder.join("wicket-supervisor");
    assert!(program.exists(), "{} is missing: run `cargo xtask supervisor`", program.display());
    folder
}

/// At which request nothing goes on any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// At none.
    #[default]
    Nothing,
    /// A submission does not arrive.
    BeforeSubmit,
    /// A submission arrives, and its answer does not.
    AfterSubmit,
}

#[derive(Debug, Default)]
struct Shared {
    to: String,
    hold: Mutex<Hold>,
    held: Notify,
    /// Requests by their path, each with its body.
    seen: Mutex<BTreeMap<String, Vec<Value>>>,
}

/// Stands between a host and its Batch: sees what is asked, and can hold it.
#[derive(Debug)]
pub struct Between {
    shared: Arc<Shared>,
    port: u16,
    serving: JoinHandle<()>,
}

impl Between {
    /// Passes on to a base URL.
    ///
    /// # Panics
    ///
    /// When there is no port for it.
    pub async fn start(to: String) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared { to, ..Shared::default() });
        let own = shared.clone();
        #[expect(clippy::disallowed_methods, reason = "it is ended when this is dropped")]
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = own.clone();
                let answer = service_fn(move |request| pass(shared.clone(), request));
                let connection = hyper::server::conn::http1::Builder::new();
                connections.spawn(connection.serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { shared, port, serving }
    }

    /// Its base URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Holds from now on.
    ///
    /// # Panics
    ///
    /// When a task of its has panicked.
    pub fn hold(&self, hold: Hold) {
        *self.shared.hold.lock().expect("no panic in here") = hold;
    }

    /// Waits until something is held.
    pub async fn held(&self) {
        self.shared.held.notified().await;
    }

    /// The bodies of the requests of this name (`submitjob`) so far.
    ///
    /// # Panics
    ///
    /// When a task of its has panicked.
    pub fn seen(&self, name: &str) -> Vec<Value> {
        let seen = self.shared.seen.lock().expect("no panic in here");
        seen.get(&format!("/v1/{name}")).cloned().unwrap_or_default()
    }

    /// Asks Batch itself, as nobody's host.
    ///
    /// # Panics
    ///
    /// When it does not answer in JSON.
    pub async fn ask(&self, name: &str, body: &Value) -> Value {
        // By this it knows which of its services is asked; it checks no signature.
        let signed = "AWS4-HMAC-SHA256 Credential=AKIANOBODY/20260101/us-east-1/batch/aws4_request, SignedHeaders=host, Signature=0";
        let request = Request::post(format!("{}/v1/{name}", self.shared.to)).header("authorization", signed);
        let request = request.body(Full::new(Bytes::from(body.to_string()))).expect("a request");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(request).await.expect("moto answers");
        let body = answer.into_body().collect().await.expect("moto answers");
        serde_json::from_slice(&body.to_bytes()).expect("moto answers in JSON")
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = parts.uri.path().to_owned();
    let said = serde_json::from_slice(&body).unwrap_or_default();
    shared.seen.lock().expect("no panic in here").entry(path.clone()).or_default().push(said);
    let hold = *shared.hold.lock().expect("no panic in here");
    let held = async || {
        shared.held.notify_one();
        std::future::pending::<()>().await;
    };
    let is_submit = path == "/v1/submitjob";
    if is_submit && hold == Hold::BeforeSubmit {
        held().await;
    }
    let rest = parts.uri.path_and_query().map_or("/", |rest| rest.as_str());
    parts.uri = format!("{}{rest}", shared.to).parse()?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(Request::from_parts(parts, Full::new(body))).await?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    if is_submit && hold == Hold::AfterSubmit {
        held().await;
    }
    Ok(Response::from_parts(parts, Full::new(body)))
}
