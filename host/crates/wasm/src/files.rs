//! Uploaded modules and models: one file for each digest.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use wicket_config::ByteSize;
use wicket_core::{ByteStream, Timestamp};

/// A file that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredFile {
    /// Its SHA-256, in lower-case hex.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
    /// When it was last uploaded.
    pub stored: Timestamp,
    /// Whether it was not here before.
    pub new: bool,
}

/// Why a file is not taken, or cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The bytes are not those that were announced.
    #[error("the {what} has the digest {found}, not {expected}")]
    Digest {
        /// A module or a model.
        what: &'static str,
        /// Announced.
        expected: String,
        /// Of the bytes that came.
        found: String,
    },
    /// More bytes than there may be.
    #[error("the {what} is larger than {limit}")]
    TooLarge {
        /// A module or a model.
        what: &'static str,
        /// Bytes that there may be.
        limit: ByteSize,
    },
    /// The disk failed, or who sent it.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl FileError {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// A folder of files, each named by its digest.
#[derive(Clone, Debug)]
pub struct DigestFiles {
    dir: PathBuf,
    what: &'static str,
    suffix: &'static str,
}

impl DigestFiles {
    pub(crate) fn modules(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), what: "module", suffix: "wasm" }
    }

    pub(crate) fn models(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), what: "model", suffix: "model" }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where one is, or would be.
    pub fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}.{}", self.suffix))
    }

    /// Whether one is here.
    pub async fn has(&self, digest: &str) -> bool {
        tokio::fs::try_exists(self.path(digest)).await.unwrap_or(false)
    }

    /// Takes the bytes in, checks them against the digest, and makes them durable.
    pub async fn store(
        &self,
        digest: &str,
        mut body: ByteStream,
        limit: ByteSize,
    ) -> Result<StoredFile, FileError> {
        let what = self.what;
        let here = || format!("store the {what} {digest}");
        let dir = self.dir.clone();
        let mut file = blocking(move || draft(&dir)).await.map_err(FileError::io(here()))?;
        let mut hash = Sha256::new();
        let mut size = 0_u64;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(FileError::io(format!("receive the {what} {digest}")))?;
            size += bytes.len() as u64;
            if size > limit.0 {
                return Err(FileError::TooLarge { what, limit });
            }
            let (back, mut running) = (file, hash);
            (file, hash) = blocking(move || {
                let mut file = back;
                running.update(&bytes);
                file.write_all(&bytes).map(|()| (file, running))
            })
            .await
            .map_err(FileError::io(here()))?;
        }
        let found = hex::encode(hash.finalize());
        if found != digest {
            return Err(FileError::Digest { what, expected: digest.to_owned(), found });
        }
        let new = !self.has(digest).await;
        let (path, dir) = (self.path(digest), self.dir.clone());
        blocking(move || {
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            std::fs::File::open(dir)?.sync_all()
        })
        .await
        .map_err(FileError::io(here()))?;
        Ok(StoredFile { digest: digest.to_owned(), size, stored: Timestamp::now(), new })
    }

    /// Whether a file still has the bytes that it was stored with.
    pub(crate) async fn check(&self, digest: &str) -> Result<(), FileError> {
        let path = self.path(digest);
        let hash = blocking(move || {
            let mut hash = Sha256::new();
            std::io::copy(&mut std::fs::File::open(path)?, &mut hash)?;
            Ok(hex::encode(hash.finalize()))
        });
        let found = hash.await.map_err(FileError::io(format!("read the {} {digest}", self.what)))?;
        match found == digest {
            true => Ok(()),
            false => Err(FileError::Digest { what: self.what, expected: digest.to_owned(), found }),
        }
    }

    /// Whether there was one.
    pub async fn remove(&self, digest: &str) -> Result<bool, FileError> {
        match tokio::fs::remove_file(self.path(digest)).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(FileError::io(format!("remove the {} {digest}", self.what))(error)),
        }
    }

    /// All of them, by digest.
    pub async fn list(&self) -> Result<Vec<StoredFile>, FileError> {
        let (dir, suffix) = (self.dir.clone(), format!(".{}", self.suffix));
        blocking(move || {
            let mut files = Vec::new();
            for entry in std::fs::read_dir(dir)? {
                let entry = entry?;
                let name = entry.file_name();
                let digest = name.to_str().and_then(|name| name.strip_suffix(&suffix));
                if let Some(digest) = digest.map(str::to_owned) {
                    let about = entry.metadata()?;
                    let stored = Timestamp::from(about.modified()?);
                    files.push(StoredFile { digest, size: about.len(), stored, new: false });
                }
            }
            files.sort_by(|a, b| a.digest.cmp(&b.digest));
            Ok(files)
        })
        .await
        .map_err(FileError::io(format!("list the {}s", self.what)))
    }
}

/// How the names of files begin that are not complete.
pub(crate) const DRAFT: &str = ".tmp";

/// A fresh file for what is not complete.
pub(crate) fn draft(dir: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix(DRAFT).tempfile_in(dir)
}

/// Runs file work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
