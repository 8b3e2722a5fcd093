//! Somebody to whom alerts are posted.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// An HTTP server that answers as it is told, and keeps what is posted to it.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Where to post to.
    pub(super) url: String,
    posted: Arc<Mutex<Posted>>,
    /// Ends with this.
    _serving: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Posted {
    /// The next answers; after them, 200.
    answers: VecDeque<u16>,
    posts: Vec<Post>,
}

/// What was posted.
#[derive(Clone, Debug)]
pub(super) struct Post {
    /// What it was answered with.
    pub(super) status: u16,
    /// What it says that it is.
    pub(super) content_type: String,
    /// It.
    pub(super) body: Value,
}

impl Endpoint {
    /// Answers with these, one after the other, and then with 200.
    pub(super) async fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/fire", listener.local_addr().expect("it is bound"));
        let posted = Posted { answers: answers.to_vec().into(), ..Posted::default() };
        let posted = Arc::new(Mutex::new(posted));
        let own = posted.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let posted = own.clone();
                let answer = service_fn(move |request| answer(posted.clone(), request));
                let connection = hyper::server::conn::http1::Builder::new();
                connections.spawn(connection.serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { url, posted, _serving: serving }
    }

    /// All that was posted so far, in its order.
    pub(super) fn posts(&self) -> Vec<Post> {
        self.posted.lock().expect("no panic in here").posts.clone()
    }
}

async fn answer(
    posted: Arc<Mutex<Posted>>,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut answer = Response::new(Empty::new());
    if parts.method != Method::POST || parts.uri.path() != "/fire" {
        *answer.status_mut() = StatusCode::NOT_FOUND;
        return Ok(answer);
    }
    let mut posted = posted.lock().expect("no panic in here");
    let status = posted.answers.pop_front().unwrap_or(200);
    let content_type = parts.headers.get("content-type").and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    posted.posts.push(Post { status, content_type, body: serde_json::from_slice(&body).unwrap_or_default() });
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    Ok(answer)
}
