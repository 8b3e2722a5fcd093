//! Images without a registry: a root file system of a few programs, handed to the engine as a tar.

mod detector;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use sha2::{Digest as _, Sha256};

pub(crate) use self::detector::has_model;
use crate::engine::http;
use crate::python::{Python, Wheel};
use crate::{apt, engine, models, run, say};

/// What to make.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Options {
    /// Which.
    name: Image,
    /// With CUDA 13 for machines that have a GPU: the detector's, then named wicketgate/detector:1-gpu (2.6 GB).
    #[arg(long)]
    gpu: bool,
}

/// An image that functions run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Image {
    /// wicketgate/ffmpeg:7: ffmpeg, a shell and its tools; what `functions/split` runs in.
    Ffmpeg,
    /// wicketgate/detector:1: Python, ONNX Runtime and a model; what `functions/object-detector/detect.py` runs in.
    Detector,
    /// The same with CUDA.
    #[value(skip)]
    DetectorGpu,
}

/// ffmpeg 7.0.2, linked statically, is in a package of Python.
const PIN: &str = "imageio-ffmpeg==0.6.0 \
                   --hash=sha256:c7e46fcec401dd990405049d2e2f475e2b397779df2519b544b8aab515195282 \
                   --hash=sha256:1d47bebd83d2c5fc770720d211855f208af8a596c82d17730aa51e815cdee6dc\n";
/// The label that tells what an image was made of.
const LABEL: &str = "dev.wicketgate.recipe";

/// How an image is made.
#[derive(Debug)]
struct Recipe {
    /// What workflows name.
    name: &'static str,
    tag: &'static str,
    /// All that it is made of.
    digest: String,
    /// Where that comes from, for people.
    from: &'static str,
    /// What else is set in it, as a Dockerfile has it.
    settings: &'static [&'static str],
}

impl Image {
    fn recipe(self) -> anyhow::Result<Recipe> {
        Ok(match self {
            Self::Ffmpeg => Recipe {
                name: "wicketgate/ffmpeg",
                tag: "7",
                digest: hex::encode(&Sha256::digest(PIN)[..8]),
                from: "ffmpeg from PyPI (29 MB) and busybox from Debian (1 MB)",
                settings: &[],
            },
            Self::Detector => Recipe {
                name: "wicketgate/detector",
                tag: "1",
                digest: detector::digest(false)?,
                from: "Python and busybox from Debian (9 MB), and ONNX Runtime from PyPI (52 MB)",
                settings: &[],
            },
            Self::DetectorGpu => Recipe {
                name: "wicketgate/detector",
                tag: "1-gpu",
                digest: detector::digest(true)?,
                from: "Python and busybox from Debian (9 MB), ONNX Runtime and CUDA from PyPI (1.6 GB)",
                // What NVIDIA's runtime brings into the container.
                settings: &["ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility"],
            },
        })
    }
}

/// Makes an image on this machine's own engine.
pub(crate) fn on_own_engine(options: &Options) -> anyhow::Result<()> {
    let image = match (options.name, options.gpu) {
        (Image::Detector, true) => Image::DetectorGpu,
        (image, false) => image,
        (_, true) => bail!("only the image `detector` has something for a GPU"),
    };
    if image != Image::Ffmpeg && !has_model() {
        say::step("the model", || models::ready(models::Options::default()))?;
    }
    let socket = engine::own_socket();
    make(image, &socket).with_context(|| {
        format!(
            "the image goes into the container engine at {} (DOCKER_HOST names another): is it installed (Debian: \
             `apt-get install docker.io`), and may you reach it?",
            socket.display()
        )
    })
}

/// Makes an image on the engine at a socket, unless it is there.
pub(crate) fn make(image: Image, socket: &Path) -> anyhow::Result<()> {
    let Recipe { name, tag, digest, from, settings } = image.recipe()?;
    let (status, about) = http::ask(socket, "GET", &format!("/images/{name}:{tag}/json"), None)?;
    if status == 200 {
        let about: serde_json::Value =
            serde_json::from_slice(&about).context("the engine answers no JSON")?;
        if about["Config"]["Labels"][LABEL] == digest.as_str() {
            say::line(&format!("    the image {name}:{tag} is there"));
            return Ok(());
        }
    }
    let file = format!("{}-{digest}.tar", name.rsplit('/').next().unwrap_or(name));
    let tar = run::cache()?.join("images").join(file);
    if !tar.exists() {
        say::step(&format!("the image: fetching {from}, once"), || match image {
            Image::Ffmpeg => ffmpeg(&tar),
            Image::Detector => detector::detector(&tar, false),
            Image::DetectorGpu => detector::detector(&tar, true),
        })?;
    }
    say::step(&format!("the image {name}:{tag}, on the engine at {}", socket.display()), || {
        let mut path = format!("/images/create?fromSrc=-&repo={}&tag={tag}", run::encoded(name));
        let label = format!("LABEL {LABEL}={digest}");
        for setting in settings.iter().copied().chain([label.as_str()]) {
            path += &format!("&changes={}", run::encoded(setting));
        }
        let (status, said) = http::ask(socket, "POST", &path, Some(&tar))?;
        let said = String::from_utf8_lossy(&said);
        // What goes wrong on the way is told in an answer that began well.
        if status != 200 || said.contains("\"errorDetail\"") {
            bail!("the engine does not take the image ({status}): {}", said.trim());
        }
        Ok(())
    })
}

