//! One piece of memory, as one process sees it.
#![expect(unsafe_code, reason = "mapping memory is unsafe; it is done here and nowhere else")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// Memory that this process made and may write.
#[derive(Debug)]
pub(crate) struct Map {
    view: View,
    fd: OwnedFd,
}

impl Map {
    /// A new piece of zeroes. Others can map it only to read, and nobody can make it shorter or longer.
    pub(crate) fn create(len: usize) -> io::Result<Self> {
        let fd = rustix::fs::memfd_create("wicket-tensor", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&fd, len as u64)?;
        let view = View::of(fd.as_fd(), len, ProtFlags::READ | ProtFlags::WRITE)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&fd, seals)?;
        Ok(Self { view, fd })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.view.bytes()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is of `len` bytes, readable and writable, and lives as long as `self`. No other process can
        // write to it, and in this one `&mut self` is the only way.
        unsafe { std::slice::from_raw_parts_mut(self.view.at.as_ptr(), self.view.len) }
    }
}

/// Memory that may be read.
#[derive(Debug)]
pub(crate) struct View {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for View {}
// SAFETY: by `&self` it is only read.
unsafe impl Sync for View {}

impl View {
    /// Maps what another process made.
    ///
    /// # Errors
    ///
    /// When it is not sealed against shrinking or has fewer bytes than `len`: reading it could end this process.
    pub(crate) fn open(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let seals = rustix::fs::fcntl_get_seals(fd)?;
        if !seals.contains(SealFlags::SHRINK) {
            return Err(io::Error::other("shared memory without a seal against shrinking"));
        }
        let size = rustix::fs::fstat(fd)?.st_size;
        if u64::try_from(size).unwrap_or(0) < len as u64 {
            return Err(io::Error::other(format!("shared memory of {size} bytes where {len} were promised")));
        }
        Self::of(fd, len, ProtFlags::READ)
    }

    fn of(fd: BorrowedFd<'_>, len: usize, access: ProtFlags) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of this program.
        let at = unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, access, MapFlags::SHARED, fd, 0)? };
        let at = NonNull::new(at.cast()).ok_or_else(|| io::Error::other("a mapping at address 0"))?;
        Ok(Self { at, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is of `len` bytes, readable, and lives as long as `self`; the seal keeps it from being
        // shortened. Whoever made it writes to it only while nobody else was told of it. A worker that breaks this rule
        // changes the plain bytes of an answer of its own, which nothing here takes for more than numbers.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: mapped in `of` with this length, and unmapped only here; no slice outlives `self`.
        let unmapped = unsafe { rustix::mm::munmap(self.at.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}
