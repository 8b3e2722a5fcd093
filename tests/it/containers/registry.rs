//! A registry of images, as small as an engine takes one, and what becomes of images that come from it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use bollard::query_parameters::RemoveImageOptions;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wicket_tests::{Engine, IMAGE, Setup, TestHost, until};

use super::{clean, run};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const USER: &str = "ada";
const PASSWORD: &str = "s3cret-of-the-registry";

/// What it has: by digest, manifests also by tag.
type Content = Arc<Mutex<HashMap<String, Bytes>>>;

struct Registry {
    address: SocketAddr,
    content: Content,
    /// Closed while this has no permit: layers wait.
    gate: Arc<Semaphore>,
    _serving: JoinSet<()>,
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Registry {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (address, content) = (listener.local_addr().expect("an address"), Content::default());
        let (served, mut serving) = (content.clone(), JoinSet::new());
        let gate = Arc::new(Semaphore::new(1));
        let opened = gate.clone();
        serving.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (served, opened) = (served.clone(), opened.clone());
                let service = hyper::service::service_fn(move |request| {
                    let (answer, opened) = (answer(&served, &request), opened.clone());
                    let is_layer = request.uri().path().contains("/blobs/");
                    async move {
                        if is_layer {
                            let _open = opened.acquire().await.expect("nobody closes it");
                        }
                        Ok::<_, std::convert::Infallible>(answer)
                    }
                });
                all.spawn(async move {
                    let served = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    let _broken_off = served.await;
                });
            }
        });
        Self { address, content, gate, _serving: serving }
    }

    /// The name of its image.
    fn image(&self, reference: &str) -> String {
        let sign = if reference.starts_with("sha256:") { '@' } else { ':' };
        format!("{}/stories/image{sign}{reference}", self.address)
    }

    /// Takes the stories' root with a variable that tells it from others; its digest.
    fn push(&self, tag: &str, mark: &str) -> String {
        let layer = Bytes::from(std::fs::read(wicket_tests::image()).expect("it was set up"));
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let config = json!({
            "architecture": arch, "os": "linux", "config": {"Env": [format!("MARK={mark}")]},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        let config = Bytes::from(config.to_string());
        let about = |media_type: &str, bytes: &Bytes| json!({"mediaType": format!("application/vnd.docker.{media_type}"), "size": bytes.len(), "digest": digest(bytes)});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": about("container.image.v1+json", &config),
            "layers": [about("image.rootfs.diff.tar", &layer)],
        });
        let manifest = Bytes::from(manifest.to_string());
        let mut content = self.content.lock().expect("no panic in here");
        for bytes in [&layer, &config, &manifest] {
            content.insert(digest(bytes), bytes.clone());
        }
        content.insert(tag.to_owned(), manifest.clone());
        digest(&manifest)
    }
}

fn answer(content: &Content, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let right = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let answer = Response::builder();
    if given != Some(&format!("Basic {right}")) {
        let body =
            json!({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}).to_string();
        let answer = answer
            .status(StatusCode::UNAUTHORIZED)
            .header(header::WWW_AUTHENTICATE, "Basic realm=\"stories\"");
        return answer.body(Full::new(body.into())).expect("an answer");
    }
    let path = request.uri().path();
    if path == "/v2/" {
        return answer.body(Full::default()).expect("an answer");
    }
    let wanted = path.rsplit('/').next().unwrap_or_default();
    let found = content.lock().expect("no panic in here").get(wanted).cloned();
    let Some(bytes) = found else {
        let body =
            json!({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}).to_string();
        return answer.status(StatusCode::NOT_FOUND).body(Full::new(body.into())).expect("an answer");
    };
    let media_type = if path.contains("/manifests/") { MANIFEST } else { "application/octet-stream" };
    let answer = answer
        .header(header::CONTENT_TYPE, media_type)
        .header(header::CONTENT_LENGTH, bytes.len())
        .header("docker-content-digest", digest(&bytes));
    let body = if request.method() == Method::HEAD { Bytes::new() } else { bytes };
    answer.body(Full::new(body)).expect("an answer")
}

async fn apply(host: &TestHost, method: Method, image: &str, pull: &str) -> (StatusCode, String) {
    let service =
        json!({"name": "fetched", "image": image, "script": "echo $MARK", "container": {"pull": pull}});
    let answer = host.admin(method, "/system/services", service.to_string()).await;
    (answer.status, answer.text())
}

