//! Compiled modules on disk. Loading one runs its machine code, so each is signed with the host's key: a file that is
//! altered, or that another host wrote, is thrown away.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};
use wicket_config::ModuleDigest;

use crate::files::draft;

type Signature = Hmac<Sha256>;

/// The folder of compiled modules.
#[derive(Clone)]
pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; 32],
    /// Names the engine: another build of the host has other files.
    compatibility: String,
}

/// A compiled module that this host wrote. It is held in memory: what is checked is what runs, whatever happens to
/// the file meanwhile.
pub(crate) struct Artefact(Vec<u8>);

impl Cache {
    pub(crate) fn open(dir: &Path, key: [u8; 32], compatibility: String) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
        Ok(Self { dir: dir.to_owned(), key, compatibility })
    }

    fn path(&self, digest: &ModuleDigest, extension: &str) -> PathBuf {
        self.dir.join(format!("{digest}-{}.{extension}", self.compatibility))
    }

    /// A fresh place for the compiler to write to, in the same folder.
    pub(crate) fn draft(&self) -> io::Result<tempfile::TempPath> {
        Ok(draft(&self.dir)?.into_temp_path())
    }

    /// Signs a draft and keeps it.
    pub(crate) fn keep(&self, digest: &ModuleDigest, draft: tempfile::TempPath) -> io::Result<Artefact> {
        let artefact = std::fs::read(&draft)?;
        // What another engine made of it: nobody would ask for that again.
        self.forget(digest)?;
        // The signature first: an artefact without one is never loaded.
        std::fs::write(self.path(digest, "mac"), self.sign(digest, &artefact).finalize().into_bytes())?;
        draft.persist(self.path(digest, "cwasm")).map_err(|error| error.error)?;
        Ok(Artefact(artefact))
    }

    fn sign(&self, digest: &ModuleDigest, artefact: &[u8]) -> Signature {
        let mut signature = Signature::new_from_slice(&self.key).expect("every length of key will do");
        signature.update(digest.as_str().as_bytes());
        signature.update(self.compatibility.as_bytes());
        signature.update(artefact);
        signature
    }

    /// The artefact of a module, if this host made it and nobody changed it.
    pub(crate) fn find(&self, digest: &ModuleDigest) -> io::Result<Option<Artefact>> {
        let artefact = match std::fs::read(self.path(digest, "cwasm")) {
            Ok(artefact) => artefact,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let kept = std::fs::read(self.path(digest, "mac")).unwrap_or_default();
        if self.sign(digest, &artefact).verify_slice(&kept).is_ok() {
            return Ok(Some(Artefact(artefact)));
        }
        tracing::warn!(%digest, "compiled module was altered or is another host's, compiling again");
        self.forget(digest)?;
        Ok(None)
    }

    /// Removes what is kept of a module, whatever engine it is for.
    pub(crate) fn forget(&self, digest: &ModuleDigest) -> io::Result<()> {
        let of_module = format!("{digest}-");
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| name.starts_with(&of_module)) {
                continue;
            }
            match std::fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Artefact {
    /// Its bytes.
    pub(crate) fn size(&self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn component(&self, engine: &Engine) -> wasmtime::Result<Component> {
        #[expect(unsafe_code, reason = "running compiled code is what this host does")]
        // SAFETY: the signature of these very bytes says that this host's compiler wrote them.
        unsafe {
            Component::deserialize(engine, &self.0)
        }
    }

    pub(crate) fn module(&self, engine: &Engine) -> wasmtime::Result<Module> {
        #[expect(unsafe_code, reason = "running compiled code is what this host does")]
        // SAFETY: as for components.
        unsafe {
            Module::deserialize(engine, &self.0)
        }
    }
}
