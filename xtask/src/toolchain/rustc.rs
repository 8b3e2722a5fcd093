//! The machine's rustc.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::TARGETS;
use crate::run;

/// Which rustc there is.
#[derive(Debug)]
pub(super) struct Rustc {
    /// `1.95.0`.
    pub(super) version: String,
    /// Its commit: std of another commit does not fit.
    commit: String,
    /// `x86_64-unknown-linux-gnu`.
    pub(super) host: String,
    /// Where its std is.
    pub(super) sysroot: PathBuf,
}

impl Rustc {
    /// The one beside the cargo that runs us.
    pub(super) fn find() -> anyhow::Result<Self> {
        let beside = std::env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name("rustc"));
        let program = beside.filter(|rustc| rustc.is_file()).unwrap_or_else(|| PathBuf::from("rustc"));
        let about = run::answer(Command::new(&program).arg("-vV"))?;
        let field = |name: &str| {
            let line = about.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.map(str::to_owned).with_context(|| format!("`rustc -vV` does not tell its {name}"))
        };
        let sysroot = run::answer(Command::new(&program).args(["--print", "sysroot"]))?;
        Ok(Self {
            version: field("release")?,
            commit: field("commit-hash")?,
            host: field("host")?,
            sysroot: sysroot.into(),
        })
    }

    /// Whether it has std for all targets.
    pub(super) fn has_targets(&self) -> bool {
        TARGETS.iter().all(|target| has_std(&self.sysroot, target))
    }

    /// A name for what was made for this rustc and no other.
    pub(super) fn fingerprint(&self) -> String {
        format!("{}-{}", self.version, self.commit.chars().take(9).collect::<String>())
    }

    /// Its folder for this host: its linkers are there.
    pub(super) fn rustlib(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(&self.host)
    }
}

/// Whether a sysroot has std for a target.
pub(super) fn has_std(sysroot: &Path, target: &str) -> bool {
    let lib = sysroot.join("lib/rustlib").join(target).join("lib");
    let Ok(entries) = lib.read_dir() else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}
