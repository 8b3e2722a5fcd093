//! Sends back what it is sent, piece by piece: method, path and authorization in headers, the body as the body. `?status=418` chooses
//! the status.

#![cfg(target_family = "wasm")]

use std::io;

use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Echo;

impl wasip2::exports::http::incoming_handler::Guest for Echo {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let kind = request.headers().get("content-type").into_iter().next();
        let headers = Fields::new();
        let set = |name: &str, value: Vec<u8>| headers.set(name, &[value]).expect("a legal header");
        set("x-method", format!("{:?}", request.method()).into_bytes());
        set("x-path", path.clone().into_bytes());
        if let Some(value) = request.headers().get("authorization").into_iter().next() {
            set("x-authorization", value);
        }
        set("content-type", kind.unwrap_or_else(|| b"application/octet-stream".to_vec()));
        let response = OutgoingResponse::new(headers);
        let status = path.split_once("status=").and_then(|(_, status)| status.parse().ok()).unwrap_or(200);
        response.set_status_code(status).expect("a legal status");
        let body = response.body().expect("taken for the first time");
        ResponseOutparam::set(answer, Ok(response));
        let mut out = body.write().expect("taken for the first time");
        let taken = request.consume().expect("taken for the first time");
        let mut stream = taken.stream().expect("taken for the first time");
        match io::copy(&mut stream, &mut out).and_then(|_| io::Write::flush(&mut out)) {
            Ok(()) => {
                drop(out);
                let _gone = OutgoingBody::finish(body, None);
            }
            Err(error) => eprintln!("broke off: {error}"),
        }
    }
}

wasip2::http::proxy::export!(Echo);
