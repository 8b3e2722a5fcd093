//! What an attempt in a job has used.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use wicket_config::{ByteSize, Limits};
use wicket_core::{Failure, Limit, Usage};
use wicket_supervisor::Outcome;
use wicket_workspace::Account;

/// The counters of one attempt.
#[derive(Debug)]
pub(crate) struct Tally {
    limits: Limits,
    began: Instant,
    startup_us: AtomicU64,
    cpu_us: AtomicU64,
    peak_memory: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
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
        }
    }

    /// The job runs; what came before was its start.
    pub(crate) fn started(&self) {
        let _kept = self.startup_us.compare_exchange(0, micros(self.began), Relaxed, Relaxed);
    }

    /// Notes what the supervisor has counted.
    pub(crate) fn count(&self, outcome: &Outcome) {
        self.cpu_us.store(outcome.cpu_us, Relaxed);
        self.peak_memory.store(outcome.peak_memory, Relaxed);
        self.startup_us.fetch_add(outcome.startup_us, Relaxed);
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
        let total = ByteSize(self.bytes_out.load(Relaxed));
        let message = format!("it may put out {}, and had put out {total}", self.limits.output);
        Failure::Limit { limit: Limit::Output, message }
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
