//! Bodies of requests: none, a file, or whatever streams.

use std::path::Path;
use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

/// A request's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, SendError>;

/// Bytes that are read from a disk or a pipe at once.
const PIECE: usize = 256 << 10;

/// What was to be sent cannot be read. The text names it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SendError(pub(crate) String);

/// No body.
pub(crate) fn empty() -> Body {
    whole(Bytes::new())
}

/// A body that is in memory.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Whatever can be read, `name` for its errors; `seen` is told how many bytes went.
pub(crate) fn stream(
    reader: impl AsyncRead + Send + 'static,
    name: &str,
    seen: impl Fn(u64) + Send + 'static,
) -> Body {
    let name = name.to_owned();
    let pieces: Pin<Box<dyn Stream<Item = _> + Send>> = Box::pin(
        ReaderStream::with_capacity(reader, PIECE)
            .inspect_ok(move |piece| seen(piece.len() as u64))
            .map(move |piece| piece.map(Frame::data).map_err(|error| SendError(format!("{name}: {error}")))),
    );
    StreamBody::new(pieces).boxed_unsync()
}

/// A file, and its size as it is now.
pub(crate) async fn file(path: &Path, seen: impl Fn(u64) + Send + 'static) -> std::io::Result<(Body, u64)> {
    let file = tokio::fs::File::open(path).await?;
    let size = file.metadata().await?.len();
    Ok((stream(file, &path.display().to_string(), seen), size))
}
