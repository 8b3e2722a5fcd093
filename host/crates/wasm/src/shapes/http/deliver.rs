//! An event for an HTTP handler: a CloudEvent in binary mode, posted to `/`.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full};
use wicket_core::{Attempt, Event, Failure, Redactor, Reply, Report, Usage};
use wicket_workspace::notification;

use super::guest::Source;
use super::{Done, Entered, answer};
use crate::meter::Meter;
use crate::state::State;
use crate::stdio::LARGEST_REPLY;
use crate::{Answer, AnswerBody, WasmExecutor};

/// Characters of a refusal's body that are quoted.
const LONGEST_REFUSAL: usize = 500;

/// Runs an attempt on an HTTP handler: a 2xx is success, a 4xx says that the same event will always fail.
pub(crate) async fn deliver(executor: &WasmExecutor, entered: Entered, attempt: Attempt) -> Report {
    let meter = Meter::new(&attempt.deployment.service.limits);
    let report: Arc<Mutex<Option<Report>>> = Arc::default();
    let told = report.clone();
    let call = Box::new(move |report| *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(report));
    let done = Done { call: Some(call), meter: meter.clone() };
    let request = request(&attempt.invocation.event);
    let mut state = State::new(&attempt.deployment, &attempt.log, &meter);
    state.objects = Some(attempt.objects.clone());
    let answered = answer(executor, Source::Fresh(entered, None), state, request, meter.clone(), done).await;
    let result = match answered {
        Ok(response) => judge(response, &meter, &Redactor::of(&attempt.deployment)).await,
        Err(failure) => Err(failure),
    };
    let report = report.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Report { result: told, usage } =
        report.unwrap_or_else(|| Report { result: Ok(Reply::default()), usage: Usage::default() });
    let usage = if usage == Usage::default() { meter.usage() } else { usage };
    match (result, told) {
        // A limit that was met here, by an answer that is too large, ended the guest.
        (Err(failure @ Failure::Limit { .. }), _) => Report { result: Err(failure), usage },
        // What the guest's own end says is nearer to the cause than a body that broke off.
        (Err(_), Err(failure)) => Report { result: Err(failure), usage },
        (result, _) => Report { result, usage },
    }
}

fn request(event: &Event) -> Request<AnswerBody> {
    let body = Full::new(notification::body(event)).map_err(|never| match never {}).boxed_unsync();
    let mut request = Request::new(body);
    *request.method_mut() = http::Method::POST;
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_static("wicket.local"));
    let time = event.time.to_string();
    let plain = [
        ("ce-specversion", Some("1.0")),
        ("ce-id", Some(event.id.0.as_str())),
        ("ce-source", Some(event.source.as_str())),
        ("ce-type", Some(event.kind.as_str())),
        ("ce-subject", event.subject.as_deref()),
        ("ce-time", Some(time.as_str())),
        ("content-type", notification::content_type(event)),
    ];
    for (name, value) in plain {
        if let Some(value) = value.and_then(encoded) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    for (name, value) in &event.extensions {
        if let (Ok(name), Some(value)) = (HeaderName::try_from(format!("ce-{name}")), encoded(value)) {
            headers.insert(name, value);
        }
    }
    request
}

/// CloudEvents' HTTP binding: what is no printable ASCII is percent-encoded, and so are `"` and `%`.
fn encoded(value: &str) -> Option<HeaderValue> {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'"' | b'%' | 0..=0x20 | 0x7f.. => text.push_str(&format!("%{byte:02X}")),
            _ => text.push(char::from(byte)),
        }
    }
    HeaderValue::from_str(&text).ok()
}

async fn judge(response: Answer, meter: &Meter, secrets: &Redactor) -> Result<Reply, Failure> {
    let (parts, mut body) = response.into_parts();
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Failure::Function { message: error.to_string(), permanent: false })?;
        let Ok(data) = frame.into_data() else { continue };
        if collected.len() + data.len() > LARGEST_REPLY {
            return Err(meter.failure(meter.reply_too_large().0));
        }
        collected.extend_from_slice(&data);
    }
    let status = parts.status;
    if status.is_success() {
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        return Ok(Reply {
            body: collected.into(),
            content_type: content_type.and_then(|value| value.to_str().ok()).map(str::to_owned),
            status: Some(i32::from(status.as_u16())),
        });
    }
    let said = secrets.words(format_args!("{}", String::from_utf8_lossy(&collected)));
    let said: String = said.chars().take(LONGEST_REFUSAL).collect();
    let message = format!("it answered {status}: {said}").trim_end_matches([':', ' ']).to_owned();
    Err(Failure::Function { message, permanent: status.is_client_error() })
}
