//! Where Debian has no `rust-src` of rustc's version any more: Debian's newest rustc with its prebuilt std for wasm,
//! unpacked into the cache folder and started through its own loader. Nothing is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::rustc::{Rustc, has_std};
use super::{TARGETS, Toolchain};
use crate::apt::{self, Suite};
use crate::say;

const SUITES: [&str; 2] = ["forky", "sid"];

/// What was unpacked before, if it was.
pub(super) fn present(rustc: &Rustc, cache: &Path) -> anyhow::Result<Option<Toolchain>> {
    let root = cache.join("debian");
    if !TARGETS.iter().all(|target| has_std(&root.join("usr"), target)) {
        return Ok(None);
    }
    // Written each time: the cache may have been moved.
    let wrapper = root.join("rustc");
    let text = wrapper_text(&root)?;
    if fs::read_to_string(&wrapper).is_ok_and(|there| there == text) {
        return Ok(Some(toolchain(rustc, wrapper)));
    }
    fs::write(&wrapper, text)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    Ok(Some(toolchain(rustc, wrapper)))
}

/// Debian's rustc, unpacked first where it is missing.
pub(super) fn rustc(rustc: &Rustc, cache: &Path) -> anyhow::Result<Toolchain> {
    if let Some(there) = present(rustc, cache)? {
        return Ok(there);
    }
    if !rustc.rustlib().join("bin/wasm-component-ld").is_file() {
        bail!("this rustc comes without wasm-component-ld; rustup's has it");
    }
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let work = tempfile::tempdir_in(cache).context("cannot make a folder in the cache")?;
    let debs = say::step("guests: fetching Debian's rustc and std for wasm (207 MB)", || fetch(work.path()))?;
    let root = work.path().join("debian");
    say::step("guests: unpacking them (850 MB)", || {
        debs.iter().try_for_each(|deb| apt::unpack(deb, None, &root))?;
        add_libc(&root)
    })?;
    let target = cache.join("debian");
    match fs::rename(&root, &target) {
        Ok(()) => {}
        Err(_) if target.exists() => {}
        Err(error) => return Err(error).with_context(|| format!("cannot move it to {}", target.display())),
    }
    present(rustc, cache)?.context("Debian's packages have no std for wasm where it was expected")
}

fn toolchain(rustc: &Rustc, wrapper: PathBuf) -> Toolchain {
    // The linkers for wasm are those of the machine's rustc.
    let bin = rustc.rustlib().join("bin");
    Toolchain::Prebuilt { rustc: wrapper, path: vec![bin.join("gcc-ld"), bin] }
}

fn fetch(work: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut tried = Vec::new();
    for name in SUITES {
        match fetch_from(name, work) {
            Ok(debs) => return Ok(debs),
            Err(error) => tried.push(format!("{name}: {error:#}")),
        }
    }
    bail!("no suite of Debian has it: {}", tried.join("; "))
}

fn fetch_from(name: &str, work: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let suite = Suite::open(name, &work.join("apt"))?;
    // `rustc` itself wants a C compiler for the host, which is here: it comes without what it depends on.
    let mut packages = suite.with_dependencies(&["libstd-rust-dev", "libstd-rust-dev-wasm32"])?;
    packages.extend(["rustc", "wasi-libc"].map(str::to_owned));
    suite.download(&packages, &work.join("debs").join(name))
}

/// Debian keeps libc apart from std.
fn add_libc(root: &Path) -> anyhow::Result<()> {
    for target in TARGETS {
        let libc = if target == "wasm32-wasip1" { "wasm32-wasi" } else { target };
        let libc = root.join("usr/lib").join(libc);
        let alone = root.join("usr/lib/rustlib").join(target).join("lib/self-contained");
        fs::create_dir_all(&alone)?;
        for file in ["crt1-command.o", "crt1-reactor.o", "libc.a"] {
            let from = libc.join(file);
            if !alone.join(file).exists() {
                fs::copy(&from, alone.join(file))
                    .with_context(|| format!("wasi-libc has no {}", from.display()))?;
            }
        }
    }
    Ok(())
}

/// Starts it with its own libraries: those of the machine may be too old for it.
fn wrapper_text(root: &Path) -> anyhow::Result<String> {
    let lib = root.join("usr/lib");
    let (loader, libraries) =
        [("x86_64-linux-gnu", "ld-linux-x86-64.so.2"), ("aarch64-linux-gnu", "ld-linux-aarch64.so.1")]
            .into_iter()
            .map(|(triple, loader)| (lib.join(triple).join(loader), lib.join(triple)))
            .find(|(loader, _)| loader.is_file())
            .context("Debian's libc6 has no loader where it was expected")?;
    Ok(format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' --argv0 rustc '{root}/usr/bin/rustc' --sysroot '{root}/usr' \"$@\"\n",
        loader.display(),
        libraries.display(),
        root = root.display()
    ))
}
