//! The HTTP listener: requests for a service go to it, requests for the host itself go to the API.
//!
//! Read in this order: [`serve`] (connections), `target` (what a request is for), `call` (a service answers),
//! `arriving` and `leaving` (bodies), `refusal` (what is said when nothing runs).

mod arriving;
mod call;
mod connection;
mod leaving;
mod refusal;
mod target;
mod wire;

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use self::arriving::{Arriving, Left};
use self::refusal::refusal;
use crate::catalog::Lookup;
use crate::node::Node;

pub(crate) use arriving::TooSlow;
pub(crate) use connection::serve;
pub(crate) use target::decoded;

/// Answers one request.
async fn answer(
    node: Arc<Node>,
    api: axum::Router,
    left: Left,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    if *request.method() == Method::OPTIONS && request.uri().path() == "*" {
        return Ok(empty(StatusCode::NO_CONTENT));
    }
    let here = || node.addresses.get().map(|addresses| addresses.http);
    let authority = match target::settle(&mut request, here) {
        Ok(authority) => authority,
        Err(bad) => return Ok(refusal(StatusCode::BAD_REQUEST, "bad_request", &bad.to_string())),
    };
    let found = {
        let path = match decoded(request.uri().path()) {
            Ok(path) => path,
            Err(bad) => return Ok(refusal(StatusCode::BAD_REQUEST, "bad_path", &bad.to_string())),
        };
        let first = path.get(1..).and_then(|path| path.split('/').next()).unwrap_or_default();
        if wicket_config::RESERVED_PATHS.contains(&first) {
            None
        } else {
            let host = authority.as_ref().map(http::uri::Authority::host);
            Some(node.catalog.table().http.find(host, &path, request.method().as_str()))
        }
    };
    match found {
        None => {
            let patience = node.config.http.body_timeout.0;
            let request = request.map(|body| Body::new(Arriving::new(body, Some(patience), left)));
            tower::ServiceExt::oneshot(api, request).await
        }
        Some(Lookup::Found(endpoint)) => {
            Ok(call::call(&node, &endpoint, request.map(|body| Arriving::new(body, None, left))).await)
        }
        Some(Lookup::OtherMethods(methods)) => Ok(other_methods(&request, methods)),
        Some(Lookup::Nothing) => {
            let path = call::cut(request.uri().path());
            Ok(refusal(StatusCode::NOT_FOUND, "no_route", &format!("no service answers {path}")))
        }
    }
}

/// The path is there, for other methods: said to those who ask, and to those who try.
fn other_methods(request: &Request<Incoming>, mut methods: Vec<String>) -> Response<Body> {
    if methods.iter().any(|method| method == "GET") {
        methods.push(Method::HEAD.to_string());
    }
    methods.push(Method::OPTIONS.to_string());
    methods.sort_unstable();
    methods.dedup();
    let mut response = if *request.method() == Method::OPTIONS {
        empty(StatusCode::NO_CONTENT)
    } else {
        let text = format!("no service answers {} {}", request.method(), call::cut(request.uri().path()));
        refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &text)
    };
    if let Ok(allow) = HeaderValue::from_str(&methods.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
