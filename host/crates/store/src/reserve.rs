//! Room on the disk for removing something when there is no other.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What a few removals take: pages in the log, and the index beside it.
const BYTES: u64 = 2 << 20;

/// A file of which only the room counts.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// The reserve of this database. On a disk that is full it is let go at once: opening takes room too.
    pub(crate) fn of(db: &Path) -> Self {
        let reserve = Self { path: crate::file::beside(db, "-reserve") };
        if reserve.path.parent().and_then(free).is_some_and(|free| free < BYTES) {
            reserve.release();
        }
        reserve
    }

    /// Makes the file when it is missing and the disk has twice the room.
    pub(crate) fn keep(&self) {
        let has_room = self.path.parent().and_then(free).is_some_and(|free| free >= 2 * BYTES);
        if self.path.exists() || !has_room {
            return;
        }
        let made =
            File::options().write(true).create_new(true).mode(0o600).open(&self.path).and_then(|file| {
                rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, BYTES)?;
                Ok(())
            });
        if let Err(error) = made {
            tracing::debug!(%error, "no room is reserved for removals");
            self.release();
        }
    }

    /// Whether the disk has as much room as the reserve is large, beside it.
    pub(crate) fn has_room(&self) -> bool {
        self.path.parent().and_then(free).is_none_or(|free| free >= BYTES)
    }

    /// Gives the room back; false when there is none to give.
    pub(crate) fn release(&self) -> bool {
        let gone = fs::remove_file(&self.path).is_ok();
        if gone {
            tracing::warn!("the disk is full: the room that was reserved for removals is used now");
        }
        gone
    }
}

/// Bytes that this process may still take of the folder's disk.
fn free(folder: &Path) -> Option<u64> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    rustix::fs::statvfs(folder).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}
