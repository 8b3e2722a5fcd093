//! The transform behind `wasi:http`.

use std::io::{self, Write as _};

use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

use crate::{Refusal, transform};

struct JsonTransform;

impl wasip2::exports::http::incoming_handler::Guest for JsonTransform {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        if !matches!(request.method(), Method::Post) {
            return respond(answer, 405, &[("allow", "POST")], b"POST a JSON document\n");
        }
        let body = request.consume().expect("taken for the first time");
        let stream = body.stream().expect("taken for the first time");
        let json = [("content-type", "application/json")];
        match transform(stream) {
            Ok(document) => respond(answer, 200, &json, &document),
            Err(refusal) => {
                let status = match refusal {
                    Refusal::Large => 413,
                    Refusal::Syntax(_) | Refusal::Broken(_) => 400,
                };
                respond(answer, status, &[("content-type", "text/plain")], format!("{refusal}\n").as_bytes());
            }
        }
    }
}

fn respond(answer: ResponseOutparam, status: u16, headers: &[(&str, &str)], bytes: &[u8]) {
    let mut list: Vec<_> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    list.push(("content-length".to_owned(), bytes.len().to_string().into_bytes()));
    let response = OutgoingResponse::new(Fields::from_list(&list).expect("legal headers"));
    response.set_status_code(status).expect("a legal status");
    let body = response.body().expect("taken for the first time");
    ResponseOutparam::set(answer, Ok(response));
    let mut out = body.write().expect("taken for the first time");
    // The client may have gone: then nobody is there to be told.
    let _gone = out.write_all(bytes).and_then(|()| io::Write::flush(&mut out));
    drop(out);
    let _gone = OutgoingBody::finish(body, None);
}

wasip2::http::proxy::export!(JsonTransform);
