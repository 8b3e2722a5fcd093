//! What a function has said or made, on its way to a caller who waits.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_util::io::ReaderStream;
use wicket_config::ServiceName;
use wicket_core::{ByteStream, Reply};

use super::error::ApiError;
use super::oscar;
use crate::attempt::Answer as Output;
use crate::node::Kept;

/// Pieces in which a body is sent.
const PIECE: usize = 256 << 10;

/// An answer's body, and the headers that belong to it.
pub(super) struct Answer {
    headers: HeaderMap,
    content_type: Option<String>,
    body: ByteStream,
}

impl Answer {
    /// What the function said.
    pub(super) fn said(reply: Reply, kept: Kept) -> Self {
        let Reply { body, content_type, .. } = reply;
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, body.len().into())]);
        let guessed = match std::str::from_utf8(&body) {
            Ok(_) => "text/plain; charset=utf-8",
            Err(_) => "application/octet-stream",
        };
        let content_type = content_type.or_else(|| Some(guessed.to_owned()));
        Self { headers, content_type, body: kept_until_sent(pieces(body), kept) }
    }

    /// A file that it made; its folder stays until it is sent.
    pub(super) async fn file(file: Output, kept: Kept) -> Result<Self, ApiError> {
        let Output { name, content_type, file } = file;
        Self::sent(name.as_str(), content_type, &file, kept).await
    }

    /// All files that it made, in an archive.
    pub(super) async fn zip(service: &ServiceName, files: Vec<Output>, kept: Kept) -> Result<Self, ApiError> {
        let path = kept.scratch.path().join("answer.zip");
        let into = path.clone();
        let zipped = tokio::task::spawn_blocking(move || archive(&into, &files)).await;
        let failed = |error: &dyn std::error::Error| ApiError::internal("zip the function's outputs", error);
        zipped.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let content_type = Some("application/zip".to_owned());
        Self::sent(&format!("{service}.zip"), content_type, &path, kept).await
    }

    async fn sent(
        name: &str,
        content_type: Option<String>,
        path: &Path,
        kept: Kept,
    ) -> Result<Self, ApiError> {
        let failed = |error: std::io::Error| ApiError::internal("read the function's output", &error);
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, file.metadata().await.map_err(failed)?.len().into());
        let name = name.rsplit('/').next().unwrap_or_default();
        let disposition = format!("inline; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
        if let Ok(disposition) = HeaderValue::from_str(&disposition) {
            headers.insert(header::CONTENT_DISPOSITION, disposition);
        }
        let body = kept_until_sent(ReaderStream::with_capacity(file, PIECE), kept);
        Ok(Self { headers, content_type, body })
    }

    /// In base64, as OSCAR's Python client reads it.
    pub(super) fn encoded(self) -> Response {
        let mut headers = self.headers;
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        (headers, oscar::encoded(self.body)).into_response()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut headers = self.headers;
        // A function may say anything of its answer: what is no header value is not said.
        let content_type = self.content_type.and_then(|text| HeaderValue::try_from(text).ok());
        let unknown = HeaderValue::from_static("application/octet-stream");
        headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(unknown));
        // An answer is data from a function that anybody may have written: a browser must not take it for more.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
        (headers, Body::from_stream(self.body)).into_response()
    }
}

/// A body in pieces: of one that is large, most waits here while its client is slow to read.
fn pieces(mut body: Bytes) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let next = move || (!body.is_empty()).then(|| Ok(body.split_to(body.len().min(PIECE))));
    futures::stream::iter(std::iter::from_fn(next))
}

/// A body with what it needs.
fn kept_until_sent(
    pieces: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    kept: Kept,
) -> ByteStream {
    Box::pin(pieces.map(move |piece| {
        let _kept = &kept;
        piece
    }))
}

/// Puts files into an archive as they are: most outputs are pictures and films, which no packing makes smaller.
fn archive(path: &Path, files: &[Output]) -> Result<(), rawzip::Error> {
    let mut archive = rawzip::ZipArchiveWriter::new(BufWriter::new(File::create(path)?));
    for file in files {
        let (mut entry, config) = archive.new_file(file.name.as_str()).start()?;
        let mut into = config.wrap(&mut entry);
        std::io::copy(&mut File::open(&file.file)?, &mut into)?;
        let (_, descriptor) = into.finish()?;
        entry.finish(descriptor)?;
    }
    Ok(archive.finish()?.flush()?)
}