/// ffmpeg's root file system, as a tar.
fn ffmpeg(tar: &Path) -> anyhow::Result<()> {
    let platform = match std::env::consts::ARCH {
        "x86_64" => "manylinux2014_x86_64",
        "aarch64" => "manylinux2014_aarch64",
        other => bail!("there is no ffmpeg for {other} in that package"),
    };
    let work = tempfile::tempdir().context("cannot make a folder")?;
    let at = |name: &str| work.path().join(name);
    fs::write(at("requirements.txt"), PIN)?;
    let wheel = Wheel { python: "3.11", abi: "cp311", platform };
    Python::find(6)?.download(&at("requirements.txt"), &wheel, &at("wheels"))?;
    let n_wheels = unzipped(&at("wheels"), &at("unpacked"))?;
    ensure!(n_wheels == 1, "pip left {n_wheels} wheels");
    let binaries = at("unpacked/imageio_ffmpeg/binaries");
    let found = binaries.read_dir()?.flatten().map(|entry| entry.path());
    let is_it =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ffmpeg-"));
    let program = found.into_iter().find(is_it).context("the package has no ffmpeg where it was expected")?;
    let root = at("root");
    busybox(&root)?;
    let ffmpeg = root.join("bin/ffmpeg");
    fs::copy(program, &ffmpeg)?;
    fs::set_permissions(&ffmpeg, PermissionsExt::from_mode(0o755))?;
    packed(&root, tar)
}

/// The image of the stories, as a tar: one static program with links for all its tools.
pub(crate) fn of_the_stories(tar: &Path) -> anyhow::Result<()> {
    if tar.exists() {
        return Ok(());
    }
    let work = tempfile::tempdir().context("cannot make a folder")?;
    let root = work.path().join("root");
    busybox(&root).context("the stories of containers need it")?;
    packed(&root, tar)
}

/// A root file system of a shell and its tools.
fn busybox(root: &Path) -> anyhow::Result<()> {
    let package = tempfile::tempdir().context("cannot make a folder")?;
    let deb = apt::fetch("busybox-static", &run::cache()?.join("debs"));
    apt::unpack(&deb.context("cannot get busybox (Debian: busybox-static)")?, None, package.path())?;
    for folder in ["bin", "tmp", "etc", "proc", "sys", "dev", "wicket"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::set_permissions(root.join("tmp"), PermissionsExt::from_mode(0o1777))?;
    let found = ["bin/busybox", "usr/bin/busybox"].map(|path| package.path().join(path));
    let busybox = found.iter().find(|path| path.exists()).context("the package has no busybox")?;
    fs::copy(busybox, root.join("bin/busybox"))?;
    let tools = run::answer(Command::new(busybox).arg("--list"))?;
    for tool in tools.lines().filter(|tool| *tool != "busybox") {
        symlink("busybox", root.join("bin").join(tool))?;
    }
    Ok(())
}

/// Unpacks the wheels of a folder into another, and tells how many there were.
fn unzipped(wheels: &Path, into: &Path) -> anyhow::Result<usize> {
    let mut n_wheels = 0;
    for wheel in wheels.read_dir()? {
        run::quietly(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel?.path()).arg(into))?;
        n_wheels += 1;
    }
    Ok(n_wheels)
}

fn packed(root: &Path, tar: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(tar.parent().context("a file lies in a folder")?)?;
    let beside = tar.with_extension("new");
    let mut packer = Command::new("tar");
    packer
        .args(["--owner=0", "--group=0", "--numeric-owner", "-C"])
        .arg(root)
        .arg("-cf")
        .arg(&beside)
        .arg(".");
    run::run(&mut packer)?;
    fs::rename(&beside, tar).with_context(|| format!("cannot write {}", tar.display()))
}
