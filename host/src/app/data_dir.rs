//! The folder in which a host keeps everything, and the secrets it makes on its first start.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use serde::{Deserialize, Serialize};
use wicket_core::Secret;

use crate::node::Addresses;

/// Where a running host listens.
pub(crate) const HOST_FILE: &str = "host.json";
/// The admin password.
pub(crate) const PASSWORD_FILE: &str = "admin-password";
/// The key pair of the S3 endpoint.
pub(crate) const S3_KEYS_FILE: &str = "s3-keys.json";
/// The database of queue, buckets and services.
pub(super) const DB_FILE: &str = "wicket.db";
/// The key of the compile cache.
const CACHE_KEY_FILE: &str = "cache-key";
/// What tells this host from others.
pub(crate) const NODE_ID_FILE: &str = "node-id";

/// A host's data folder, 0700.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// The key pair of the S3 endpoint, as stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct S3Keys {
    /// Public half.
    pub(crate) access_key: String,
    /// Secret half.
    pub(crate) secret_key: String,
}

impl DataDir {
    /// Makes the folder and its sub-folders where they are missing.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let dir = |path: &Path| {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| {
                format!("cannot make the data folder {}: choose one with --data", path.display())
            })
        };
        dir(path)?;
        for part in ["modules", "cache", "objects"] {
            dir(&path.join(part))?;
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Refuses a folder that has lost its database: a new one would know none of the objects, and they would be
    /// removed.
    pub(crate) fn check_whole(&self) -> anyhow::Result<()> {
        let db = self.file(DB_FILE);
        if std::fs::metadata(&db).is_ok_and(|file| file.len() > 0) {
            return Ok(());
        }
        let objects = self.file("objects");
        for shard in std::fs::read_dir(&objects)?.flatten() {
            let Ok(mut files) = std::fs::read_dir(shard.path()) else { continue };
            anyhow::ensure!(
                files.next().is_none(),
                "{} is missing or empty, and {} has files: restore the database from a backup, or move the folder \
                 away to begin anew",
                db.display(),
                objects.display()
            );
        }
        Ok(())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// An empty folder for attempts: what an earlier process left there is of no use to anybody. Only for the process
    /// that holds the store's lock.
    pub(crate) fn fresh_work(&self) -> anyhow::Result<PathBuf> {
        let work = self.path.join("work");
        if work.exists() {
            wicket_workspace::remove_tree(&work)
                .with_context(|| format!("cannot empty {}", work.display()))?;
        }
        std::fs::DirBuilder::new().mode(0o700).create(&work)?;
        Ok(work)
    }

    /// The admin password, made on the first start.
    pub(crate) fn admin_password(&self) -> anyhow::Result<Secret> {
        self.kept(PASSWORD_FILE, || token(18)).map(Secret::new)
    }

    /// The S3 key pair, made on the first start.
    pub(crate) fn s3_keys(&self) -> anyhow::Result<S3Keys> {
        let make = || {
            let keys = S3Keys {
                access_key: format!("WG{}", hex::encode_upper(rand::random::<[u8; 9]>())),
                secret_key: token(30),
            };
            serde_json::to_string(&keys).expect("two strings are JSON")
        };
        let text = self.kept(S3_KEYS_FILE, make)?;
        serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is not what this host wrote there: remove it to get new keys",
                self.file(S3_KEYS_FILE).display()
            )
        })
    }

    /// The key that proves that a compiled artefact is ours.
    pub(crate) fn cache_key(&self) -> anyhow::Result<[u8; 32]> {
        let text = self.kept(CACHE_KEY_FILE, || hex::encode(rand::random::<[u8; 32]>()))?;
        let mut key = [0; 32];
        hex::decode_to_slice(&text, &mut key).with_context(|| {
            format!(
                "{} is no key: remove it, and all modules are compiled again",
                self.file(CACHE_KEY_FILE).display()
            )
        })?;
        Ok(key)
    }

    /// What tells this host from others on the same container engine, made on the first start.
    pub(crate) fn node_id(&self) -> anyhow::Result<String> {
        self.kept(NODE_ID_FILE, || hex::encode(rand::random::<[u8; 8]>()))
    }

    /// A folder for what containers work in: what an earlier process left there may still be in use.
    pub(crate) fn containers(&self) -> anyhow::Result<PathBuf> {
        let folder = self.path.canonicalize()?.join("containers");
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(error).with_context(|| format!("cannot make {}", folder.display()))
            }
            Ok(()) | Err(_) => Ok(folder),
        }
    }

    /// Tells others where the host listens.
    pub(crate) fn write_host_file(&self, addresses: &Addresses) -> anyhow::Result<()> {
        let text = serde_json::to_string(addresses)?;
        self.replace(HOST_FILE, &text)
    }

    /// The host listens no more.
    pub(crate) fn remove_host_file(&self) {
        if let Err(error) = std::fs::remove_file(self.file(HOST_FILE)) {
            tracing::debug!(%error, "no host file to remove");
        }
    }

    /// A small file that is made once, mode 0600.
    fn kept(&self, name: &str, make: impl FnOnce() -> String) -> anyhow::Result<String> {
        let path = self.file(name);
        match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
        let text = make();
        self.replace(name, &text)?;
        Ok(text)
    }

    /// Writes beside and renames, so that nobody reads half a file.
    fn replace(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let (path, beside) = (self.file(name), self.file(&format!("{name}.new")));
        let write = || {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)?;
            // The new name is on disk only when the folder is.
            std::fs::File::open(&self.path)?.sync_all()
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// `bytes` random bytes as text that needs no quoting anywhere.
fn token(bytes: usize) -> String {
    let random: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random)
}
