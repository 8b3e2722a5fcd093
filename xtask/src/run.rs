//! Other programs.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ is in the repository")
}

/// An environment variable.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty())
}

/// The cargo that started us, without what it set for us and would mislead another: in a folder.
pub(crate) fn cargo(dir: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(dir).env_remove("CARGO_ENCODED_RUSTFLAGS");
    for (name, _) in std::env::vars_os() {
        let theirs =
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR");
        if theirs {
            command.env_remove(name);
        }
    }
    command
}

/// What this machine's programs are compiled for.
pub(crate) fn host_triple() -> anyhow::Result<String> {
    let about = answer(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` does not tell its host")
}

/// Whether there is such a program.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// The cache folder of this project.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let base = match (variable("XDG_CACHE_HOME"), variable("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => Path::new(&home).join(".cache"),
        (None, None) => bail!("neither XDG_CACHE_HOME nor HOME is set: where may the cache be?"),
    };
    let cache = base.join("wicketgate");
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    Ok(cache)
}

/// Runs it to its end; it must succeed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    match status.success() {
        true => Ok(()),
        false => bail!("{} failed: {status}", shown(command)),
    }
}

/// Runs a `cargo build`, and tells the files that it made or found made.
pub(crate) fn made(cargo: &mut Command) -> anyhow::Result<Vec<PathBuf>> {
    cargo.args(["--message-format", "json-render-diagnostics"]).stdout(Stdio::piped());
    let mut child = cargo.spawn().context("cannot start cargo")?;
    let mut files = Vec::new();
    let stdout = child.stdout.take().context("cargo has no output")?;
    for line in BufReader::new(stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(&line?).unwrap_or_default();
        let named = message["filenames"].as_array().into_iter().flatten().filter_map(|file| file.as_str());
        files.extend(named.map(PathBuf::from));
    }
    match child.wait()?.success() {
        true => Ok(files),
        false => bail!("{} failed", shown(cargo)),
    }
}

/// Runs it quietly; it must succeed, and what it said is in the error if it did not.
pub(crate) fn quietly(command: &mut Command) -> anyhow::Result<Output> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", shown(command)))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("{} failed: {}\n{}", shown(command), output.status, said.trim_end())
}

/// What it answers on stdout.
pub(crate) fn answer(command: &mut Command) -> anyhow::Result<String> {
    Ok(String::from_utf8_lossy(&quietly(command)?.stdout).trim_end().to_owned())
}

/// Runs it for at most so long; whether it succeeded.
pub(crate) fn within(limit: Duration, command: &mut Command) -> bool {
    let Ok(mut child) = command.stdin(Stdio::null()).spawn() else { return false };
    let end = Instant::now() + limit;
    while Instant::now() < end {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => pause(Duration::from_millis(50)),
            Err(_) => break,
        }
    }
    // It is given up either way.
    let _gone = child.kill().and_then(|()| child.wait());
    false
}

/// Waits a moment, between two looks at something outside.
pub(crate) fn pause(moment: Duration) {
    let (_kept, never) = mpsc::channel::<()>();
    let _times_out = never.recv_timeout(moment);
}

/// Text as a part of a URL's query.
pub(crate) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut shown = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    for arg in command.get_args().take(6) {
        shown.push(' ');
        shown.push_str(&arg.to_string_lossy());
    }
    shown
}
