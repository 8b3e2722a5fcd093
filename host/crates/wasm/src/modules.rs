//! Uploaded modules: one file for each digest.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use wicket_config::{ByteSize, ModuleDigest};
use wicket_core::{ByteStream, Timestamp};

use crate::ModuleError;

/// A module that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredModule {
    /// Its SHA-256.
    pub digest: ModuleDigest,
    /// Its bytes.
    pub size: u64,
    /// When it was last uploaded.
    pub stored: Timestamp,
    /// Whether it was not here before.
    pub new: bool,
}

/// The folder they are in.
#[derive(Clone, Debug)]
pub(crate) struct Modules {
    dir: PathBuf,
}

impl Modules {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(crate) fn path(&self, digest: &ModuleDigest) -> PathBuf {
        self.dir.join(format!("{digest}.wasm"))
    }

    pub(crate) async fn has(&self, digest: &ModuleDigest) -> bool {
        tokio::fs::try_exists(self.path(digest)).await.unwrap_or(false)
    }

    /// Takes the bytes in, checks them against the digest, and makes them durable.
    pub(crate) async fn store(
        &self,
        digest: &ModuleDigest,
        mut body: ByteStream,
        limit: ByteSize,
    ) -> Result<StoredModule, ModuleError> {
        let here = || format!("store the module {digest}");
        let dir = self.dir.clone();
        let mut file = blocking(move || draft(&dir)).await.map_err(ModuleError::io(here()))?;
        let mut hash = Sha256::new();
        let mut size = 0_u64;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(ModuleError::io(format!("receive the module {digest}")))?;
            size += bytes.len() as u64;
            if size > limit.0 {
                return Err(ModuleError::TooLarge(limit));
            }
            let (back, mut running) = (file, hash);
            (file, hash) = blocking(move || {
                let mut file = back;
                running.update(&bytes);
                file.write_all(&bytes).map(|()| (file, running))
            })
            .await
            .map_err(ModuleError::io(here()))?;
        }
        let found = hex::encode(hash.finalize());
        if found != digest.as_str() {
            return Err(ModuleError::Digest { expected: digest.clone(), found });
        }
        let new = !self.has(digest).await;
        let (path, dir) = (self.path(digest), self.dir.clone());
        blocking(move || {
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            std::fs::File::open(dir)?.sync_all()
        })
        .await
        .map_err(ModuleError::io(here()))?;
        Ok(StoredModule { digest: digest.clone(), size, stored: Timestamp::now(), new })
    }

    /// Whether a file still has the bytes that it was stored with.
    pub(crate) async fn check(&self, digest: &ModuleDigest) -> Result<(), ModuleError> {
        let path = self.path(digest);
        let hash = blocking(move || {
            let mut hash = Sha256::new();
            std::io::copy(&mut std::fs::File::open(path)?, &mut hash)?;
            Ok(hex::encode(hash.finalize()))
        });
        let found = hash.await.map_err(ModuleError::io(format!("read the module {digest}")))?;
        match found == digest.as_str() {
            true => Ok(()),
            false => Err(ModuleError::Digest { expected: digest.clone(), found }),
        }
    }

    /// Whether there was one.
    pub(crate) async fn remove(&self, digest: &ModuleDigest) -> Result<bool, ModuleError> {
        match tokio::fs::remove_file(self.path(digest)).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ModuleError::io(format!("remove the module {digest}"))(error)),
        }
    }

    /// All of them, by digest.
    pub(crate) async fn list(&self) -> Result<Vec<StoredModule>, ModuleError> {
        let dir = self.dir.clone();
        blocking(move || {
            let mut modules = Vec::new();
            for entry in std::fs::read_dir(dir)? {
                let entry = entry?;
                let name = entry.file_name();
                let digest = name.to_str().and_then(|name| name.strip_suffix(".wasm"));
                if let Some(digest) = digest.and_then(|digest| digest.parse().ok()) {
                    let about = entry.metadata()?;
                    let stored = Timestamp::from(about.modified()?);
                    modules.push(StoredModule { digest, size: about.len(), stored, new: false });
                }
            }
            modules.sort_by(|a, b| a.digest.cmp(&b.digest));
            Ok(modules)
        })
        .await
        .map_err(ModuleError::io("list the modules"))
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
