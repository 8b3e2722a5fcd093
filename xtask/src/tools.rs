//! What the stories talk to and with (boto3, rclone, SeaweedFS, and moto for AWS Batch), and OSCAR's supervisor, that they
//! hold ours beside: pinned in `tests/*requirements.txt`, in the cache folder. Links in `target` lead there.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::python::Python;
use crate::{run, say};

/// The oldest Python that boto3 runs on.
const PYTHON: u32 = 10;

/// Packages of one file of pins.
struct Tools {
    /// The file, below `tests/`.
    requirements: &'static str,
    /// Where the stories find them, below `target/`.
    link: &'static str,
    what: &'static str,
    size: &'static str,
}

const ALL: [Tools; 2] = [
    Tools {
        requirements: "requirements.txt",
        link: "tools",
        what: "boto3, rclone, SeaweedFS and moto",
        size: "104 MB; 10 to 90 s",
    },
    Tools {
        requirements: "oracle-requirements.txt",
        link: "oracle",
        what: "OSCAR's supervisor",
        size: "1 MB; some seconds",
    },
];

/// Makes sure that they are there.
pub(crate) fn ready() -> anyhow::Result<()> {
    ALL.iter().try_for_each(Tools::ready)
}

impl Tools {
    fn ready(&self) -> anyhow::Result<()> {
        let requirements = run::root().join("tests").join(self.requirements);
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
                Python::find(PYTHON)?.install(&requirements, &made)?;
                fs::rename(&made, &tools).with_context(|| format!("cannot move it to {}", tools.display()))
            })
            .context("the stories need it; is there a way to the package index?")?;
        }
        say::line(&format!("    {} in {}", self.what, tools.display()));
        link(&tools, &run::root().join("target").join(self.link))
    }
}

fn link(to: &Path, at: &Path) -> anyhow::Result<()> {
    if fs::read_link(at).is_ok_and(|there| there == to) {
        return Ok(());
    }
    fs::create_dir_all(at.parent().context("a link lies in a folder")?)?;
    let _was_not_there = fs::remove_file(at);
    symlink(to, at).with_context(|| format!("cannot link {}", at.display()))
}
