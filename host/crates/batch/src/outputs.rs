//! The archive of a job's outputs, read from its parts and staged file by file: nothing of it is held.

use std::io::{self, Read as _};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::{StreamReader, SyncIoBridge};
use wicket_core::{Attempt, ByteStream, Failure, Limit, ObjectError, OutputName};
use wicket_supervisor::MOST_FILES;
use wicket_workspace::{Account as _, Tally, media_type};

use crate::executor::Parts;
use crate::spec::Folder;

/// Pieces of a file on their way from the archive.
const AHEAD: usize = 4;
const PIECE: usize = 256 << 10;

/// A file of the archive: its name, its size, its bytes.
type Entry = (String, u64, mpsc::Receiver<io::Result<Bytes>>);

/// Stages all files of the archive.
pub(crate) async fn stage(
    parts: &Parts,
    folder: &Folder,
    n_parts: usize,
    attempt: &Attempt,
    tally: &Tally,
) -> Result<(), Failure> {
    let mut bodies = Vec::with_capacity(n_parts);
    for idx in 0..n_parts {
        bodies.push(folder.part(idx));
    }
    let work = parts.work.clone();
    let whole = stream::iter(bodies).then(move |key| {
        let work = work.clone();
        async move { work.open(&key).await.map_err(io::Error::other) }
    });
    let whole = whole.flat_map(|part: io::Result<ByteStream>| match part {
        Ok(body) => body,
        Err(error) => Box::pin(stream::once(std::future::ready(Err(error)))),
    });
    let reader = SyncIoBridge::new(StreamReader::new(Box::pin(whole)));
    let (entries, mut files) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || read(reader, &entries));
    let mut n_files = 0;
    while let Some((name, size, pieces)) = files.recv().await {
        n_files += 1;
        if n_files > MOST_FILES {
            return Err(refused(format!("there are more than {MOST_FILES} files")));
        }
        tally.wrote(size)?;
        let name = OutputName::try_from(name).map_err(|error| refused(error.to_string()))?;
        let content_type = media_type(name.as_str()).map(str::to_owned);
        let body: ByteStream = Box::pin(ReceiverStream::new(pieces));
        attempt.outputs.stage(name, content_type, body).await.map_err(|error| match error {
            ObjectError::Limit(message) => Failure::Limit { limit: Limit::Output, message },
            error => error.failure(),
        })?;
    }
    let read = reading.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    read.map_err(|error| Failure::Host { message: format!("the outputs of the job cannot be read: {error}") })
}

fn refused(why: String) -> Failure {
    Failure::Function { message: format!("its outputs: {why}"), permanent: true }
}

/// Reads the archive, and hands out file after file. Ends early when nobody takes them.
fn read(archive: impl io::Read, entries: &mpsc::Sender<Entry>) -> io::Result<()> {
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = entry.path_bytes();
        let name = std::str::from_utf8(&path).map_err(io::Error::other)?.to_owned();
        if !entry.header().entry_type().is_file() {
            return Err(io::Error::other(format!("`{}` is no file", name.escape_default())));
        }
        let (pieces, body) = mpsc::channel(AHEAD);
        if entries.blocking_send((name, entry.size(), body)).is_err() {
            return Ok(());
        }
        let mut buffer = vec![0; PIECE];
        loop {
            let piece = match entry.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => Ok(Bytes::copy_from_slice(&buffer[..length])),
                Err(error) => Err(error),
            };
            let is_last = piece.is_err();
            if pieces.blocking_send(piece).is_err() || is_last {
                return Ok(());
            }
        }
    }
    Ok(())
}
