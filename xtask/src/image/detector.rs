//! The image of `functions/object-detector/detect.py`: this distribution's Python, the packages that the script imports,
//! and the model.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use sha2::{Digest as _, Sha256};

use super::{busybox, packed, unzipped};
use crate::python::{Python, Wheel};
use crate::{apt, run};

/// Is another whenever this code makes another image of the same things.
const EDITION: &str = "1";
/// What `functions/multimedia.yaml` gives the wasm variant.
const MODEL: &str = "target/models/centernet.onnx";
const LABELS: &str = "functions/models/labels/coco.txt";
/// Python with what numpy imports; `{}` is its version. The first one tells that.
const DEBS: [&str; 10] = [
    "python3-minimal",
    "python{}-minimal",
    "libpython{}-minimal",
    "libpython{}-stdlib",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "libexpat1",
    "libffi8",
    "zlib1g",
];
/// What packages have that no inference needs; the library is for C, Python's module has its own.
const NOT_WANTED: [&str; 5] = [
    "onnxruntime/capi/libonnxruntime.so.*",
    "onnxruntime/transformers",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/backend",
];

/// Whether the model was fetched.
pub(crate) fn has_model() -> bool {
    run::root().join(MODEL).exists()
}

/// What Python needs, in the repository.
fn requirements(gpu: bool) -> PathBuf {
    let name = if gpu { "requirements-gpu.txt" } else { "requirements.txt" };
    run::root().join("functions/object-detector").join(name)
}

/// Of all that the image is made of, but for Debian's packages, whose versions go with the distribution.
pub(super) fn digest(gpu: bool) -> anyhow::Result<String> {
    let mut hasher = Sha256::new_with_prefix(EDITION);
    for file in [requirements(gpu), run::root().join(MODEL), run::root().join(LABELS)] {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        hasher.update(Sha256::digest(bytes));
    }
    Ok(hex::encode(&hasher.finalize()[..8]))
}

/// Its root file system, as a tar.
pub(super) fn detector(tar: &Path, gpu: bool) -> anyhow::Result<()> {
    let work = tempfile::tempdir().context("cannot make a folder")?;
    let (root, wheels) = (work.path().join("root"), work.path().join("wheels"));
    busybox(&root)?;
    let version = debian(&root).context("cannot get Python (Debian: python3-minimal)")?;
    let arch = std::env::consts::ARCH;
    let platform = ["manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014"];
    let platform = platform.map(|name| format!("{name}_{arch}")).join(" ");
    let wheel =
        Wheel { python: &version, abi: &format!("cp{}", version.replace('.', "")), platform: &platform };
    Python::find(6)?
        .download(&requirements(gpu), &wheel, &wheels)
        .with_context(|| format!("cannot have ONNX Runtime for Python {version} on {arch} from PyPI"))?;
    let packages = root.join("usr/lib/python3/dist-packages");
    unzipped(&wheels, &packages)?;
    clear(&packages)?;
    compile(&root, &version)?;
    let models = root.join("models");
    fs::create_dir(&models)?;
    fs::copy(run::root().join(MODEL), models.join("objects.onnx"))?;
    fs::copy(run::root().join(LABELS), models.join("coco.txt"))?;
    packed(&root, tar)
}

/// Unpacks Debian's Python, and tells its version: `3.11`.
fn debian(root: &Path) -> anyhow::Result<String> {
    let cache = run::cache()?.join("debs");
    let mut version = String::new();
    for deb in DEBS {
        apt::unpack(&apt::fetch(&deb.replace("{}", &version), &cache)?, None, root)?;
        if version.is_empty() {
            let link =
                fs::read_link(root.join("usr/bin/python3")).context("python3-minimal has no python3")?;
            let name = link.to_string_lossy().into_owned();
            version = name.strip_prefix("python").context("python3 is no link to a version")?.to_owned();
        }
    }
    // Newer distributions have these in /usr alone.
    for folder in ["lib", "lib64"] {
        if !root.join(folder).exists() && root.join("usr").join(folder).exists() {
            symlink(Path::new("usr").join(folder), root.join(folder))?;
        }
    }
    for folder in [
        "usr/share/doc",
        "usr/share/lintian",
        "usr/share/man",
        "usr/share/gcc",
        "usr/lib/python3/dist-packages",
    ] {
        let _was_not_there = fs::remove_dir_all(root.join(folder));
    }
    Ok(version)
}

/// Takes away what the script does not import.
fn clear(packages: &Path) -> anyhow::Result<()> {
    let mut find = Command::new("find");
    find.arg(packages).args(["-depth", "("]);
    find.args(["-type", "d", "-name", "tests", "-o", "-name", "*.pyi"]);
    for path in NOT_WANTED {
        find.arg("-o").arg("-path").arg(packages.join(path));
    }
    run::quietly(find.args([")", "-exec", "rm", "-rf", "{}", "+"])).map(drop)
}

/// Compiles Python's files by the Python of the image: nobody may write there later on, and each job would do it again.
fn compile(root: &Path, version: &str) -> anyhow::Result<()> {
    let loader = root.join("lib64").read_dir()?.flatten().map(|entry| entry.path());
    let is_loader = |path: &PathBuf| path.to_string_lossy().contains("/ld-linux");
    let loader = loader.into_iter().find(is_loader).context("the C library has no loader")?;
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let libraries = ["lib", "usr/lib"].map(|folder| root.join(folder).join(&triple));
    let mut python = Command::new(loader);
    python.arg("--library-path").arg(std::env::join_paths(libraries)?);
    python.arg(root.join(format!("usr/bin/python{version}"))).env("PYTHONHOME", root.join("usr"));
    // Neither dates nor the folder that it lies in now matter later on.
    python.args(["-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s"]).arg(root);
    python.args(["usr/lib/python3", &format!("usr/lib/python{version}")].map(|folder| root.join(folder)));
    let compiled = run::answer(&mut python)?;
    ensure!(compiled.is_empty(), "Python cannot compile its packages: {compiled}");
    Ok(())
}
