//! What the stories talk to and with (boto3, rclone, SeaweedFS, and moto for AWS Batch), OSCAR's supervisor and Python's
//! inference, that they hold ours beside, and ONNX Runtime's library: pinned in `*requirements.txt`, in the cache folder.
//! Links in `target` lead there.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

use crate::python::Python;
use crate::{run, say};

/// Packages of one file of pins.
pub(crate) struct Tools {
    /// The file, in the repository.
    requirements: &'static str,
    /// Where they are found, below `target/`.
    link: &'static str,
    what: &'static str,
    size: &'static str,
    /// The oldest Python that they run on (3.x).
    python: u32,
}

const STORIES: [Tools; 2] = [
    Tools {
        requirements: "tests/requirements.txt",
        link: "tools",
        what: "boto3, rclone, SeaweedFS and moto",
        size: "104 MB; 10 to 90 s",
        python: 10,
    },
    Tools {
        requirements: "tests/oracle-requirements.txt",
        link: "oracle",
        what: "OSCAR's supervisor",
        size: "1 MB; some seconds",
        python: 10,
    },
];

const INFERENCE: Tools = Tools {
    requirements: "tests/inference-requirements.txt",
    link: "inference-tools",
    what: "ONNX Runtime, OpenCV and a client of the Open Inference Protocol",
    size: "123 MB; 20 to 120 s",
    python: 11,
};

/// What makes ONNX files of the models' packages.
pub(crate) const CONVERTERS: Tools = Tools {
    requirements: "functions/models/requirements.txt",
    link: "model-tools",
    what: "what writes ONNX files",
    size: "33 MB; 5 to 30 s",
    python: 11,
};

/// The library in its package, and where the host's tests find it, below `target/`.
const LIBRARY: (&str, &str) = ("onnxruntime/capi/libonnxruntime.so.1.32.0", "onnxruntime/libonnxruntime.so");

/// Makes sure that they are there.
pub(crate) fn ready() -> anyhow::Result<()> {
    for tools in &STORIES {
        tools.ready()?;
    }
    onnxruntime().map(drop)
}

/// Makes sure that ONNX Runtime is there, for Python and as a library; tells where its packages are.
pub(crate) fn onnxruntime() -> anyhow::Result<PathBuf> {
    let tools = INFERENCE.ready()?;
    let library = tools.join(LIBRARY.0);
    ensure!(library.is_file(), "onnxruntime has no library where it was expected ({})", library.display());
    link(&library, &run::root().join("target").join(LIBRARY.1))?;
    Ok(tools)
}

impl Tools {
    /// Makes sure that they are there, and tells where.
    pub(crate) fn ready(&self) -> anyhow::Result<PathBuf> {
        let requirements = run::root().join(self.requirements);
        let pinned =
            fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
        let cache = run::cache()?.join("test-tools");
        fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
        // Other pins are another folder: a branch of yesterday finds its own.
        let tools = cache.join(hex::encode(&Sha256::digest(&pinned)[..8]));
        // Two who set up at once: the second one waits, and finds it done.
        let lock = File::create(cache.join("lock")).context("cannot write to the cache folder")?;
        lock.lock().context("cannot lock the cache folder")?;
        if !tools.is_dir() {
            let what = format!("{}: fetching from PyPI ({})", self.what, self.size);
            say::step(&what, || {
                let work = tempfile::tempdir_in(&cache).context("cannot make a folder in the cache")?;
                let made = work.path().join("tools");
                Python::find(self.python)?.install(&requirements, &made)?;
                fs::rename(&made, &tools).with_context(|| format!("cannot move it to {}", tools.display()))
            })
            .context("it could not be had; is there a way to the package index?")?;
        }
        say::line(&format!("    {} in {}", self.what, tools.display()));
        link(&tools, &run::root().join("target").join(self.link))?;
        Ok(tools)
    }
}

/// Makes a link, in place of the one that was there.
pub(crate) fn link(to: &Path, at: &Path) -> anyhow::Result<()> {
    if fs::read_link(at).is_ok_and(|there| there == to) {
        return Ok(());
    }
    fs::create_dir_all(at.parent().context("a link lies in a folder")?)?;
    let _was_not_there = fs::remove_file(at);
    symlink(to, at).with_context(|| format!("cannot link {}", at.display()))
}
