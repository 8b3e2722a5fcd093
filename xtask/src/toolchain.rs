//! What compiles guests: rustc as it is, or with a sysroot of our own in the cache folder, or Debian's rustc there.

mod prebuilt;
mod rustc;
mod source;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::bail;

use self::rustc::Rustc;
use crate::{apt, run, say};

/// What guests are compiled for.
pub(crate) const TARGETS: [&str; 2] = ["wasm32-wasip2", "wasm32-wasip1"];

/// How guests are compiled on this machine.
#[derive(Debug)]
pub(crate) enum Toolchain {
    /// By the machine's rustc, which has the targets.
    Own,
    /// By the machine's rustc, with the targets' std from this sysroot.
    Sysroot(PathBuf),
    /// By a rustc in the cache folder, which needs these folders on its path.
    Prebuilt { rustc: PathBuf, path: Vec<PathBuf> },
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets = TARGETS.join(" and ");
        match self {
            Self::Own => write!(f, "guests: rustc has {targets}"),
            Self::Sysroot(sysroot) => write!(f, "guests: {targets} from {}", sysroot.display()),
            Self::Prebuilt { rustc, .. } => write!(f, "guests: {targets} by {}", rustc.display()),
        }
    }
}

impl Toolchain {
    /// The toolchain; set up first where it is missing.
    pub(crate) fn ready() -> anyhow::Result<Self> {
        let rustc = Rustc::find()?;
        let cache = run::cache()?.join("guest-toolchain");
        match run::variable("WICKET_GUEST_TOOLCHAIN").as_deref() {
            None => Self::first_that_works(&rustc, &cache),
            Some("own") if rustc.has_targets() => Ok(Self::Own),
            Some("own") => bail!("rustc {} has no std for {}", rustc.version, TARGETS.join(" and ")),
            Some("rustup") => by_rustup(&rustc),
            Some("source") => source::sysroot(&rustc, &cache).map(Self::Sysroot),
            Some("prebuilt") => prebuilt::rustc(&rustc, &cache),
            Some(other) => bail!("WICKET_GUEST_TOOLCHAIN={other}: own, rustup, source or prebuilt"),
        }
    }

    fn first_that_works(rustc: &Rustc, cache: &Path) -> anyhow::Result<Self> {
        if rustc.has_targets() {
            return Ok(Self::Own);
        }
        if let Some(sysroot) = source::present(rustc, cache)? {
            return Ok(Self::Sysroot(sysroot));
        }
        if let Some(prebuilt) = prebuilt::present(rustc, cache)? {
            return Ok(prebuilt);
        }
        let mut tried = Vec::new();
        if run::variable("NO_RUSTUP").is_none() && run::has("rustup") {
            match by_rustup(rustc) {
                Ok(toolchain) => return Ok(toolchain),
                Err(error) => tried.push(format!("rustup: {error:#}")),
            }
        }
        if !apt::is_here() {
            tried.push("this is no machine with apt and Debian's keys".to_owned());
            bail!(
                "guests need std for {}, and it could not be had.\n  {}\n\
                 Install Rust with rustup and run `rustup target add {}`.",
                TARGETS.join(" and "),
                tried.join("\n  "),
                TARGETS.join(" ")
            );
        }
        match source::sysroot(rustc, cache) {
            Ok(sysroot) => return Ok(Self::Sysroot(sysroot)),
            Err(error) => {
                say::line(&format!("    that did not work: {error:#}"));
                tried.push(format!("from source: {error:#}"));
            }
        }
        prebuilt::rustc(rustc, cache).map_err(|error| {
            tried.push(format!("prebuilt: {error:#}"));
            anyhow::anyhow!("guests need std for {}:\n  {}", TARGETS.join(" and "), tried.join("\n  "))
        })
    }

    /// A cargo that compiles guests, in a folder.
    pub(crate) fn cargo(&self, dir: &Path) -> Command {
        let mut command = run::cargo(dir);
        // Where it is set, it would replace the flags of the configuration, ours among them.
        command.env_remove("RUSTFLAGS");
        match self {
            Self::Own => {}
            Self::Sysroot(sysroot) => {
                // As configuration, flags are added to those of the folder's own, and host code does not get them.
                for target in TARGETS {
                    let flags = format!("target.{target}.rustflags=[\"--sysroot={}\"]", sysroot.display());
                    command.arg("--config").arg(flags);
                }
            }
            Self::Prebuilt { rustc, path } => {
                let old = std::env::var_os("PATH").unwrap_or_default();
                let all = path.iter().cloned().chain(std::env::split_paths(&old));
                command.env("RUSTC", rustc).env_remove("LD_LIBRARY_PATH");
                // A folder of the cache has no colon in it, or it could not have been on the path before.
                command.env("PATH", std::env::join_paths(all).unwrap_or(old));
            }
        }
        command
    }
}

fn by_rustup(rustc: &Rustc) -> anyhow::Result<Toolchain> {
    say::step(&format!("rustup target add {} (seconds; 40 MB)", TARGETS.join(" ")), || {
        let mut command = Command::new("rustup");
        command.args(["target", "add"]).args(TARGETS).env("RUSTUP_MAX_RETRIES", "1");
        if !run::within(Duration::from_secs(180), &mut command) {
            bail!("rustup could not add the targets");
        }
        if !rustc.has_targets() {
            bail!("rustup added the targets to another toolchain than {}", rustc.sysroot.display());
        }
        Ok(Toolchain::Own)
    })
}
