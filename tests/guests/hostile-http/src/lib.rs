//! Misbehaves as its path says (`/h/spin`), or its body when it is posted to `/`, as events are; see `hostile`. Beside
//! that: `flood` (an endless body), `silent` (no answer), `hoard` (makes resources without end), `reach/AUTHORITY`
//! (five requests at once, the last first), `slowly` (takes its body piece by piece, and answers with its size). Anything else:
//! it says `fine`.

#![cfg(target_family = "wasm")]

use std::io::{self, Read as _, Write as _};

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam, Scheme,
};

struct Hostile;

impl wasip2::exports::http::incoming_handler::Guest for Hostile {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let mut text = request.path_with_query().unwrap_or_default();
        if text == "/" {
            text = body(&request).unwrap_or_default();
        }
        hostile::misbehave(&text);
        let said = |word: &str| text.contains(word);
        if said("silent") {
            return;
        } else if said("hoard") {
            let mut held = Vec::new();
            loop {
                held.push(Fields::new());
            }
        } else if said("reach") {
            let (_, authority) = text.split_once("reach/").expect("whom?");
            let held: Vec<_> = (0..5).map(|_| reach(authority)).collect();
            for one in held.iter().rev() {
                one.subscribe().block();
                one.get().expect("an end").expect("asked for the first time").expect("no error");
            }
        }
        let answered = if said("slowly") {
            body(&request).map(|body| body.len().to_string())
        } else {
            Ok("fine".to_owned())
        };
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("taken for the first time");
        ResponseOutparam::set(answer, Ok(response));
        let mut out = body.write().expect("taken for the first time");
        if said("flood") {
            while out.write_all(&[b'x'; 4096]).is_ok() {}
            return;
        }
        let answered = answered.unwrap_or_else(|error| error.to_string());
        let _gone = out.write_all(answered.as_bytes()).and_then(|()| io::Write::flush(&mut out));
        drop(out);
        let _gone = OutgoingBody::finish(body, None);
    }
}

/// The request's body as text.
fn body(request: &IncomingRequest) -> io::Result<String> {
    let taken = request.consume().expect("taken for the first time");
    let mut stream = taken.stream().expect("taken for the first time");
    let mut body = String::new();
    stream.read_to_string(&mut body)?;
    Ok(body)
}

/// Sends a request, and does not wait for its answer.
fn reach(authority: &str) -> wasip2::http::types::FutureIncomingResponse {
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request.set_authority(Some(authority)).expect("an authority");
    request.set_path_with_query(Some("/")).expect("a path");
    outgoing_handler::handle(request, None).expect("it is sent")
}

wasip2::http::proxy::export!(Hostile);
