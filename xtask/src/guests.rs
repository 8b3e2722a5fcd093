//! Builds functions/, tests/guests/ and benches/guest/ into target/guests/NAME.wasm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Context;

use crate::toolchain::Toolchain;
use crate::{run, say};

/// What to do with the guests.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Check them with clippy, warnings denied, instead of building them.
    #[arg(long)]
    pub(crate) lint: bool,
}

/// Folders with guests.
const WORKSPACES: [&str; 3] = ["functions", "tests/guests", "benches/guest"];

/// A command that is built for preview 1.
struct Preview1 {
    workspace: &'static str,
    package: &'static str,
    program: &'static str,
    /// Behind its name; none where there is no other build of it.
    suffix: &'static str,
}

/// `split` says by its exit status what it declines, and a command of WASI 0.2 has the statuses 0 and 1 only. `classify`
/// shows that a function of others, with the bindings of preview 1, has its models here too.
const PREVIEW1: [Preview1; 3] = [
    Preview1 { workspace: "tests/guests", package: "commands", program: "echo", suffix: "-p1" },
    Preview1 { workspace: "functions", package: "split", program: "split", suffix: "" },
    Preview1 { workspace: "functions", package: "classify", program: "classify", suffix: "" },
];

/// Builds all guests.
pub(crate) fn build(options: &Options) -> anyhow::Result<()> {
    let toolchain = Toolchain::ready()?;
    say::line(&toolchain.to_string());
    if options.lint {
        return lint(&toolchain);
    }
    let start = Instant::now();
    let into = run::root().join("target/guests");
    fs::create_dir_all(&into).with_context(|| format!("cannot make {}", into.display()))?;
    let (mut all, mut new) = (0, 0);
    for workspace in WORKSPACES {
        let mut cargo = toolchain.cargo(&run::root().join(workspace));
        cargo.args(["build", "--release", "--locked", "--target", "wasm32-wasip2", "--workspace"]);
        let others = PREVIEW1.iter().filter(|one| one.workspace == workspace && one.suffix.is_empty());
        for one in others {
            cargo.args(["--exclude", one.package]);
        }
        for module in modules(&mut cargo)? {
            all += 1;
            new += usize::from(publish(&module, &into, "")?);
        }
    }
    for one in PREVIEW1 {
        let mut cargo = toolchain.cargo(&run::root().join(one.workspace));
        cargo.args(["build", "--release", "--locked", "--target", "wasm32-wasip1"]);
        for module in modules(cargo.args(["-p", one.package, "--bin", one.program]))? {
            all += 1;
            new += usize::from(publish(&module, &into, one.suffix)?);
        }
    }
    let took = start.elapsed().as_secs_f64();
    say::line(&format!("guests: {all} in {}, {new} of them new, {took:.1} s", into.display()));
    Ok(())
}

fn lint(toolchain: &Toolchain) -> anyhow::Result<()> {
    if matches!(toolchain, Toolchain::Prebuilt { .. }) {
        say::line("guests: Debian's rustc comes without clippy: not checked");
        return Ok(());
    }
    for workspace in WORKSPACES {
        let dir = run::root().join(workspace);
        // Clippy is a program of its own: cargo hands it only what stands behind its name.
        let mut cargo = run::cargo(&dir);
        cargo.env_remove("RUSTFLAGS").arg("clippy").args(toolchain.cargo(&dir).get_args());
        cargo.args(["--locked", "--target", "wasm32-wasip2", "--", "-D", "warnings"]);
        run::run(&mut cargo)?;
    }
    Ok(())
}

/// Runs cargo, and tells the modules it made.
fn modules(cargo: &mut Command) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = run::made(cargo).context("the guests could not be built")?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wasm"));
    Ok(files)
}

/// Puts a module where tests and people find it, in one step; whether it is another one than before.
fn publish(module: &Path, into: &Path, suffix: &str) -> anyhow::Result<bool> {
    let name = module.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
    let target = into.join(format!("{name}{suffix}.wasm"));
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    if fs::read(&target).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    let part = into.join(format!("{name}{suffix}.part"));
    fs::write(&part, bytes).and_then(|()| fs::rename(&part, &target))?;
    Ok(true)
}
