//! Bytes to read.

use std::fmt;
use std::io::{self, Cursor, Read};

/// An object of a bucket, open for reading from its start to its end.
pub struct Object {
    bucket: String,
    key: String,
    content_type: Option<String>,
    bytes: Bytes,
}

enum Bytes {
    Here(Cursor<Vec<u8>>),
    #[cfg(target_family = "wasm")]
    Host(crate::wasm::types::Object),
}

/// Bytes of one call to the host: fewer calls for large objects, without a large buffer.
#[cfg(target_family = "wasm")]
const PIECE: usize = 256 << 10;

impl Object {
    /// An object made of bytes, for tests.
    pub fn from_bytes(bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = Bytes::Here(Cursor::new(bytes.into()));
        Self { bucket: bucket.to_owned(), key: key.to_owned(), content_type: None, bytes }
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn from_host(object: crate::wasm::types::Object) -> Self {
        Self {
            bucket: object.bucket(),
            key: object.key(),
            content_type: object.content_type(),
            bytes: Bytes::Host(object),
        }
    }

    /// Its bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Its key inside the bucket.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The part of the key after the last slash.
    pub fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or_default()
    }

    /// The part of the key before the last slash; empty for a key at the top.
    pub fn folder(&self) -> &str {
        self.key.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Its media type, where it is known.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        match &self.bytes {
            Bytes::Here(bytes) => bytes.get_ref().len() as u64,
            #[cfg(target_family = "wasm")]
            Bytes::Host(object) => object.size(),
        }
    }

    /// The rest of it; an error of kind `FileTooLarge` when that is more than `limit` bytes.
    pub fn read_all(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(limit.min(usize::try_from(self.size()).unwrap_or(limit)));
        self.by_ref().take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            let what = format!("`{}` has more than {limit} bytes", self.key);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        Ok(bytes)
    }

    /// The rest of it as text, at most `limit` bytes; an error of kind `InvalidData` when it is no UTF-8.
    pub fn read_text(&mut self, limit: usize) -> io::Result<String> {
        let bytes = self.read_all(limit)?;
        String::from_utf8(bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("`{}`: {error}", self.key)))
    }
}

impl Read for Object {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.bytes {
            Bytes::Here(bytes) => bytes.read(into),
            #[cfg(target_family = "wasm")]
            Bytes::Host(object) => {
                let most = into.len().min(PIECE);
                let bytes = object.read(most as u32).map_err(io::Error::other)?;
                into[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
        }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("bucket", &self.bucket).field("key", &self.key).finish_non_exhaustive()
    }
}
