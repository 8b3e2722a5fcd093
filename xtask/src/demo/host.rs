//! A host on free ports, and `wicket` against it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::run;

/// How long a host may take to end.
const END: Duration = Duration::from_secs(45);
/// Lines of its log that are shown when it fails.
const LAST: usize = 15;

/// A running host. Killed when dropped.
#[derive(Debug)]
pub(super) struct Host {
    program: PathBuf,
    data: PathBuf,
    log: PathBuf,
    child: Child,
    /// Base URL of HTTP triggers and API.
    pub(super) http: String,
    /// Base URL of the buckets.
    pub(super) s3: String,
}

#[derive(Deserialize)]
struct Addresses {
    http: String,
    s3: String,
}

impl Host {
    /// Starts one in a folder: `data` below it is its data folder, `host.log` its log. It
    /// runs containers on the engine at a socket, and models by a library of ONNX Runtime.
    pub(super) fn start(
        program: &Path,
        folder: &Path,
        engine: Option<&Path>,
        library: &Path,
    ) -> anyhow::Result<Self> {
        let (data, log) = (folder.join("data"), folder.join("host.log"));
        // The defaults, whatever the user has configured for a host of their own.
        let config = folder.join("wicket.toml");
        let docker = engine.map(|socket| format!("[docker]\nsocket = {:?}\n", socket.display().to_string()));
        let inference = format!("[inference]\nonnxruntime = {:?}\n", library.display().to_string());
        fs::write(&config, docker.unwrap_or_default() + &inference)
            .with_context(|| format!("cannot write {}", config.display()))?;
        let stderr = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = plain(program);
        command.args([
            "serve",
            "--json",
            "--listen",
            "127.0.0.1:0",
            "--s3-listen",
            "127.0.0.1:0",
            "--config",
        ]);
        command.arg(&config).arg("--data").arg(&data);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = child.stdout.take().context("the host has no output")?;
        let mut line = String::new();
        // It says one line when it is ready, or ends.
        let read = BufReader::new(stdout).read_line(&mut line);
        let (http, s3) = (String::new(), String::new());
        let mut host = Self { program: program.to_owned(), data, log, child, http, s3 };
        match (read, serde_json::from_str::<Addresses>(&line)) {
            (Ok(_), Ok(addresses)) => (host.http, host.s3) = (addresses.http, addresses.s3),
            _ => bail!("the host did not start:\n{}", host.last_words()),
        }
        Ok(host)
    }

    /// Runs `wicket`; what it prints.
    pub(super) fn wicket(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.output(args)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "wicket {}: {}\n{}\nthe host said:\n{}",
            args.join(" "),
            output.status,
            said.trim_end(),
            self.last_words()
        )
    }

    fn output(&self, args: &[&str]) -> anyhow::Result<Output> {
        let mut command = plain(&self.program);
        command.args(args).env("WICKET_DATA", &self.data).stdin(Stdio::null());
        command.output().with_context(|| format!("cannot start {}", self.program.display()))
    }

    /// The last lines of its log.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST)..].join("\n")
    }

    /// Waits until somebody ends it.
    pub(super) fn wait(&mut self) -> anyhow::Result<()> {
        self.child.wait().map(drop).context("cannot wait for the host")
    }

    /// Tells it to end, and waits until it has.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let pid =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process has an id")?;
        kill_process(pid, Signal::TERM).context("cannot signal the host")?;
        let end = Instant::now() + END;
        while Instant::now() < end {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the host ended with {status}:\n{}", self.last_words()),
                None => run::pause(Duration::from_millis(20)),
            }
        }
        bail!("the host did not end within {} s:\n{}", END.as_secs(), self.last_words())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It has ended already, or is not wanted any more.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// `wicket` without what the user's environment says of another host.
fn plain(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("WICKET_") && name != "WICKET_LOG") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1");
    command
}