#[tokio::test]
async fn an_image_comes_from_a_registry_and_what_was_deployed_is_what_runs() {
    let (engine, registry) = (Engine::find().await, Registry::start().await);
    let first = registry.push("1", "one");
    let known = |password: &str| {
        let address = registry.address;
        let lines =
            format!("[docker.registries.\"{address}\"]\nusername = \"{USER}\"\npassword = \"{password}\"");
        engine.host_with(
            &lines,
            Setup { env: vec![("WICKET_LOG".to_owned(), "debug".to_owned())], ..Setup::default() },
        )
    };
    // Who is not known there is told so, and nothing stands.
    for host in [engine.host(), known("another password")] {
        let (status, said) = apply(&host, Method::POST, &registry.image("1"), "missing").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
        assert!(said.contains("cannot be fetched") && said.contains("auth"), "{said}");
        assert!(!host.stderr().contains("another password"));
    }
    let host = known(PASSWORD);
    let (status, said) = apply(&host, Method::POST, &registry.image("none"), "missing").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
    assert!(said.contains("manifest unknown") || said.contains("not found"), "{said}");
    // While its layers are on their way, the host says so.
    let closed = registry.gate.clone().acquire_owned().await.expect("nobody closes it");
    let watched = async {
        let what = format!("image {}", registry.image("1"));
        until("it is told", super::SOON, async || {
            let fetches = host.admin(Method::GET, "/system/fetches", "").await.json();
            (fetches[0]["what"] == what.as_str()).then_some(())
        })
        .await;
        drop(closed);
    };
    let image = registry.image("1");
    let ((status, said), ()) = tokio::join!(apply(&host, Method::POST, &image, "missing"), watched);
    assert_eq!(status, StatusCode::CREATED, "{said}");
    assert_eq!(host.admin(Method::GET, "/system/fetches", "").await.json(), json!([]));
    let read = host.admin(Method::GET, "/system/services/fetched", "").await.json();
    let token = read["token"].as_str().expect("a token").to_owned();
    let says = async || String::from_utf8(run(&host, "fetched", &token, "").await.1).expect("text");
    assert_eq!(says().await, "one\n");
    // The tag moves: the next apply sees it, what stands does not.
    registry.push("1", "two");
    assert_eq!(says().await, "one\n");
    let (status, said) = apply(&host, Method::PUT, &registry.image("1"), "always").await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{said}");
    assert_eq!(says().await, "two\n");
    host.wicket(&["rollback", "fetched"]);
    assert_eq!(says().await, "one\n");
    // A digest is the same for ever.
    let (status, said) = apply(&host, Method::PUT, &registry.image(&first), "missing").await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{said}");
    assert_eq!(says().await, "one\n");
    // A registry that is gone changes nothing that stands.
    registry.content.lock().expect("no panic in here").clear();
    let (status, said) = apply(&host, Method::PUT, &registry.image("1"), "always").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
    assert_eq!(says().await, "one\n");
    let all = [host.stderr(), read.to_string(), host.wicket(&["services", "--json"]).stdout];
    assert!(!all.iter().any(|said| said.contains(PASSWORD)), "{all:?}");
    clean(&engine, &host).await;
    for image in [registry.image("1"), registry.image(&first)] {
        let _was_one = engine.docker.remove_image(&image, None::<RemoveImageOptions>, None).await;
    }
}

/// Where no GPU is, a stub of NVIDIA's hook lets the engine take the request.
#[tokio::test]
async fn a_gpu_is_asked_of_the_engine_and_one_that_it_cannot_give_is_refused_at_deploy() {
    use std::os::unix::fs::PermissionsExt as _;
    for (hook, wanted) in
        [("#!/bin/sh\nexit 0\n", StatusCode::CREATED), ("#!/bin/sh\nexit 1\n", StatusCode::BAD_REQUEST)]
    {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stub = folder.path().join("nvidia-container-runtime-hook");
        std::fs::write(&stub, hook).expect("a file");
        std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).expect("its owner");
        let own = wicket_tests::OwnEngine::start(&[], &[folder.path().to_owned()]).await;
        let engine = own.engine().await;
        let host = engine.host();
        let mut service: Value =
            json!({"name": "gpu", "image": IMAGE, "script": "echo \"[$NVIDIA_VISIBLE_DEVICES]\""});
        service["container"] = json!({"pull": "never", "gpus": 1});
        let answer = host.admin(Method::POST, "/system/services", service.to_string()).await;
        assert_eq!(answer.status, wanted, "{}", answer.text());
        if wanted == StatusCode::CREATED {
            let ran = host.admin(Method::POST, "/run/gpu", "").await;
            assert_eq!(ran.text(), "[0]\n");
        } else {
            assert!(
                answer.text().contains("1 GPU(s), and this machine's engine cannot give them"),
                "{}",
                answer.text()
            );
        }
        clean(&engine, &host).await;
    }
}
