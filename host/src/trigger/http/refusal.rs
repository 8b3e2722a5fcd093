//! What a caller is told when no function answers.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use wicket_core::{Failure, InvocationId, Limit};

use crate::api::status_of;

/// An answer of the host's own, as JSON. One who is refused for the moment is told when to come again.
pub(super) fn refusal(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = serde_json::json!({ "error": { "code": code, "message": message } }).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The answer to a caller whose function failed before it answered. The reason is in the receipt: only the kind is
/// told outside.
pub(super) fn failed(failure: &Failure, id: InvocationId) -> Response<Body> {
    let (status, code) = status_of(failure);
    let text = match failure {
        Failure::Limit { limit: Limit::Concurrency, .. } => {
            format!("the host runs as many instances as it may (invocation {id})")
        }
        Failure::Limit { limit, .. } => format!("the function reached its {limit} limit (invocation {id})"),
        Failure::Function { .. } | Failure::Trap { .. } | Failure::Declined { .. } => {
            format!("the function failed (invocation {id})")
        }
        Failure::Unavailable { .. } => format!("what it runs on is away (invocation {id})"),
        Failure::Input { .. } => format!("the request cannot be given to the function (invocation {id})"),
        Failure::Host { .. } => format!("the host failed (invocation {id})"),
        Failure::Cancelled { .. } => format!("the call was cancelled (invocation {id})"),
    };
    refusal(status, code, &text)
}
