//! A service answers a request: permit, instance, receipt.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use wicket_core::{
    AttemptRecord, Deployment, EventId, Failure, InvocationId, Limit, LogSink, Receipt, Report, State,
    Timestamp, Trigger, Usage,
};
use wicket_wasm::HttpCall;

use super::arriving::Arriving;
use super::leaving::leaving;
use super::refusal::{failed, refusal};
use crate::api::view::INVOCATION_HEADER;
use crate::catalog::Endpoint;
use crate::node::Node;

/// Calls the service behind a route, and streams both ways.
pub(super) async fn call(
    node: &Arc<Node>,
    endpoint: &Endpoint,
    mut request: Request<Arriving>,
) -> Response<Body> {
    // A browser that knows the admin's password sends it along to everything on this host.
    if node.credentials.is_admin(request.headers()) {
        request.headers_mut().remove(header::AUTHORIZATION);
    }
    if node.stop.is_cancelled() {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the host is stopping");
    }
    let deployment = &endpoint.deployment;
    let limits = &deployment.service.limits;
    let entry = Entry {
        id: InvocationId::random(),
        accepted: Timestamp::now(),
        deployment: deployment.clone(),
        subject: format!("{} {}", request.method(), cut(request.uri().path())),
    };
    let id = entry.id;
    if request.body().size_hint().lower() > limits.body.0 {
        let message = format!("a request body may have {}", limits.body);
        entry.refuse(node, Failure::Limit { limit: Limit::Body, message });
        let text = format!("the body passes this service's limit of {} (invocation {id})", limits.body);
        return named(refusal(StatusCode::PAYLOAD_TOO_LARGE, "body_limit", &text), id);
    }
    // Without a wait in the usual case; the timer exists only for those who must stand in line.
    let (permit, started) = match endpoint.permits.clone().try_acquire_owned() {
        Ok(permit) => (permit, entry.accepted),
        Err(_) => {
            let patience = node.config.http.permit_timeout;
            let wait = tokio::time::timeout(patience.0, endpoint.permits.clone().acquire_owned());
            let Ok(Ok(permit)) = wait.await else {
                let message =
                    format!("{} attempts ran, and none ended within {patience}", limits.concurrency);
                entry.refuse(node, Failure::Limit { limit: Limit::Concurrency, message });
                let text = "the service runs as many attempts as its `limits.concurrency` allows";
                return named(refusal(StatusCode::TOO_MANY_REQUESTS, "concurrency_limit", text), id);
            };
            (permit, Timestamp::now())
        }
    };
    let permit = Arc::new(permit);
    let (held, host) = (permit.clone(), node.clone());
    let log = LogSink::new(limits.log.0);
    let sink = log.clone();
    let done = move |mut report: Report| {
        drop(held);
        report.result = report.result.map_err(|failure| host.told(failure));
        host.recorder.record(entry.receipt(started, report), sink.take());
    };
    let request = request.map(|body| {
        if body.is_end_stream() {
            Empty::new().map_err(|never| match never {}).boxed_unsync()
        } else {
            body.boxed_unsync()
        }
    });
    let objects = node.objects_for(deployment);
    let call = HttpCall { deployment: deployment.clone(), id, request, objects, log, done: Box::new(done) };
    let response = match node.wasm.serve(call).await {
        Ok(response) => response.map(|body| leaving(body, permit)),
        Err(failure) => failed(&failure, id),
    };
    named(response, id)
}

/// What the receipt of a call begins with.
struct Entry {
    id: InvocationId,
    accepted: Timestamp,
    deployment: Arc<Deployment>,
    subject: String,
}

impl Entry {
    /// Records that the call met a limit before anything ran.
    fn refuse(self, node: &Node, failure: Failure) {
        let (now, log) = (Timestamp::now(), wicket_core::Log::default());
        let report = Report { result: Err(failure), usage: Usage::default() };
        node.recorder.record(self.receipt(now, report), log);
    }

    fn receipt(self, started: Timestamp, report: Report) -> Receipt {
        let failure = report.result.as_ref().err().cloned();
        let record = AttemptRecord {
            number: 1,
            version: self.deployment.version,
            executor: "wasm".to_owned(),
            started,
            queue_us: u64::try_from(started.since(self.accepted).as_micros()).unwrap_or(u64::MAX),
            usage: report.usage,
            status: report.result.ok().and_then(|reply| reply.status),
            failure: failure.clone(),
            placement: None,
        };
        let event = EventId(self.id.to_string());
        Receipt {
            id: self.id,
            service: self.deployment.service.name.clone(),
            trigger: Trigger::Http,
            source: "/http".to_owned(),
            subject: Some(self.subject),
            origin: event.clone(),
            event,
            state: if failure.is_none() { State::Succeeded } else { State::Failed },
            accepted: self.accepted,
            finished: Some(Timestamp::now()),
            due: None,
            waiting: None,
            attempts: vec![record],
        }
    }
}

fn named(mut response: Response<Body>, id: InvocationId) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(INVOCATION_HEADER, value);
    }
    response
}

/// A path short enough for a receipt or an answer.
pub(super) fn cut(path: &str) -> &str {
    let mut end = path.len().min(200);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}
