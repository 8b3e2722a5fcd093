//! Objects and their bytes, on the way out.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes as Buffer;
use wicket_config::{BucketName, ObjectKey};
use wicket_core::ByteStream;

use crate::body::{self, Extent};
use crate::files::{Files, Hold};
use crate::index::{self, Bytes};
use crate::{BucketError, LocalBuckets, ObjectInfo};

/// How often a row is read again when its files are going: each time it has been replaced anew.
const TRIES: u32 = 64;

/// An object whose bytes stay readable while this lives, even when it is replaced or removed meanwhile.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What is known of it.
    pub(crate) info: ObjectInfo,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Inline(Buffer),
    Files { files: Arc<Files>, hold: Hold, extents: Vec<Extent> },
}

impl LocalBuckets {
    /// What is known of an object.
    pub async fn head(&self, bucket: &BucketName, key: &ObjectKey) -> Result<ObjectInfo, BucketError> {
        let (bucket, key) = (bucket.clone(), key.clone());
        Ok(self.store.read(move |db| index::get(db, &bucket, &key)).await?.1)
    }

    /// An object and its bytes, or those of `range`; the stream goes on even when the object is replaced meanwhile.
    pub async fn get(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<(ObjectInfo, ByteStream), BucketError> {
        let opened = self.open_object(bucket, key).await?;
        let info = opened.info.clone();
        let range = range.unwrap_or(0..info.size);
        Ok((info, opened.bytes(range).await?))
    }

    /// Opens an object.
    pub(crate) async fn open_object(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Opened, BucketError> {
        for _ in 0..TRIES {
            let (wanted, of) = (bucket.clone(), key.clone());
            let (seq, info, bytes) = self.store.read(move |db| index::open(db, &wanted, &of)).await?;
            let extents = match bytes {
                Bytes::Inline(bytes) => return Ok(Opened { info, source: Source::Inline(bytes.into()) }),
                Bytes::Files(extents) => extents,
            };
            let names = extents.iter().map(|extent| extent.name.clone()).collect();
            // Between reading the row and holding its files the object may have been replaced, and its files be gone.
            // When the row is there now, they are doomed after this at the earliest.
            if let Some(hold) = self.files.hold(names)
                && self.store.read(move |db| index::is_current(db, seq)).await?
            {
                let source = Source::Files { files: self.files.clone(), hold, extents };
                return Ok(Opened { info, source });
            }
        }
        Err(BucketError::File(std::io::ErrorKind::NotFound.into()))
    }
}

impl Opened {
    /// Sizes of the parts it was uploaded in; none when it came in one piece.
    pub(crate) fn parts(&self) -> Vec<u64> {
        match &self.source {
            Source::Files { extents, .. } if self.info.etag.contains('-') => {
                extents.iter().map(|extent| extent.size).collect()
            }
            Source::Files { .. } | Source::Inline(_) => Vec::new(),
        }
    }

    /// The bytes of a range.
    pub(crate) async fn bytes(self, range: Range<u64>) -> Result<ByteStream, BucketError> {
        if range.start > range.end || range.end > self.info.size {
            return Err(BucketError::Range(self.info.size));
        }
        match self.source {
            Source::Inline(bytes) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(bytes.len()).min(bytes.len());
                Ok(body::once(bytes.slice(at(range.start)..at(range.end))))
            }
            Source::Files { files, hold, extents } => {
                body::stream(files, hold, extents, range.start, range.end).await.map_err(BucketError::file)
            }
        }
    }
}
