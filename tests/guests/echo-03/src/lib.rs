//! Sends back what it is sent, piece by piece, as a handler of WASI 0.3: `?fetch=AUTHORITY` answers with what
//! `http://AUTHORITY/` answers, `?spin` never comes to an end, `?late` traps after the first piece.

#![cfg(target_family = "wasm")]

use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::wit_bindgen::{StreamReader, StreamResult, StreamWriter};
use wasip3::{wit_bindgen, wit_future, wit_stream};

struct Echo;

impl wasip3::exports::http::handler::Guest for Echo {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        if let Some((_, authority)) = path.split_once("?fetch=") {
            return fetch(authority.to_owned()).await;
        }
        while path.ends_with("?spin") {
            std::hint::spin_loop();
        }
        let (consumed, is_consumed) = wit_future::new(|| Ok(()));
        let (body, trailers) = Request::consume_body(request, is_consumed);
        let (out, answer) = wit_stream::new();
        let late = path.ends_with("?late");
        wit_bindgen::spawn_local(async move {
            copy(body, out, late).await;
            drop(consumed);
        });
        let headers = Fields::new();
        headers.append("x-path", path.as_bytes()).map_err(|_| ErrorCode::HttpProtocolError)?;
        Ok(Response::new(headers, Some(answer), trailers).0)
    }
}

async fn copy(mut from: StreamReader<u8>, mut to: StreamWriter<u8>, late: bool) {
    loop {
        let (result, bytes) = from.read(Vec::with_capacity(16 << 10)).await;
        if !to.write_all(bytes).await.is_empty() || !matches!(result, StreamResult::Complete(_)) {
            return;
        }
        assert!(!late, "as it was told");
    }
}

async fn fetch(authority: String) -> Result<Response, ErrorCode> {
    let (no_trailers, trailers) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), None, trailers, None);
    drop(no_trailers);
    let told = request.set_scheme(Some(&Scheme::Http)).and_then(|()| request.set_authority(Some(&authority)));
    told.and_then(|()| request.set_path_with_query(Some("/")))
        .map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    client::send(request).await
}

wasip3::http::service::export!(Echo);
