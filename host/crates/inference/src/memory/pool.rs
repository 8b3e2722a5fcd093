//! Pieces that this process made, kept by size for the next caller.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Map;
use crate::InferenceError;

/// A page; less gains nothing.
const SMALLEST: usize = 4096;

/// Is told that a piece is gone, so that it can be unmapped elsewhere too.
pub(crate) trait Seen: Send + Sync + fmt::Debug {
    fn gone(&self, piece: u64);
}

/// All pieces of this process.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Bytes that all pieces together may have.
    limit: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Pieces nobody uses, by their size.
    free: BTreeMap<usize, Vec<Piece>>,
    free_bytes: u64,
    /// Bytes of all pieces, used or not.
    bytes: u64,
    next: u64,
}

#[derive(Debug)]
struct Piece {
    id: u64,
    map: Map,
    /// Who has mapped it too.
    seen: Mutex<Vec<Weak<dyn Seen>>>,
}

impl Drop for Piece {
    fn drop(&mut self) {
        let seen = std::mem::take(self.seen.get_mut().unwrap_or_else(PoisonError::into_inner));
        for other in seen.iter().filter_map(Weak::upgrade) {
            other.gone(self.id);
        }
    }
}

impl Pool {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::default() })
    }

    /// A piece of at least so many bytes. What is in it is of no use to anybody: see [`super::BufferMut`].
    pub(crate) fn lease(self: &Arc<Self>, len: usize) -> Result<Lease, InferenceError> {
        let size = size_class(len);
        if size as u64 > self.limit {
            return Err(InferenceError::TooLarge {
                what: "a buffer".into(),
                size: len as u64,
                limit: self.limit,
            });
        }
        let mut unmapped = Vec::new();
        let id = {
            let mut state = self.state();
            if let Some(piece) = state.free.get_mut(&size).and_then(Vec::pop) {
                state.free_bytes -= size as u64;
                return Ok(Lease { piece: Some(piece), pool: self.clone() });
            }
            while state.bytes + size as u64 > self.limit {
                let Some(piece) = state.forget_one() else {
                    let what = "memory shared with the inference workers".into();
                    return Err(InferenceError::Busy { what, limit: self.limit });
                };
                unmapped.push(piece);
            }
            state.bytes += size as u64;
            state.next += 1;
            state.next
        };
        match Map::create(size) {
            Ok(map) => {
                let piece = Piece { id, map, seen: Mutex::default() };
                Ok(Lease { piece: Some(piece), pool: self.clone() })
            }
            Err(error) => {
                self.state().bytes -= size as u64;
                Err(InferenceError::host(format_args!("a buffer of {len} bytes"), error))
            }
        }
    }

    /// Bytes of all pieces, and of those nobody uses.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let state = self.state();
        (state.bytes, state.free_bytes)
    }

    fn give_back(&self, piece: Piece) {
        let size = piece.map.bytes().len();
        let mut unmapped = Vec::new();
        let mut state = self.state();
        state.free_bytes += size as u64;
        state.free.entry(size).or_default().push(piece);
        // A quarter is plenty to be quick, and leaves the memory to others.
        while state.free_bytes > self.limit / 4 {
            let Some(piece) = state.forget_one() else { break };
            unmapped.push(piece);
        }
        // Telling the workers takes a while.
        drop(state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes out the largest piece that nobody uses.
    fn forget_one(&mut self) -> Option<Piece> {
        let (size, piece) = loop {
            let mut last = self.free.last_entry()?;
            match last.get_mut().pop() {
                Some(piece) => break (*last.key(), piece),
                None => drop(last.remove()),
            }
        };
        self.free_bytes -= size as u64;
        self.bytes -= size as u64;
        Some(piece)
    }
}

/// A piece in use; back in the pool when dropped.
pub(crate) struct Lease {
    /// There until dropped.
    piece: Option<Piece>,
    pool: Arc<Pool>,
}

impl Lease {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.piece.as_ref().map_or(&[], |piece| piece.map.bytes())
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.piece.as_mut().map_or(&mut [], |piece| piece.map.bytes_mut())
    }

    /// Its name between processes; `show` is called with it first when `other` has not seen it before.
    pub(crate) fn introduce<E>(
        &self,
        other: &Arc<impl Seen + 'static>,
        show: impl FnOnce(u64, &Map) -> Result<(), E>,
    ) -> Result<u64, E> {
        let Some(piece) = &self.piece else { return Ok(0) };
        let mut seen = piece.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: &Weak<dyn Seen>| one.as_ptr().cast::<()>() == Arc::as_ptr(other).cast::<()>();
        if !seen.iter().any(same) {
            show(piece.id, &piece.map)?;
            // Of workers that are gone, nobody is left to be told.
            seen.retain(|one| one.strong_count() > 0);
            let other: Arc<dyn Seen> = other.clone();
            seen.push(Arc::downgrade(&other));
        }
        Ok(piece.id)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(piece) = self.piece.take() {
            self.pool.give_back(piece);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({:?})", self.piece.as_ref().map(|piece| piece.id))
    }
}

/// Four sizes to each power of two: at most a quarter is wasted.
pub(crate) fn size_class(len: usize) -> usize {
    let len = len.max(SMALLEST);
    let step = (len.next_power_of_two() / 8).max(SMALLEST);
    len.div_ceil(step).saturating_mul(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_used_again_and_a_full_pool_says_so() {
        let pool = Pool::new(64 << 10);
        let first = pool.lease(10_000).unwrap();
        let id = first.piece.as_ref().unwrap().id;
        drop(first);
        let again = pool.lease(9_000).unwrap();
        assert_eq!(again.piece.as_ref().unwrap().id, id);
        let _second = pool.lease(40_000).unwrap();
        let full = pool.lease(20_000).unwrap_err();
        assert!(matches!(full, InferenceError::Busy { .. }), "{full}");
        let never = pool.lease(100_000).unwrap_err();
        assert!(matches!(never, InferenceError::TooLarge { .. }), "{never}");
        drop(again);
        pool.lease(20_000).unwrap();
    }

    #[test]
    fn sizes_waste_at_most_a_quarter() {
        for len in [0, 1, 4096, 4097, 5000, 100_000, 4_915_200, (1 << 30) + 1] {
            let size = size_class(len);
            assert!(size >= len && size.is_multiple_of(SMALLEST), "{len}: {size}");
            assert!(len < 32_768 || size - len <= len / 4, "{len}: {size}");
        }
    }

    #[test]
    fn what_another_process_could_shorten_is_not_mapped() {
        use std::os::fd::AsFd as _;
        let fd = rustix::fs::memfd_create("plain", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&fd, 4096).unwrap();
        super::super::View::open(fd.as_fd(), 4096).expect_err("no seal");
        let map = Map::create(4096).unwrap();
        super::super::View::open(map.fd(), 4097).expect_err("too short");
        super::super::View::open(map.fd(), 4096).unwrap();
    }
}
