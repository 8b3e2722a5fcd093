//! Pieces that a worker made, as the host sees them.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::View;

/// Is told that nobody reads an output any more.
pub(crate) trait Freed: Send + Sync + fmt::Debug {
    /// The worker may use the piece again, or, without `keep`, forget it.
    fn freed(&self, piece: u64, keep: bool);
}

/// All pieces of one worker.
#[derive(Debug)]
pub(crate) struct Outputs {
    /// Bytes that they together may have.
    limit: u64,
    pieces: Mutex<Pieces>,
}

#[derive(Debug, Default)]
struct Pieces {
    all: HashMap<u64, Piece>,
    bytes: u64,
    free_bytes: u64,
}

#[derive(Debug)]
struct Piece {
    view: Arc<View>,
    read: bool,
}

impl Outputs {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, pieces: Mutex::default() })
    }

    /// The piece that a worker filled, new when it came with a file.
    ///
    /// # Errors
    ///
    /// What the worker did wrong.
    pub(crate) fn lease(
        self: &Arc<Self>,
        worker: &Arc<impl Freed + 'static>,
        piece: u64,
        new: Option<(OwnedFd, u64)>,
    ) -> Result<OutputLease, String> {
        use std::os::fd::AsFd as _;
        let mut pieces = self.pieces();
        if let Some((fd, len)) = new {
            if pieces.bytes.saturating_add(len) > self.limit {
                return Err(format!("outputs of more than {} bytes", self.limit));
            }
            if pieces.all.contains_key(&piece) {
                return Err(format!("output piece {piece} a second time"));
            }
            let view = View::open(fd.as_fd(), len as usize).map_err(|error| error.to_string())?;
            pieces.bytes += len;
            pieces.free_bytes += len;
            pieces.all.insert(piece, Piece { view: Arc::new(view), read: false });
        }
        let found = pieces.all.get_mut(&piece).ok_or_else(|| format!("no output piece {piece}"))?;
        if std::mem::replace(&mut found.read, true) {
            return Err(format!("output piece {piece}, which is still read"));
        }
        let view = found.view.clone();
        pieces.free_bytes -= view.len() as u64;
        Ok(OutputLease { view, piece, outputs: self.clone(), worker: worker.clone() })
    }

    /// Nobody reads it any more; says whether it is kept for the next answer.
    fn give_back(&self, piece: u64) -> bool {
        let mut pieces = self.pieces();
        let Some(found) = pieces.all.get_mut(&piece) else { return false };
        found.read = false;
        let len = found.view.len() as u64;
        let keep = pieces.free_bytes + len <= self.limit / 4;
        if keep {
            pieces.free_bytes += len;
        } else {
            pieces.all.remove(&piece);
            pieces.bytes -= len;
        }
        keep
    }

    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A piece that is read; the worker gets it back when dropped.
pub(crate) struct OutputLease {
    view: Arc<View>,
    piece: u64,
    outputs: Arc<Outputs>,
    worker: Arc<dyn Freed>,
}

impl OutputLease {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.view.bytes()
    }
}

impl Drop for OutputLease {
    fn drop(&mut self) {
        let keep = self.outputs.give_back(self.piece);
        self.worker.freed(self.piece, keep);
    }
}

impl fmt::Debug for OutputLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputLease({})", self.piece)
    }
}
