//! What an attempt works with: its objects, its outputs, its folder.

mod objects;
mod outputs;

use std::path::{Path, PathBuf};

pub(crate) use objects::AttemptObjects;
pub(crate) use outputs::{Answer, AttemptOutputs, Collected};

/// A folder for one attempt, removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty folder below `work`. Its name is never reused while it exists.
    pub(crate) fn make(work: &Path, name: &str) -> std::io::Result<Self> {
        let unique: [u8; 4] = rand::random();
        let path = work.join(format!("{name}-{}", hex::encode(unique)));
        std::fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Most are empty: then this is one system call.
        if std::fs::remove_dir(&self.path).is_err()
            && let Err(error) = wicket_workspace::remove_tree(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "scratch folder could not be removed");
        }
    }
}
