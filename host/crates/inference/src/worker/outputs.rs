//! Output pieces, made and filled here and read by the host.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::memory::{Map, size_class};
use crate::wire::Fault;

pub(super) struct OutputPool {
    /// Bytes of all pieces.
    limit: u64,
    pieces: Mutex<Pieces>,
}

#[derive(Default)]
struct Pieces {
    all: HashMap<u64, Piece>,
    bytes: u64,
    next: u64,
}

struct Piece {
    len: usize,
    /// Away while it is filled.
    map: Option<Map>,
    /// The host reads it, or may.
    read: bool,
    /// Whose outputs were in it last.
    model: u32,
}

/// A piece to be filled.
pub(super) struct Filling {
    pub(super) id: u64,
    pub(super) map: Map,
    /// The host has not seen it yet.
    pub(super) new: bool,
}

impl OutputPool {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, pieces: Mutex::default() }
    }

    /// A piece of at least so many bytes, with nothing in it of another model.
    pub(super) fn take(&self, len: usize, model: u32) -> Result<Filling, Fault> {
        let size = size_class(len);
        let id = {
            let mut pieces = self.pieces();
            // A much larger one would be missing where it is needed.
            let fits = |piece: &&mut Piece| !piece.read && piece.len >= size && piece.len / 4 <= size;
            if let Some((id, piece)) = pieces
                .all
                .iter_mut()
                .map(|(id, piece)| (*id, piece))
                .filter(|(_, piece)| fits(piece))
                .min_by_key(|(_, piece)| piece.len)
                && let Some(mut map) = piece.map.take()
            {
                piece.read = true;
                let is_clean = std::mem::replace(&mut piece.model, model) == model;
                drop(pieces);
                // What a runtime leaves out must not show what another service has inferred.
                if !is_clean {
                    map.bytes_mut().fill(0);
                }
                return Ok(Filling { id, map, new: false });
            }
            if pieces.bytes + size as u64 > self.limit {
                return Err(Fault::Busy { limit: self.limit });
            }
            pieces.bytes += size as u64;
            pieces.next += 1;
            let id = pieces.next;
            pieces.all.insert(id, Piece { len: size, map: None, read: true, model });
            id
        };
        match Map::create(size) {
            Ok(map) => Ok(Filling { id, map, new: true }),
            Err(error) => {
                self.free(id, false);
                Err(Fault::Runtime(format!("memory for outputs of {len} bytes: {error}")))
            }
        }
    }

    /// It is filled; `tell` tells the host.
    pub(super) fn filled(
        &self,
        filling: Filling,
        tell: impl FnOnce(&Map) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut pieces = self.pieces();
        // Told under the lock: the host may give it back before this thread goes on.
        let told = tell(&filling.map);
        if let Some(piece) = pieces.all.get_mut(&filling.id) {
            piece.map = Some(filling.map);
        }
        told
    }

    /// It is not filled after all.
    pub(super) fn unfilled(&self, filling: Filling) {
        if filling.new {
            return self.free(filling.id, false);
        }
        if let Some(piece) = self.pieces().all.get_mut(&filling.id) {
            (piece.map, piece.read) = (Some(filling.map), false);
        }
    }

    /// The host reads it no more.
    pub(super) fn free(&self, id: u64, keep: bool) {
        let mut pieces = self.pieces();
        if keep {
            if let Some(piece) = pieces.all.get_mut(&id) {
                piece.read = false;
            }
        } else if let Some(piece) = pieces.all.remove(&id) {
            pieces.bytes -= piece.len as u64;
        }
    }

    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
