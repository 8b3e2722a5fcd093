//! A form, as it comes in: what is small is held in memory, and what is large in a file that has no name.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::Stream;
use http::{HeaderMap, header};
use multer::{Constraints, Field, Multipart, SizeLimit};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio_util::io::ReaderStream;
use wicket_core::ByteStream;

use super::super::error::ApiError;
use super::super::{body, oscar, params};

/// What a form may have besides its parts' contents.
pub(super) const FORM: usize = 64 << 10;
/// Bytes of a part that are held in memory.
const INLINE: usize = 64 << 10;
/// Bytes that may come before a part's content: its head, and what of the content came in one piece with it.
const HEAD: usize = 512 << 10;

/// A form that is read part by part.
pub(super) struct Form<'a> {
    parts: Multipart<'static>,
    left: Arc<AtomicUsize>,
    limit: usize,
    work: &'a Path,
}

/// A part of a form.
pub(super) struct Part {
    /// What it is called.
    pub(super) name: String,
    /// It is a file, which need not have a name that can be read.
    pub(super) file: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) content: Content,
}

/// What a part holds.
pub(super) enum Content {
    Small(Bytes),
    Large(tokio::fs::File),
}

impl Content {
    pub(super) fn stream(self) -> ByteStream {
        match self {
            Self::Small(bytes) => Box::pin(oscar::once(bytes)),
            Self::Large(file) => Box::pin(ReaderStream::with_capacity(file, INLINE)),
        }
    }
}

impl<'a> Form<'a> {
    /// A form with parts of at most `limit` bytes, of which those that are large are written below `work`.
    pub(super) fn new(
        headers: &HeaderMap,
        body: Body,
        limit: usize,
        work: &'a Path,
    ) -> Result<Self, ApiError> {
        let content_type = params::header(headers, header::CONTENT_TYPE).unwrap_or_default();
        let boundary = multer::parse_boundary(content_type).map_err(|error| broken(error, limit))?;
        let sizes = SizeLimit::new().per_field(limit as u64).whole_stream(limit.saturating_add(FORM) as u64);
        let left = Arc::new(AtomicUsize::new(HEAD));
        let pieces = Pieces { body: body::pieces(body), left: left.clone(), is_next: true };
        let parts = Multipart::with_constraints(pieces, boundary, Constraints::new().size_limit(sizes));
        Ok(Self { parts, left, limit, work })
    }

    /// The next part.
    pub(super) async fn next(&mut self) -> Result<Option<Part>, ApiError> {
        let limit = self.limit;
        self.left.store(HEAD, Ordering::Relaxed);
        let Some(mut field) = self.parts.next_field().await.map_err(|error| broken(error, limit))? else {
            return Ok(None);
        };
        self.left.store(usize::MAX, Ordering::Relaxed);
        let name = field.name().unwrap_or_default().to_owned();
        let content_type = field.content_type().map(ToString::to_string);
        let file = field.file_name().map(str::to_owned).or_else(|| is_file(&field).then(String::new));
        let content = self.content(&mut field).await?;
        Ok(Some(Part { name, file, content_type, content }))
    }

    async fn content(&self, field: &mut Field<'_>) -> Result<Content, ApiError> {
        let failed = |error: io::Error| ApiError::internal("keep a file of the form", &error);
        let mut head = BytesMut::new();
        let mut large = None;
        while let Some(piece) = field.chunk().await.map_err(|error| broken(error, self.limit))? {
            if large.is_none() && head.len() + piece.len() <= INLINE {
                head.extend_from_slice(&piece);
                continue;
            }
            let file = match &mut large {
                Some(file) => file,
                None => {
                    let file = tempfile::tempfile_in(self.work).map_err(failed)?;
                    let file = large.insert(tokio::fs::File::from_std(file));
                    file.write_all(&head).await.map_err(failed)?;
                    file
                }
            };
            file.write_all(&piece).await.map_err(failed)?;
        }
        let Some(mut file) = large else { return Ok(Content::Small(head.freeze())) };
        file.flush().await.map_err(failed)?;
        file.rewind().await.map_err(failed)?;
        Ok(Content::Large(file))
    }
}

/// Whether a part says that it is a file, by a name that is no text.
fn is_file(field: &Field<'_>) -> bool {
    let said = field.headers().get(header::CONTENT_DISPOSITION).map_or(&[][..], |value| value.as_bytes());
    said.split(|byte| *byte == b';').any(|part| part.trim_ascii().starts_with(b"filename"))
}

fn broken(error: multer::Error, limit: usize) -> ApiError {
    match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            ApiError::too_large(format!("the file passes the service's `limits.body`, {limit} bytes"))
        }
        multer::Error::StreamReadFailed(error) => match error.downcast::<io::Error>() {
            Ok(error) => ApiError::from_body(&error),
            Err(error) => ApiError::bad("bad_form", format!("this is no form: {error}")),
        },
        error => ApiError::bad("bad_form", format!("this is no form: {error}")),
    }
}

/// A body for a reader of forms. That takes all that is there at once, and looks for the end of a part's head from the
/// beginning each time: so it gets one piece at a time, and only so many for a head.
struct Pieces {
    body: ByteStream,
    left: Arc<AtomicUsize>,
    is_next: bool,
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !std::mem::replace(&mut self.is_next, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(piece) = std::task::ready!(self.body.as_mut().poll_next(context)) else {
            return Poll::Ready(None);
        };
        self.is_next = false;
        let piece = piece?;
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Some(Err(io::Error::other("the head of a part is too long"))));
        }
        self.left.store(left.saturating_sub(piece.len()), Ordering::Relaxed);
        Poll::Ready(Some(Ok(piece)))
    }
}
