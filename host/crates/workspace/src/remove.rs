//! Removes what a function left, whatever shape it has.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RawMode, chmod, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

/// Removes a folder with all that is in it; one that is not there is no error. Links are removed, not followed.
///
/// Folders within folders are first moved to the top, so that neither depth nor the length of a path is a limit.
/// Folders that their owner may not read are opened to him.
pub fn remove_tree(top: &Path) -> io::Result<()> {
    let name = CString::new(top.as_os_str().as_bytes())?;
    let open = match open(CWD, &name) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?,
    };
    empty(&open)?;
    gone(unlinkat(CWD, &name, AtFlags::REMOVEDIR))
}

/// Removes all that is in a folder in the same way, and leaves the folder: something may be mounted on it.
pub fn empty_tree(top: &Path) -> io::Result<()> {
    empty(&open(CWD, &CString::new(top.as_os_str().as_bytes())?)?)
}

fn empty(open: &OwnedFd) -> io::Result<()> {
    // Moved folders have numbers for names; what has such a name already is in the way, and the next number is tried.
    let mut number = 0_u64;
    loop {
        let below = entries(open)?;
        if below.is_empty() {
            return Ok(());
        }
        for entry in below {
            if entry.is_folder {
                flatten(open.as_fd(), &entry.name, &mut number)?;
            } else {
                gone(unlinkat(open, &entry.name, AtFlags::empty()))?;
            }
        }
    }
}

/// Removes a folder at the top; the folders in it are at the top then.
fn flatten(top: BorrowedFd<'_>, name: &CString, number: &mut u64) -> io::Result<()> {
    let folder = match open(top, name) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?,
    };
    for entry in entries(&folder)? {
        if !entry.is_folder {
            gone(unlinkat(&folder, &entry.name, AtFlags::empty()))?;
            continue;
        }
        // A folder is moved by who may write to it.
        drop(open(folder.as_fd(), &entry.name));
        loop {
            *number += 1;
            let free = CString::new(number.to_string())?;
            if matches!(statat(top, &free, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT)) {
                gone(renameat(&folder, &entry.name, top, &free))?;
                break;
            }
        }
    }
    gone(unlinkat(top, name, AtFlags::REMOVEDIR))
}

/// Opens a folder, never by a link, and lets its owner do with it what he must.
fn open(at: BorrowedFd<'_>, name: &CString) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let known = openat(at, name, flags | OFlags::PATH, Mode::empty())?;
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&known)?.st_mode as RawMode);
    if !mode.contains(Mode::RWXU) {
        // By what is open: the name may be another file's by now.
        use std::os::fd::AsRawFd as _;
        chmod(format!("/proc/self/fd/{}", known.as_raw_fd()), mode | Mode::RWXU)?;
    }
    openat(&known, c".", flags | OFlags::RDONLY, Mode::empty())
}

struct Entry {
    name: CString,
    is_folder: bool,
}

fn entries(folder: &OwnedFd) -> io::Result<Vec<Entry>> {
    let mut all = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if entry.file_name() == c"." || entry.file_name() == c".." {
            continue;
        }
        let name = entry.file_name().to_owned();
        let is_folder = match entry.file_type() {
            FileType::Unknown => {
                let about = statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(about.st_mode) == FileType::Directory
            }
            kind => kind == FileType::Directory,
        };
        all.push(Entry { name, is_folder });
    }
    Ok(all)
}

/// What is gone already is as good.
fn gone(done: rustix::io::Result<()>) -> io::Result<()> {
    match done {
        Err(Errno::NOENT) => Ok(()),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::mkdirat;

    use super::*;

    #[test]
    fn a_tree_goes_however_deep_it_is_and_whatever_is_in_it() {
        let work = tempfile::tempdir().unwrap();
        let outside = work.path().join("outside");
        std::fs::write(&outside, "stays").unwrap();
        let top = work.path().join("top");
        std::fs::create_dir_all(top.join("1/2/3")).unwrap();
        std::fs::write(top.join("1/2/3/file"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, top.join("1/link")).unwrap();
        std::os::unix::fs::symlink(work.path(), top.join("1/2/folder")).unwrap();
        let mut at = openat(CWD, &top, OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..5_000 {
            mkdirat(&at, "a folder with a name that is not short", Mode::RWXU).unwrap();
            at = openat(&at, "a folder with a name that is not short", OFlags::DIRECTORY, Mode::empty())
                .unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists());
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "stays");
        remove_tree(&top).unwrap();
    }

    #[test]
    fn folders_without_rights_go_too() {
        let work = tempfile::tempdir().unwrap();
        let top = work.path().join("top");
        for closed in ["a/b/c", "a/d"] {
            std::fs::create_dir_all(top.join(closed)).unwrap();
            std::fs::write(top.join(closed).join("file"), "x").unwrap();
        }
        for closed in ["a/b/c", "a/b", "a/d", "a"] {
            std::fs::set_permissions(top.join(closed), std::os::unix::fs::PermissionsExt::from_mode(0o000))
                .unwrap();
        }
        // Root may do anything; somebody else's thread may not.
        let own = rustix::process::geteuid().is_root();
        let removed = std::thread::spawn(move || {
            if own {
                let nobody = rustix::process::Uid::from_raw(65_534);
                for folder in [&top, &top.join("a"), &top.join("a/b"), &top.join("a/b/c"), &top.join("a/d")] {
                    std::os::unix::fs::chown(folder, Some(65_534), None).unwrap();
                }
                std::os::unix::fs::chown(top.parent().unwrap(), Some(65_534), None).unwrap();
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            remove_tree(&top).map(|()| top.exists())
        });
        assert!(!removed.join().unwrap().unwrap());
    }
}
