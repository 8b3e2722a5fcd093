//! Memory that the host and its workers both see.
//!
//! A caller writes an input once; the runtime in the worker reads it where it lies. For outputs it is the other way round.
//! Every piece is a memfd, sealed so that nobody can shrink it under the other's feet; whoever did not make a piece can
//! map it only to read (the kernel refuses more). Pieces are pooled by size, and mapped once on either side.

mod map;
mod output;
mod pool;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

pub(crate) use map::{Map, View};
pub(crate) use output::{Freed, OutputLease, Outputs};
pub(crate) use pool::{Lease, Pool, Seen, size_class};

use crate::InferenceError;

/// Bytes that nobody changes any more, in memory shared with the workers. Cloning one copies no bytes; the memory is used
/// again after the last clone is dropped.
#[derive(Clone)]
pub struct Buffer {
    held: Arc<Held>,
    start: usize,
    len: usize,
}

enum Held {
    /// Written by this process.
    Own(Lease),
    /// Written by a worker.
    Output(OutputLease),
}

impl Buffer {
    pub(crate) fn output(held: OutputLease, parts: impl IntoIterator<Item = (usize, usize)>) -> Vec<Self> {
        let held = Arc::new(Held::Output(held));
        parts.into_iter().map(|(start, len)| Self { held: held.clone(), start, len }).collect()
    }

    /// The piece that this process wrote, with where the bytes begin in it: none for what a worker wrote.
    pub(crate) fn own(&self) -> Option<(&Lease, usize)> {
        match &*self.held {
            Held::Own(lease) => Some((lease, self.start)),
            Held::Output(_) => None,
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all = match &*self.held {
            Held::Own(lease) => lease.bytes(),
            Held::Output(lease) => lease.bytes(),
        };
        // In bounds: whoever makes a buffer has checked it.
        all.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

/// Shared memory to be written from front to back. What was there before is never seen: it can only be written, and what
/// is not written is zero in the end.
pub struct BufferMut {
    lease: Lease,
    len: usize,
    written: usize,
}

impl BufferMut {
    pub(crate) fn new(lease: Lease, len: usize) -> Self {
        Self { lease, len, written: 0 }
    }

    /// How many bytes may still be written.
    pub fn remaining(&self) -> usize {
        self.len - self.written
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// [`InferenceError::TooLarge`], and nothing is written, when more than [`Self::remaining`].
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), InferenceError> {
        if bytes.len() > self.remaining() {
            return Err(InferenceError::TooLarge {
                what: "what was written to a buffer".into(),
                size: (self.written + bytes.len()) as u64,
                limit: self.len as u64,
            });
        }
        self.lease.bytes_mut()[self.written..self.written + bytes.len()].copy_from_slice(bytes);
        self.written += bytes.len();
        Ok(())
    }

    /// Ends the writing.
    pub fn freeze(mut self) -> Buffer {
        let (written, len) = (self.written, self.len);
        self.lease.bytes_mut()[written..len].fill(0);
        Buffer { held: Arc::new(Held::Own(self.lease)), start: 0, len }
    }
}

impl fmt::Debug for BufferMut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BufferMut({} of {} bytes)", self.written, self.len)
    }
}
