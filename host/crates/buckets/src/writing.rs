//! A file that is being written: on a thread of its own, hashed as its bytes come, durable when it is finished.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::dto::Checksum;
use tokio::sync::mpsc;
use wicket_store::failpoint;

use crate::BucketError;
use crate::files::Files;

/// Pieces on their way to the disk: enough to keep it busy, few enough that a slow disk slows the sender.
const PIECES: usize = 4;

/// A file that is on disk, and goes again when this is dropped before [`Written::keep`].
#[derive(Debug)]
pub(crate) struct Written {
    files: Arc<Files>,
    /// Its name.
    pub(crate) name: String,
    /// Its bytes.
    pub(crate) size: u64,
    /// MD5 of them.
    pub(crate) md5: [u8; 16],
    /// What else was to be computed.
    pub(crate) checksum: Checksum,
    keep: bool,
}

enum Piece {
    Bytes(Bytes),
    End,
}

/// A file that is being written. Dropped before it is finished, it goes.
#[derive(Debug)]
pub(crate) struct Writing {
    pieces: mpsc::Sender<Piece>,
    writer: tokio::task::JoinHandle<std::io::Result<Written>>,
}

impl Writing {
    /// Begins a file.
    pub(crate) fn begin(files: &Arc<Files>, hasher: ChecksumHasher) -> Self {
        let files = files.clone();
        let (pieces, receiver) = mpsc::channel(PIECES);
        let writer = tokio::task::spawn_blocking(move || write(files, hasher, receiver));
        Self { pieces, writer }
    }

    /// Adds bytes; waits while the disk is behind.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        if self.pieces.send(Piece::Bytes(bytes)).await.is_ok() {
            return Ok(());
        }
        // The writer has stopped: it says why.
        let stopped = (&mut self.writer).await.map_err(std::io::Error::other).and_then(|end| end);
        Err(BucketError::file(stopped.err().unwrap_or_else(|| std::io::ErrorKind::UnexpectedEof.into())))
    }

    /// All bytes are there; returns when they are on disk.
    pub(crate) async fn finish(self) -> Result<Written, BucketError> {
        // An error: the writer has stopped, and says why below.
        let _stopped = self.pieces.send(Piece::End).await;
        let end = self.writer.await.map_err(std::io::Error::other).and_then(|end| end);
        end.map_err(BucketError::file)
    }
}

fn write(
    files: Arc<Files>,
    mut hasher: ChecksumHasher,
    mut pieces: mpsc::Receiver<Piece>,
) -> std::io::Result<Written> {
    let (name, path) = files.new_name();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let checksum = Checksum::default();
    let mut written = Written { files, name, size: 0, md5: [0; 16], checksum, keep: false };
    let mut hash = Md5::new();
    loop {
        match pieces.blocking_recv() {
            Some(Piece::Bytes(bytes)) => {
                file.write_all(&bytes)?;
                hash.update(&bytes);
                hasher.update(&bytes);
                written.size += bytes.len() as u64;
            }
            Some(Piece::End) => break,
            // The sender is gone before the end: so is the file.
            None => return Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
    failpoint("buckets.file.written");
    file.sync_all()?;
    // The name is as durable as the bytes.
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    failpoint("buckets.file.durable");
    written.md5 = hash.finalize().into();
    written.checksum = hasher.finalize();
    Ok(written)
}

impl Written {
    /// From now on a row knows it.
    pub(crate) fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if !self.keep {
            self.files.remove(&self.name);
        }
    }
}
