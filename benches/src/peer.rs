//! Other servers, as processes beside ours.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A large component takes long to compile on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server process. Killed when dropped.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    /// From its start until its port took connections.
    pub ready: Duration,
}

impl Peer {
    /// Starts a program and waits until `port` of loopback takes connections.
    ///
    /// # Panics
    ///
    /// When it does not start, or takes none in time.
    pub fn start(program: &Path, args: &[&str], port: u16) -> Self {
        let begin = Instant::now();
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut peer = Self { child, ready: Duration::ZERO };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < PATIENCE, "{} does not listen", program.display());
            std::thread::yield_now();
        }
        peer.ready = begin.elapsed();
        peer
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// User and system CPU time of a process, all threads, in seconds.
pub fn cpu_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything: fields are counted after it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |idx: usize| fields.get(idx).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    // utime and stime are fields 14 and 15 of the whole line; Linux counts in hundredths.
    (ticks(11) + ticks(12)) / 100.0
}

/// A process and all that it started, and what those started.
pub fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(pid) = family.get(at) {
        at += 1;
        // Each thread has children of its own.
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    family
}

/// Resident memory of a process, in bytes; what it shares with others counts by its part (PSS).
pub fn memory(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// A port that was free a moment ago.
///
/// # Panics
///
/// When loopback has none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Peak of resident memory since the last [`forget_peak`], in bytes.
pub fn peak_rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The peak of resident memory begins again at what is resident now.
///
/// # Panics
///
/// When the kernel refuses: then no peak would mean anything.
pub fn forget_peak(pid: u32) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the peak can be reset");
}
