//! The program that stands beside a function in a batch job: one static file, for images of any libc and of none.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::{run, say};

/// Builds it into target/supervisor/wicket-supervisor.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let host = run::host_triple()?;
    // A folder of its own: other flags would have all else built again.
    let target = run::root().join("target/supervisor-build");
    let mut cargo = run::cargo(run::root());
    cargo
        .args([
            "build",
            "--locked",
            "--release",
            "--package",
            "wicket-supervisor",
            "--bin",
            "wicket-supervisor",
        ])
        .args(["--target", &host])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static -C strip=symbols")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort");
    run::run(&mut cargo)?;
    let made = target.join(&host).join("release/wicket-supervisor");
    let program = fs::read(&made).with_context(|| format!("cannot read {}", made.display()))?;
    if has_interpreter(&program) {
        bail!("{} is not static: it would need the C library of the image", made.display());
    }
    let folder = run::root().join("target/supervisor");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (new, at) = (folder.join("new"), folder.join("wicket-supervisor"));
    fs::copy(&made, &new)?;
    fs::rename(&new, &at).with_context(|| format!("cannot write {}", at.display()))?;
    say::line(&format!("    {} ({} KiB, static)", at.display(), program.len() / 1024));
    Ok(at)
}

/// Whether a program (ELF of 64 bits, this machine's order of bytes) asks for a loader.
fn has_interpreter(program: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = program.get(at..at + size)?;
        let mut whole = [0; 8];
        whole[..size].copy_from_slice(bytes);
        Some(u64::from_le_bytes(whole))
    };
    let headers = || {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let kinds = (0..count).filter_map(|idx| number(usize::try_from(start + idx * size).ok()?, 4));
        Some(kinds.into_iter().any(|kind| kind == u64::from(INTERPRETER)))
    };
    headers().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::has_interpreter;

    #[test]
    fn this_test_is_not_static_and_what_is_no_program_is_refused() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(has_interpreter(&own));
        assert!(has_interpreter(b"#!/bin/sh\n"));
    }
}
