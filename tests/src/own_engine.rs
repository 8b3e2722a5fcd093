//! A container engine that a story may kill.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bollard::Docker;
use rustix::process::{Pid, Signal, kill_process};

use crate::{Engine, until};

/// How long it may take to start and to end.
const SOON: Duration = Duration::from_secs(60);

/// A `dockerd` of the story's own, in folders of its own. It ends its containers and itself when dropped.
#[derive(Debug)]
pub struct OwnEngine {
    folder: tempfile::TempDir,
    options: Vec<String>,
    /// Folders that come first where it looks for programs.
    first: Vec<PathBuf>,
    child: Child,
}

impl OwnEngine {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When it cannot be started here: the message says why.
    pub async fn start(options: &[&str], first: &[PathBuf]) -> Self {
        // A short path: that of a socket has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("wgo").tempdir_in("/tmp").expect("a temporary folder");
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let child = spawn(&folder, &options, first);
        let mut engine = Self { folder, options, first: first.to_vec(), child };
        engine.answers().await;
        engine
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// It, with the image of the stories.
    pub async fn engine(&self) -> Engine {
        Engine::at(self.socket()).await
    }

    /// Sends it a signal, and waits for its end when it is one that ends it.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub async fn end(&mut self, signal: Signal) {
        self.signal(signal);
        let child = &mut self.child;
        until("the engine has ended", SOON, async || child.try_wait().expect("a child can be waited for"))
            .await;
        // Its containerd goes a moment later, and the next one would meet it.
        let pid = std::fs::read_to_string(self.folder.path().join("exec/containerd/containerd.pid"));
        if let Ok(pid) = pid {
            let process = PathBuf::from("/proc").join(pid.trim());
            until("its containerd has ended", SOON, async || (!process.exists()).then_some(())).await;
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        let _gone_already = kill_process(pid, signal);
    }

    /// Starts it again on the same folders.
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.folder, &self.options, &self.first);
        self.answers().await;
    }

    async fn answers(&mut self) {
        let socket = self.socket();
        let (child, log) = (&mut self.child, self.folder.path().join("log"));
        until("the engine answers", SOON, async || {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                panic!(
                    "dockerd does not start ({status}): {}",
                    std::fs::read_to_string(&log).unwrap_or_default()
                );
            }
            // The socket is there sooner than who answers.
            let docker =
                Docker::connect_with_unix(&socket.to_string_lossy(), 5, bollard::API_DEFAULT_VERSION);
            docker.ok()?.ping().await.ok()
        })
        .await;
    }
}

fn spawn(folder: &tempfile::TempDir, options: &[String], first: &[PathBuf]) -> Child {
    let told = std::fs::read_to_string(crate::host::root().join("target/engine/daemon")).unwrap_or_default();
    let mut told = told.lines().map(PathBuf::from);
    let (Some(path), libraries) = (told.next(), told.next().unwrap_or_default()) else {
        panic!(
            "this story starts an engine of its own: as root, `cargo xtask test` or `cargo xtask engine` says where one is"
        )
    };
    let all = first.iter().cloned().chain(std::env::split_paths(&path));
    let at = |name: &str| folder.path().join(name).display().to_string();
    let log = File::options().create(true).append(true).open(at("log")).expect("a log");
    Command::new("dockerd")
        .env("PATH", std::env::join_paths(all).expect("folders without a colon"))
        .env("LD_LIBRARY_PATH", libraries)
        .arg(format!("--host=unix://{}", at("docker.sock")))
        .arg(format!("--data-root={}", at("data")))
        .arg(format!("--exec-root={}", at("exec")))
        .arg(format!("--pidfile={}", at("pid")))
        .args(["--bridge=none", "--iptables=false", "--ip-forward=false"])
        .args(options)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("dockerd is there")
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        // One that was killed has left containers: the next one ends them.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            self.child = spawn(&self.folder, &self.options, &self.first);
            let end = std::time::Instant::now() + SOON;
            while std::os::unix::net::UnixStream::connect(self.socket()).is_err()
                && std::time::Instant::now() < end
            {
                std::thread::yield_now();
            }
        }
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let _status = self.child.wait();
    }
}
