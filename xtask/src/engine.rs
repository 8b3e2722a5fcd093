//! The container engine of the stories: this machine's own where one answers, else a `dockerd` of Debian's, unpacked
//! into the cache folder and run in folders of its own. Nothing is installed, and no network of the system's changes.

pub(crate) mod http;

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::{apt, image, run, say};

/// How long it may take to answer.
const START: Duration = Duration::from_secs(60);
/// The engine, what it calls, and a library that a bare machine lacks.
const PACKAGES: [&str; 4] = ["docker.io", "containerd", "runc", "libdevmapper1.02.1"];

/// An engine that answers. One that was started ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Where it answers.
    pub(crate) socket: PathBuf,
    started: Option<(Child, tempfile::TempDir)>,
}

/// What the stories are told of it.
fn told() -> PathBuf {
    run::root().join("target/engine")
}

/// This machine's own engine, or one that is started (which only root can).
pub(crate) fn find() -> anyhow::Result<Engine> {
    let own = own_socket();
    let Err(error) = UnixStream::connect(&own) else {
        return Ok(Engine { socket: own, started: None });
    };
    if rustix::process::geteuid().is_root() {
        let (socket, child, data) = start()?;
        return Ok(Engine { socket, started: Some((child, data)) });
    }
    bail!(
        "no container engine answers at {} ({error}), and only root can start one: install one (Debian: `apt-get install \
         docker.io`) and let your user reach it, or run this as root",
        own.display()
    )
}

/// Makes sure that there is an engine, and the images of the stories.
pub(crate) fn ready() -> anyhow::Result<Engine> {
    let folder = told();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    image::of_the_stories(&folder.join("image.tar"))?;
    let engine = find()?;
    image::make(image::Image::Ffmpeg, &engine.socket)?;
    match image::has_model() {
        true => image::make(image::Image::Detector, &engine.socket)?,
        false => say::line(
            "    no image for the story of the detector: `cargo xtask models` fetches its model first",
        ),
    }
    if rustix::process::geteuid().is_root() {
        tell_daemon()?;
    }
    fs::write(folder.join("socket"), engine.socket.display().to_string())?;
    say::line(&format!("    a container engine answers at {}", engine.socket.display()));
    Ok(engine)
}

/// Keeps one until somebody presses Ctrl-C, or ends the input.
pub(crate) fn keep() -> anyhow::Result<()> {
    let engine = ready()?;
    say::line("    for `cargo nextest run` in another terminal; Ctrl-C ends it");
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line)? > 0 {}
    drop(engine);
    Ok(())
}

/// Where this machine's own engine answers, if it does.
pub(crate) fn own_socket() -> PathBuf {
    let named =
        run::variable("DOCKER_HOST").and_then(|host| Some(PathBuf::from(host.strip_prefix("unix://")?)));
    named.unwrap_or_else(|| PathBuf::from("/var/run/docker.sock"))
}

/// Debian's engine, where the machine has none of its own.
fn daemon() -> anyhow::Result<Option<PathBuf>> {
    let own = run::has("dockerd") && run::has("containerd") && run::has("runc");
    if own { Ok(None) } else { unpacked().map(Some) }
}

/// For stories that start an engine of their own: where it and its libraries are found, a line each.
fn tell_daemon() -> anyhow::Result<()> {
    let (path, libraries) = match daemon()? {
        Some(tools) => (path_with(&tools), libraries(&tools)?),
        None => (std::env::var_os("PATH").unwrap_or_default(), OsString::new()),
    };
    let lines = format!("{}\n{}\n", path.to_string_lossy(), libraries.to_string_lossy());
    fs::write(told().join("daemon"), lines).context("cannot write what the stories are told")
}

fn start() -> anyhow::Result<(PathBuf, Child, tempfile::TempDir)> {
    let tools = daemon()?;
    // A short path: that of a socket has at most 107 bytes.
    let data = tempfile::Builder::new().prefix("wge").tempdir_in("/tmp").context("cannot make a folder")?;
    let at = |name: &str| data.path().join(name);
    let socket = at("docker.sock");
    let log = File::create(at("log"))?;
    let mut dockerd = Command::new("dockerd");
    if let Some(tools) = &tools {
        dockerd = Command::new(tools.join("usr/sbin/dockerd"));
        dockerd.env("PATH", path_with(tools)).env("LD_LIBRARY_PATH", libraries(tools)?);
    }
    dockerd
        .arg(format!("--host=unix://{}", socket.display()))
        .arg(format!("--data-root={}", at("data").display()))
        .arg(format!("--exec-root={}", at("exec").display()))
        .arg(format!("--pidfile={}", at("pid").display()))
        .args(["--bridge=none", "--iptables=false", "--ip-forward=false"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut child = dockerd.spawn().context("cannot start dockerd")?;
    let begun = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        let ended = child.try_wait()?;
        if ended.is_some() || begun.elapsed() > START {
            let _gone = child.kill();
            let said = fs::read_to_string(at("log")).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(5).collect();
            bail!("dockerd does not start ({ended:?}); it said, the last first:\n{}", last.join("\n"));
        }
        // Looked at again, not waited out.
        std::thread::park_timeout(Duration::from_millis(50));
    }
    Ok((socket, child, data))
}

/// Debian's engine, unpacked in the cache folder.
fn unpacked() -> anyhow::Result<PathBuf> {
    let tools = run::cache()?.join("engine");
    if tools.join("ready").exists() {
        return Ok(tools);
    }
    say::step("a container engine: fetching docker.io from Debian (62 MB; about 30 s)", || {
        let debs = run::cache()?.join("debs");
        for package in PACKAGES {
            apt::unpack(&apt::fetch(package, &debs)?, None, &tools)?;
        }
        fs::write(tools.join("ready"), "").context("cannot write to the cache folder")
    })
    .context("containers need an engine: install one (Debian: `apt-get install docker.io`)")?;
    Ok(tools)
}

fn path_with(tools: &Path) -> OsString {
    let own = ["usr/sbin", "usr/bin"].map(|dir| tools.join(dir));
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let all = own.into_iter().chain(std::env::split_paths(&rest));
    std::env::join_paths(all).unwrap_or(rest)
}

fn libraries(tools: &Path) -> anyhow::Result<OsString> {
    let lib = tools.join("lib");
    let folders = fs::read_dir(&lib).with_context(|| format!("cannot read {}", lib.display()))?;
    let all = folders.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    std::env::join_paths(all).context("a path has a colon in it")
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some((mut child, data)) = self.started.take() else { return };
        // The demo's engine was not told to the stories, and they may have one of their own.
        if fs::read_to_string(told().join("socket")).is_ok_and(|told| Path::new(&told) == self.socket) {
            let _no_socket_any_more = fs::remove_file(told().join("socket"));
        }
        // It ends its containers and its containerd.
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _status = child.wait();
        // It leaves this mounted, and the folder could not be removed.
        let netns = data.path().join("exec/netns/default");
        if netns.exists() {
            let _unmounted = Command::new("umount").arg("--lazy").arg(&netns).status();
        }
    }
}
