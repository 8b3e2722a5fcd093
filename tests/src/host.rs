//! A real host process.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// How a host is started.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Lines of `wicket.toml`, beside the addresses and the folder.
    pub config: String,
    /// Environment of the process.
    pub env: Vec<(String, String)>,
    /// Its data folder; a fresh one when none is given.
    pub data: Option<PathBuf>,
    /// Its data folder is on a disk of its own, of so many bytes.
    pub disk: Option<u64>,
}

/// A running host. Killed when dropped.
#[derive(Debug)]
pub struct TestHost {
    setup: Setup,
    folder: Arc<tempfile::TempDir>,
    child: Child,
    stderr: Arc<Mutex<String>>,
    /// Base URL of HTTP triggers and API.
    pub http: String,
    /// Base URL of the buckets.
    pub s3: String,
}

#[derive(Deserialize)]
struct Addresses {
    http: String,
    s3: String,
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

/// The binary: beside the test's own, in the same profile.
///
/// # Panics
///
/// When it was not built.
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a test has a path");
    let profile = own.parent().and_then(Path::parent).expect("target/<profile>/deps/test");
    let binary = profile.join("wicket");
    assert!(binary.exists(), "{} is missing: run `cargo build -p wicket`", binary.display());
    binary
}

/// The binary on a small disk of its own: a tmpfs in a mount namespace, which goes with the process.
fn on_disk(bytes: u64, data: &Path) -> Command {
    let script = "mount -t tmpfs -o size=$1 tmpfs \"$2\" || exit 1; shift 2; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(bytes.to_string()).arg(data).arg(binary());
    command
}

impl TestHost {
    /// A host with an empty folder and the defaults.
    pub fn start() -> Self {
        Self::with(Setup::default())
    }

    /// A host as set up.
    ///
    /// # Panics
    ///
    /// When it does not come up: the message has what it said.
    pub fn with(setup: Setup) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        Self::launch(setup, folder)
    }

    fn launch(setup: Setup, folder: Arc<tempfile::TempDir>) -> Self {
        let data = setup.data.clone().unwrap_or_else(|| folder.path().join("data"));
        let config = folder.path().join("wicket.toml");
        std::fs::write(&config, &setup.config).expect("the temporary folder is writable");
        let mut command = match setup.disk {
            None => Command::new(binary()),
            Some(bytes) => {
                std::fs::create_dir_all(&data).expect("the temporary folder is writable");
                on_disk(bytes, &data)
            }
        };
        command
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"])
            .arg("--config")
            .arg(&config)
            .arg("--data")
            .arg(&data)
            .envs(setup.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stderr = Arc::new(Mutex::new(String::new()));
        let mut pipe = child.stderr.take().expect("piped");
        let said = stderr.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut piece) {
                said.lock().expect("no panic in here").push_str(&String::from_utf8_lossy(&piece[..n]));
            }
        });
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut line).expect("a pipe is readable");
        let Ok(addresses) = serde_json::from_str::<Addresses>(&line) else {
            let status = child.wait();
            panic!("the host did not start ({status:?}): {line:?}\n{}", stderr.lock().expect("no panic"));
        };
        let (http, s3) = (addresses.http, addresses.s3);
        Self { setup, folder, child, stderr, http, s3 }
    }

    /// Where it keeps everything.
    pub fn data(&self) -> PathBuf {
        let data = self.setup.data.clone().unwrap_or_else(|| self.folder.path().join("data"));
        match self.setup.disk {
            None => data,
            // The disk is mounted for the host alone; this is the way in.
            Some(_) => {
                let root = PathBuf::from(format!("/proc/{}/root", self.pid()));
                root.join(data.strip_prefix("/").expect("an absolute path"))
            }
        }
    }

    /// A folder of the test's own.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// What it said on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no panic in the reader").clone()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory of the process now, in bytes.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        let _gone_already = kill_process(pid, signal);
    }

    /// Ends it with SIGTERM, and returns its exit status.
    ///
    /// # Panics
    ///
    /// When it does not end within 60 s.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.signal(Signal::TERM);
        self.wait(Duration::from_secs(60))
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    pub fn wait(&mut self, deadline: Duration) -> std::process::ExitStatus {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < end, "the host did not end within {deadline:?}:\n{}", self.stderr());
            std::thread::yield_now();
        }
    }

    /// Kills it as a power cut would end the process.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _status = self.child.wait();
    }

    /// The next process on the same folder.
    #[must_use]
    pub fn restart(mut self) -> Self {
        self.kill();
        Self::launch(self.setup.clone(), self.folder.clone())
    }

    /// The same, with another setup.
    #[must_use]
    pub fn restart_with(mut self, setup: Setup) -> Self {
        self.kill();
        Self::launch(setup, self.folder.clone())
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed story shows what the host said")]
            {
                eprintln!("--- the host said:\n{}", self.stderr());
            }
        }
    }
}
