//! Fetches the URLs in its request's body, one a line, and answers with a line for each: `200 12 bytes` or the error.

#![cfg(target_family = "wasm")]

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam, Scheme,
};

struct Egress;

impl wasip2::exports::http::incoming_handler::Guest for Egress {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let body = request.consume().expect("taken for the first time");
        let mut urls = String::new();
        let stream = body.stream().expect("taken for the first time");
        let read = stream.take(1 << 16).read_to_string(&mut urls);
        let mut said = String::new();
        for url in urls.lines().filter(|_| read.is_ok()) {
            let _never_fails = match fetch(url) {
                Ok((status, size)) => writeln!(said, "{url} {status} {size} bytes"),
                Err(error) => writeln!(said, "{url} {error}"),
            };
        }
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("taken for the first time");
        ResponseOutparam::set(answer, Ok(response));
        let mut out = body.write().expect("taken for the first time");
        let _gone = out.write_all(said.as_bytes()).and_then(|()| io::Write::flush(&mut out));
        drop(out);
        let _gone = OutgoingBody::finish(body, None);
    }
}

fn fetch(url: &str) -> Result<(u16, u64), String> {
    let (scheme, rest) = url.split_once("://").ok_or("no URL")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).map_err(|()| "no scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "no authority")?;
    request.set_path_with_query(Some(path)).map_err(|()| "no path")?;
    let sent = outgoing_handler::handle(request, None).map_err(|error| format!("{error:?}"))?;
    sent.subscribe().block();
    let response =
        sent.get().ok_or("no answer")?.map_err(|()| "asked twice")?.map_err(|error| format!("{error:?}"))?;
    let body = response.consume().map_err(|()| "no body")?;
    let mut stream = body.stream().map_err(|()| "no stream")?;
    let size = io::copy(&mut stream, &mut io::sink()).map_err(|error| error.to_string())?;
    Ok((response.status(), size))
}

wasip2::http::proxy::export!(Egress);
