//! What an attempt in a container has used.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use wicket_config::{ByteSize, Container, Limits};
use wicket_core::{Failure, Limit, Usage};
use wicket_workspace::Account;

/// So many times its limit may be said to a log before the container is stopped.
const FLOOD: u64 = 16;
/// What a function may answer with; more belongs into an output file.
pub(crate) const LARGEST_REPLY: usize = 8 << 20;

/// The counters of one attempt.
#[derive(Debug)]
pub(crate) struct Tally {
    limits: Limits,
    began: Instant,
    startup_us: AtomicU64,
    pub(crate) cpu_us: AtomicU64,
    pub(crate) peak_memory: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    logged: AtomicU64,
}

impl Tally {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            began: Instant::now(),
            startup_us: AtomicU64::new(0),
            cpu_us: AtomicU64::new(0),
            peak_memory: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            logged: AtomicU64::new(0),
        }
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// The container runs; the clock of its start stops.
    pub(crate) fn started(&self) {
        self.startup_us.store(micros(self.began), Relaxed);
    }

    /// Counts what it says. A little too much is dropped by the log; a flood is a failure.
    pub(crate) fn logged(&self, bytes: usize) -> Result<(), Failure> {
        let total = self.logged.fetch_add(bytes as u64, Relaxed).saturating_add(bytes as u64);
        if total <= self.limits.log.0.saturating_mul(FLOOD) {
            return Ok(());
        }
        let message = format!("it may log {}, and logged {FLOOD} times as much", self.limits.log);
        Err(Failure::Limit { limit: Limit::Log, message })
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            startup_us: self.startup_us.load(Relaxed),
            cpu_us: self.cpu_us.load(Relaxed),
            wall_us: micros(self.began),
            peak_memory: self.peak_memory.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
        }
    }
}

impl Account for Tally {
    fn read(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Relaxed);
    }
    fn wrote(&self, bytes: u64) -> Result<(), Failure> {
        let total = self.bytes_out.fetch_add(bytes, Relaxed).saturating_add(bytes);
        if total > self.limits.output.0 { Err(self.output_limit()) } else { Ok(()) }
    }
    fn output_limit(&self) -> Failure {
        let message = format!(
            "it may put out {}, and had put out {}",
            self.limits.output,
            ByteSize(self.bytes_out.load(Relaxed))
        );
        Failure::Limit { limit: Limit::Output, message }
    }
}

/// The failure of an answer that is longer than is kept.
pub(crate) fn reply_too_large() -> Failure {
    let message = format!(
        "an answer that is kept may have {}, whatever the limit: put what is larger into an output",
        ByteSize(LARGEST_REPLY as u64)
    );
    Failure::Limit { limit: Limit::Output, message }
}

/// The failure of a container that took too long.
pub(crate) fn timed_out(container: &Container) -> Failure {
    Failure::Limit { limit: Limit::Timeout, message: format!("it may take {}", container.timeout) }
}

/// The failure of a container that had not begun by then.
pub(crate) fn not_begun(container: &Container) -> Failure {
    let message = format!("it may take {}, and its engine had not started it by then", container.timeout);
    Failure::Limit { limit: Limit::Timeout, message }
}

/// The failure of a container that wanted more memory.
pub(crate) fn out_of_memory(container: &Container) -> Failure {
    let message = format!("it may have {} and wanted more", container.memory);
    Failure::Limit { limit: Limit::Memory, message }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
