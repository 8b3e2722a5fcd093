//! Bytes in and out: small ones for the row, large ones through a file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use s3s::checksum::ChecksumHasher;
use s3s::dto::Checksum;
use wicket_core::ByteStream;

use crate::files::{Files, Hold};
use crate::writing::{Writing, Written};
use crate::{BucketError, checksum};

/// Objects up to this size live in the row: one fsync instead of three.
pub(crate) const INLINE: usize = 64 << 10;
/// Bytes of a file read at once.
const READ: u64 = 256 << 10;
/// Bytes handed to the disk at once.
const WRITE: usize = 256 << 10;

/// A body that has arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) content: Content,
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    pub(crate) checksum: Checksum,
}

/// Where its bytes are.
#[derive(Debug)]
pub(crate) enum Content {
    Inline(Bytes),
    File(Written),
}

/// Takes a body in, at most `limit` bytes of it.
pub(crate) async fn receive<S, E>(
    files: &Arc<Files>,
    mut body: S,
    mut hasher: ChecksumHasher,
    limit: u64,
) -> Result<Arrived, BucketError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut buffer = BytesMut::new();
    let mut total = 0u64;
    // Until it is clear that the body is small.
    let large = loop {
        let Some(piece) = body.next().await else { break false };
        let piece = piece.map_err(broken)?;
        total += piece.len() as u64;
        if total > limit {
            return Err(BucketError::TooLarge { limit });
        }
        buffer.extend_from_slice(&piece);
        if buffer.len() > INLINE {
            break true;
        }
    };
    if !large {
        let bytes = buffer.freeze();
        hasher.update(&bytes);
        let (size, md5, checksum) = (bytes.len() as u64, checksum::md5(&bytes), hasher.finalize());
        return Ok(Arrived { content: Content::Inline(bytes), size, md5, checksum });
    }
    let mut file = Writing::begin(files, hasher);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(broken)?;
        total += piece.len() as u64;
        if total > limit {
            return Err(BucketError::TooLarge { limit });
        }
        if buffer.is_empty() && piece.len() >= WRITE {
            file.push(piece).await?;
            continue;
        }
        buffer.extend_from_slice(&piece);
        if buffer.len() >= WRITE {
            file.push(buffer.split().freeze()).await?;
        }
    }
    if !buffer.is_empty() {
        file.push(buffer.freeze()).await?;
    }
    let written = file.finish().await?;
    let (size, md5, checksum) = (written.size, written.md5, written.checksum.clone());
    Ok(Arrived { content: Content::File(written), size, md5, checksum })
}

fn broken<E: Into<Box<dyn std::error::Error + Send + Sync>>>(error: E) -> BucketError {
    BucketError::Body(std::io::Error::other(error))
}

/// A piece of a file that is part of an object.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    pub(crate) name: String,
    pub(crate) size: u64,
}

/// Bytes `start..end` of files laid end to end. The files stay while the stream lives. The first of them is opened
/// before this returns.
pub(crate) async fn stream(
    files: Arc<Files>,
    hold: Hold,
    extents: Vec<Extent>,
    start: u64,
    end: u64,
) -> std::io::Result<ByteStream> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for extent in extents {
        let (from, to) = (start.max(at), end.min(at + extent.size));
        if from < to {
            pieces.push(Piece { name: extent.name, offset: from - at, left: to - from });
        }
        at += extent.size;
    }
    let mut pieces = pieces.into_iter();
    let Some(first) = pieces.next() else { return Ok(once(Bytes::new())) };
    let open = blocking({
        let files = files.clone();
        move || first.open(&files)
    });
    let open = Some(open.await?);
    let bytes = futures::stream::try_unfold(
        (files, hold, pieces, open),
        |(files, hold, mut pieces, open)| async move {
            let next = if open.is_none() { pieces.next() } else { None };
            if open.is_none() && next.is_none() {
                return Ok(None);
            }
            let from = files.clone();
            let read = blocking(move || {
                let (file, left) = match (open, next) {
                    (Some(open), _) => open,
                    (None, Some(next)) => next.open(&from)?,
                    (None, None) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                };
                read(file, left)
            });
            let (bytes, open) = read.await?;
            Ok(Some((bytes, (files, hold, pieces, open))))
        },
    );
    Ok(Box::pin(bytes))
}

/// Bytes of one file.
struct Piece {
    name: String,
    offset: u64,
    left: u64,
}

/// An open file at its place, and how much of it is left to read.
type Open = (File, u64);

impl Piece {
    fn open(self, files: &Files) -> std::io::Result<Open> {
        let mut file = files.read(&self.name)?;
        if self.offset > 0 {
            file.seek(SeekFrom::Start(self.offset))?;
        }
        Ok((file, self.left))
    }
}

fn read(mut file: File, left: u64) -> std::io::Result<(Bytes, Option<Open>)> {
    let wanted = left.min(READ);
    let mut buffer = Vec::with_capacity(usize::try_from(wanted).unwrap_or_default());
    let read = file.by_ref().take(wanted).read_to_end(&mut buffer)? as u64;
    if read < wanted {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let left = left - read;
    Ok((buffer.into(), (left > 0).then_some((file, left))))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

/// A small body.
pub(crate) fn once(bytes: Bytes) -> ByteStream {
    Box::pin(futures::stream::iter((!bytes.is_empty()).then_some(Ok(bytes))))
}
