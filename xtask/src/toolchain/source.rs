//! std for guests, built from Debian's `rust-src` of exactly rustc's version, with Debian's `wasi-libc`, into a
//! sysroot of our own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::TARGETS;
use super::rustc::{Rustc, has_std};
use crate::apt::{self, SUITES, Suite};
use crate::{run, say};

/// The sysroot that was made for this rustc, if one was.
pub(super) fn present(rustc: &Rustc, cache: &Path) -> anyhow::Result<Option<PathBuf>> {
    let sysroot = place(rustc, cache);
    if !TARGETS.iter().all(|target| has_std(&sysroot, target)) {
        return Ok(None);
    }
    // The rest is rustc's own; it may have moved meanwhile.
    link(&rustc.rustlib(), &sysroot.join("lib/rustlib").join(&rustc.host))?;
    link(&rustc.sysroot.join("bin"), &sysroot.join("bin"))?;
    Ok(Some(sysroot))
}

/// The sysroot, made first where it is missing.
pub(super) fn sysroot(rustc: &Rustc, cache: &Path) -> anyhow::Result<PathBuf> {
    if let Some(sysroot) = present(rustc, cache)? {
        return Ok(sysroot);
    }
    if !rustc.rustlib().join("bin/wasm-component-ld").is_file() {
        bail!("this rustc comes without wasm-component-ld; rustup's has it");
    }
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    // Two who set up at once do not meet, and what breaks off leaves nothing behind.
    let work = tempfile::tempdir_in(cache).context("cannot make a folder in the cache")?;
    let made = make(rustc, work.path())?;
    let target = place(rustc, cache);
    fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
    match fs::rename(&made, target.join("lib")) {
        Ok(()) => {}
        Err(_) if target.join("lib").exists() => {}
        Err(error) => return Err(error).with_context(|| format!("cannot move std to {}", target.display())),
    }
    present(rustc, cache)?.context("the sysroot was made and is not complete")
}

fn place(rustc: &Rustc, cache: &Path) -> PathBuf {
    cache.join(rustc.fingerprint()).join("sysroot")
}

fn link(to: &Path, at: &Path) -> anyhow::Result<()> {
    if fs::read_link(at).is_ok_and(|there| there == to) {
        return Ok(());
    }
    let _was_not_there = fs::remove_file(at);
    std::os::unix::fs::symlink(to, at).with_context(|| format!("cannot link {}", at.display()))
}

/// Makes the sysroot's `lib` in a working folder.
fn make(rustc: &Rustc, work: &Path) -> anyhow::Result<PathBuf> {
    let debs = say::step(
        &format!("guests: fetching rust-src {} and wasi-libc from Debian (46 MB)", rustc.version),
        || fetch(rustc, work),
    )?;
    say::step("guests: building std for them, once (1 to 2 minutes)", || {
        for deb in &debs {
            let name = deb.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let pattern = name.starts_with("rust-src").then_some("./usr/src/rustc-*/library/*");
            apt::unpack(deb, pattern, &work.join("unpacked"))?;
        }
        build(rustc, work)?;
        let lib = work.join("lib");
        for target in TARGETS {
            collect(work, target, &lib.join("rustlib").join(target).join("lib"))?;
        }
        Ok(lib)
    })
}

fn fetch(rustc: &Rustc, work: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut tried = Vec::new();
    for name in SUITES {
        let suite = match Suite::open(name, &work.join("apt")) {
            Ok(suite) => suite,
            Err(error) => {
                tried.push(format!("{name}: {error:#}"));
                continue;
            }
        };
        let wanted = format!("{}+", rustc.version);
        let versions = suite.versions("rust-src")?;
        match versions.iter().find(|version| version.starts_with(&wanted)) {
            Some(version) => {
                say::line(&format!("    {name} has {version}"));
                let packages = [format!("rust-src={version}"), "wasi-libc".to_owned()];
                return suite.download(&packages, &work.join("debs"));
            }
            None => tried.push(format!("{name}: has {}", versions.join(", "))),
        }
    }
    bail!("no suite of Debian has rust-src {} ({})", rustc.version, tried.join("; "))
}

fn build(rustc: &Rustc, work: &Path) -> anyhow::Result<()> {
    let sources = work.join("unpacked/usr/src").join(format!("rustc-{}", rustc.version)).join("library");
    if !sources.is_dir() {
        bail!("rust-src has no {}", sources.display());
    }
    let stub = work.join("stub");
    fs::create_dir_all(&stub)?;
    let manifest = "[package]\nname = \"stub\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n";
    fs::write(stub.join("Cargo.toml"), manifest)?;
    fs::write(stub.join("lib.rs"), "")?;
    let mut cargo = run::cargo(&stub);
    cargo
        .args(["build", "--quiet", "--release", "-Zbuild-std=std,panic_abort,test"])
        .args(TARGETS.iter().flat_map(|target| ["--target", target]))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", &sources)
        // As rustc's own std is built: bitcode for LTO, and its private parts stay private.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes -Cdebuginfo=0 -Zforce-unstable-if-unmarked")
        .env("CARGO_TARGET_DIR", work.join("target"))
        .env("CARGO_INCREMENTAL", "0");
    run::quietly(&mut cargo).map(drop)
}

/// The libraries of one target, as they lie in a sysroot.
fn collect(work: &Path, target: &str, lib: &Path) -> anyhow::Result<()> {
    let alone = lib.join("self-contained");
    fs::create_dir_all(&alone)?;
    for entry in work.join("target").join(target).join("release/deps").read_dir()? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".rlib") && !name.starts_with("libstub-") {
            fs::copy(&path, lib.join(&*name))?;
        }
    }
    let libc = if target == "wasm32-wasip1" { "wasm32-wasi" } else { target };
    let libc = work.join("unpacked/usr/lib").join(libc);
    for file in ["crt1-command.o", "crt1-reactor.o", "libc.a"] {
        let from = libc.join(file);
        fs::copy(&from, alone.join(file)).with_context(|| format!("wasi-libc has no {}", from.display()))?;
    }
    Ok(())
}
