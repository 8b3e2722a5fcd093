//! Objects' bytes as files. A name is ours, random and never reused; no key is ever a path.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};

/// The folder of all files, in 256 sub-folders.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    /// Files that are being read, and those that are about to go.
    held: Mutex<HashMap<String, Held>>,
    /// Names given out by this process until the sweep is over: their rows may be on their way.
    fresh: Mutex<Option<HashSet<String>>>,
    /// Names for the thread that unlinks: the store's writer must not wait for a large file to go.
    unlink: mpsc::Sender<String>,
}

#[derive(Debug, Default)]
struct Held {
    readers: u32,
    /// No row names it any more.
    doomed: bool,
    /// It is being unlinked: nobody may begin to read it.
    going: bool,
}

/// Keeps files readable until it is dropped, whatever becomes of their objects.
#[derive(Debug)]
pub(crate) struct Hold {
    files: Arc<Files>,
    names: Vec<String>,
}

impl Files {
    /// Opens the folder, and makes its sub-folders.
    pub(crate) fn open(dir: &Path) -> std::io::Result<Arc<Self>> {
        std::fs::create_dir_all(dir)?;
        let there: HashSet<_> =
            std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<_>>()?;
        for shard in (0..=255u8).map(|shard| hex::encode([shard])) {
            if !there.contains(OsStr::new(&shard)) {
                std::fs::create_dir_all(dir.join(shard))?;
            }
        }
        // The sub-folders are as durable as what will be acknowledged in them.
        for made in dir.ancestors().take(2) {
            let made = if made.as_os_str().is_empty() { Path::new(".") } else { made };
            File::open(made)?.sync_all()?;
        }
        let (unlink, doomed) = mpsc::channel();
        let fresh = Mutex::new(Some(HashSet::new()));
        let files = Arc::new(Self { dir: dir.to_owned(), held: Mutex::default(), fresh, unlink });
        let weak = Arc::downgrade(&files);
        // It ends with `files`; what was left then is work for the next start's sweep.
        std::thread::Builder::new()
            .name("wicket-unlink".to_owned())
            .spawn(move || unlink_all(&weak, &doomed))?;
        Ok(files)
    }

    /// A new file's name and path.
    pub(crate) fn new_name(&self) -> (String, PathBuf) {
        let name = hex::encode(rand::random::<[u8; 16]>());
        if let Some(fresh) = self.fresh.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            fresh.insert(name.clone());
        }
        let path = self.path(&name);
        (name, path)
    }

    /// Whether this name was given out since the start; not to be asked after [`Files::swept`].
    pub(crate) fn is_fresh(&self, name: &str) -> bool {
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.as_ref().is_none_or(|fresh| fresh.contains(name))
    }

    /// All that an earlier process left has been looked at.
    pub(crate) fn swept(&self) {
        *self.fresh.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name.get(..2).unwrap_or("00")).join(name)
    }

    /// Opens a file for reading.
    pub(crate) fn read(&self, name: &str) -> std::io::Result<File> {
        File::open(self.path(name))
    }

    /// Keeps these files until the answer is dropped. None when one of them is going: the row that named it has been
    /// replaced, and is to be read again.
    pub(crate) fn hold(self: &Arc<Self>, names: Vec<String>) -> Option<Hold> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if names.iter().any(|name| held.get(name).is_some_and(|held| held.going)) {
            return None;
        }
        for name in &names {
            held.entry(name.clone()).or_default().readers += 1;
        }
        drop(held);
        Some(Hold { files: self.clone(), names })
    }

    /// Removes a file that no row names, soon, or when its last reader is done. Never blocks.
    pub(crate) fn remove(&self, name: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = held.entry(name.to_owned()).or_default();
        entry.doomed = true;
        if entry.readers == 0 {
            self.send(name);
        }
    }

    fn send(&self, name: &str) {
        // An error: the host is at its very end, and the next start sweeps.
        let _gone = self.unlink.send(name.to_owned());
    }

    /// Whether this file may be unlinked now.
    fn begin_unlink(&self, name: &str) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = held.get_mut(name) else { return false };
        let now = entry.doomed && entry.readers == 0 && !entry.going;
        entry.going |= now;
        now
    }

    fn unlink(&self, name: &str) {
        if !self.begin_unlink(name) {
            return;
        }
        if let Err(error) = std::fs::remove_file(self.path(name))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(name, %error, "an object's file could not be removed; the next start tries again");
        }
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Names in one of the 256 sub-folders.
    pub(crate) fn names(&self, shard: u8) -> std::io::Result<Vec<String>> {
        let entries = std::fs::read_dir(self.dir.join(hex::encode([shard])))?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

fn unlink_all(files: &Weak<Files>, doomed: &mpsc::Receiver<String>) {
    for name in doomed {
        let Some(files) = files.upgrade() else { return };
        files.unlink(&name);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.files.held.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &self.names {
            let Some(entry) = held.get_mut(name) else { continue };
            entry.readers -= 1;
            if entry.readers > 0 {
                continue;
            }
            if entry.doomed {
                self.files.send(name);
            } else {
                held.remove(name);
            }
        }
    }
}
