//! What an attempt of a command has used, where it is counted from outside of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use wicket_config::{ByteSize, Limits};
use wicket_core::{Failure, Limit, Usage};

use crate::Account;

/// So many times its limit may be said to a log before the attempt is stopped.
const FLOOD: u64 = 16;

/// The counters of one attempt.
#[derive(Debug)]
pub struct Tally {
    limits: Limits,
    began: Instant,
    startup_us: AtomicU64,
    cpu_us: AtomicU64,
    peak_memory: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    logged: AtomicU64,
}

impl Tally {
    /// Nothing yet; its clock begins.
    pub fn new(limits: &Limits) -> Self {
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

    /// When its clock began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The function runs; what came before was its start. The first word counts.
    pub fn started(&self) {
        let _kept = self.startup_us.compare_exchange(0, micros(self.began), Relaxed, Relaxed);
    }

    /// A part of its start that came after [`Tally::started`], µs.
    pub fn started_later(&self, us: u64) {
        self.startup_us.fetch_add(us, Relaxed);
    }

    /// CPU time in µs and peak memory in bytes, as far as they are known: both only grow.
    pub fn used(&self, cpu_us: u64, peak_memory: u64) {
        self.cpu_us.fetch_max(cpu_us, Relaxed);
        self.peak_memory.fetch_max(peak_memory, Relaxed);
    }

    /// Counts what it says. A little too much is dropped by the log; a flood is a failure.
    pub fn logged(&self, bytes: usize) -> Result<(), Failure> {
        let total = self.logged.fetch_add(bytes as u64, Relaxed).saturating_add(bytes as u64);
        if total <= self.limits.log.0.saturating_mul(FLOOD) {
            return Ok(());
        }
        let message = format!("it may log {}, and logged {FLOOD} times as much", self.limits.log);
        Err(Failure::Limit { limit: Limit::Log, message })
    }

    /// All of it so far.
    pub fn usage(&self) -> Usage {
        Usage {
            startup_us: self.startup_us.load(Relaxed),
            cpu_us: self.cpu_us.load(Relaxed),
            wall_us: micros(self.began),
            peak_memory: self.peak_memory.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            inference: Vec::new(),
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

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
