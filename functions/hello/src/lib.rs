//! Answers every request with a greeting. It knows nothing of Wicketgate: any host of `wasi:http` runs it.

#![cfg(target_family = "wasm")]

use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

const GREETING: &[u8] = b"Hello from Wicketgate";

struct Hello;

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(_request: IncomingRequest, answer: ResponseOutparam) {
        let headers = [
            ("content-type".to_owned(), b"text/plain".to_vec()),
            ("content-length".to_owned(), GREETING.len().to_string().into_bytes()),
        ];
        let headers = Fields::from_list(&headers).expect("legal headers");
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("taken for the first time");
        ResponseOutparam::set(answer, Ok(response));
        let out = body.write().expect("taken for the first time");
        // The client may have gone: then nobody is there to be told.
        let _gone = out.blocking_write_and_flush(GREETING);
        drop(out);
        let _gone = OutgoingBody::finish(body, None);
    }
}

wasip2::http::proxy::export!(Hello);
