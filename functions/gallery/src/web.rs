//! The gallery behind `wasi:http`.

use std::io::{self, Read as _};

use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wicket_sdk::buckets;

use crate::page::{Place, Wanted, media_type};

/// Sheets on the page.
const MOST: usize = 10_000;
const PIECE: usize = 64 << 10;

struct Gallery;

impl wasip2::exports::http::incoming_handler::Guest for Gallery {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let place = place();
        let path = request.path_with_query().unwrap_or_default();
        let text = "text/plain; charset=utf-8";
        if !matches!(request.method(), Method::Get | Method::Head) {
            return respond(answer, 405, text, &mut "only GET\n".as_bytes());
        }
        match place.wanted(&path) {
            Wanted::List => match sheets(&place) {
                Ok(entries) => {
                    let page = place.page(entries);
                    respond(answer, 200, "text/html; charset=utf-8", &mut page.as_bytes());
                }
                Err(error) => respond(answer, 502, text, &mut format!("no list: {error}\n").as_bytes()),
            },
            Wanted::File(key) => file(answer, &place, &key),
            Wanted::Nothing => respond(answer, 404, text, &mut "there is no such sheet\n".as_bytes()),
        }
    }
}

fn place() -> Place {
    let set = |name| std::env::var(name).unwrap_or_default();
    let folder = set("FOLDER").trim_matches('/').to_owned();
    let route = match set("ROUTE").trim_end_matches('/') {
        "" => "/gallery".to_owned(),
        route => route.to_owned(),
    };
    Place { bucket: set("BUCKET"), folder: if folder.is_empty() { folder } else { folder + "/" }, route }
}

fn sheets(place: &Place) -> io::Result<Vec<buckets::Entry>> {
    let mut all: Vec<buckets::Entry> = Vec::new();
    loop {
        let after = all.last().map(|entry| entry.key.clone());
        let page = buckets::list(&place.bucket, &place.folder, after.as_deref(), 1000)?;
        if page.is_empty() || all.len() >= MOST {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn file(answer: ResponseOutparam, place: &Place, key: &str) {
    let opened = buckets::open(&place.bucket, &format!("{}{key}", place.folder)).and_then(|mut object| {
        // The first piece tells whether it is there, while the status can still say so.
        let mut first = vec![0; PIECE];
        let n = object.read(&mut first)?;
        first.truncate(n);
        Ok((first, object))
    });
    match opened {
        Ok((first, object)) => respond(answer, 200, media_type(key), &mut first.as_slice().chain(object)),
        Err(error) => {
            eprintln!("{key}: {error}");
            respond(answer, 404, "text/plain; charset=utf-8", &mut "there is no such sheet\n".as_bytes());
        }
    }
}

fn respond(answer: ResponseOutparam, status: u16, media_type: &str, bytes: &mut dyn io::Read) {
    let headers = [("content-type".to_owned(), media_type.as_bytes().to_vec())];
    let response = OutgoingResponse::new(Fields::from_list(&headers).expect("a legal header"));
    response.set_status_code(status).expect("a legal status");
    let body = response.body().expect("taken for the first time");
    ResponseOutparam::set(answer, Ok(response));
    let mut out = body.write().expect("taken for the first time");
    let sent = io::copy(bytes, &mut out).and_then(|_| io::Write::flush(&mut out));
    drop(out);
    match sent {
        Ok(()) => {
            let _gone = OutgoingBody::finish(body, None);
        }
        // Without `finish` the client sees that the body broke off.
        Err(error) => eprintln!("the answer broke off: {error}"),
    }
}

wasip2::http::proxy::export!(Gallery);
