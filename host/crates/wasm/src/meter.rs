//! What a guest has used, and whether it was too much. Shared by the store, the host calls and the one who polls.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, UpdateDeadline};
use wicket_config::{ByteSize, Limits};
use wicket_core::{Failure, Inferred, Limit, Usage};
use wicket_workspace::Account;

use crate::state::State;
use crate::stdio::LARGEST_REPLY;
use crate::ticker::Ticker;

/// The counters of one call.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: Limits,
    began: Instant,
    cpu_limit_ns: u64,
    /// CPU time of the polls that are over.
    spent_ns: AtomicU64,
    /// The thread's CPU clock when the running poll began; 0 outside of one.
    poll_began_ns: AtomicU64,
    memory: AtomicU64,
    peak_memory: AtomicU64,
    tables: AtomicU64,
    startup_us: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    logged: AtomicU64,
    /// By model, what was inferred.
    inferred: Mutex<Vec<Inferred>>,
    tripped: AtomicU8,
    /// Whether it was an answer larger than is kept that tripped.
    long_reply: AtomicBool,
    /// Whether the guest's last poll ended because its turn was over.
    yielded: AtomicBool,
}

/// A guest was stopped at a limit; which one stands in the meter.
#[derive(Debug, thiserror::Error)]
#[error("{0} limit reached")]
pub(crate) struct Tripped(pub(crate) Limit);

/// So many times its limit may be said to a log before the guest is stopped.
const FLOOD: u64 = 16;

const CODES: [Limit; 11] = [
    Limit::Memory,
    Limit::CpuTime,
    Limit::Timeout,
    Limit::Concurrency,
    Limit::Output,
    Limit::Log,
    Limit::Body,
    Limit::TableElements,
    Limit::Stack,
    Limit::Handles,
    Limit::Outgoing,
];

/// Limits at which the guest is refused something and goes on.
pub(crate) fn refusal(limit: Limit) -> bool {
    matches!(limit, Limit::Memory | Limit::TableElements | Limit::Outgoing)
}

fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

thread_local! {
    /// When a guest's last poll on this thread ended, by both clocks.
    static LAST_POLL: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
}

/// A gap between two polls on a thread in which it hardly did anything but what a call needs.
const SHORT_GAP: Duration = Duration::from_micros(50);

/// The thread's CPU clock as a poll begins. Asking the kernel costs a twentieth of a small call, so after a short
/// gap it is reckoned from the end of the poll before; whatever is wrong is shorter than the gap, and in the guest's
/// favour.
fn poll_begins() -> u64 {
    match LAST_POLL.get().map(|(at, cpu)| (at.elapsed(), cpu)) {
        Some((gap, cpu)) if gap < SHORT_GAP => cpu.saturating_add(gap.as_nanos() as u64),
        Some(_) | None => thread_cpu_ns(),
    }
}

fn poll_ends() -> u64 {
    let cpu = thread_cpu_ns();
    LAST_POLL.set(Some((Instant::now(), cpu)));
    cpu
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            cpu_limit_ns: u64::try_from(limits.cpu_time.0.as_nanos()).unwrap_or(u64::MAX),
            limits: limits.clone(),
            began: Instant::now(),
            spent_ns: AtomicU64::new(0),
            poll_began_ns: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            peak_memory: AtomicU64::new(0),
            tables: AtomicU64::new(0),
            startup_us: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            logged: AtomicU64::new(0),
            inferred: Mutex::default(),
            tripped: AtomicU8::new(0),
            long_reply: AtomicBool::new(false),
            yielded: AtomicBool::new(false),
        })
    }

    /// Takes over what the instance holds of memory and tables, from an earlier call.
    pub(crate) fn inherit(&self, before: &Self) {
        self.memory.store(before.memory.load(Relaxed), Relaxed);
        self.peak_memory.store(before.memory.load(Relaxed), Relaxed);
        self.tables.store(before.tables.load(Relaxed), Relaxed);
    }

    /// Whether the guest only let others have their turn, and goes on at once.
    pub(crate) fn yielded(&self) -> bool {
        self.yielded.load(Relaxed)
    }

    /// Bytes of linear memory that the guest holds now.
    pub(crate) fn memory(&self) -> u64 {
        self.memory.load(Relaxed)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// When its wall-clock time is over.
    pub(crate) fn deadline(&self) -> Instant {
        self.began + self.limits.timeout.0
    }

    /// Notes that a limit was reached. The first stays, except that a guest may go on after a refused growth, and
    /// is then stopped by another limit.
    pub(crate) fn trip(&self, limit: Limit) -> Tripped {
        let code = CODES.iter().position(|one| *one == limit).map_or(0, |at| at as u8 + 1);
        if self.tripped().is_none_or(refusal) {
            self.tripped.store(code, Relaxed);
        }
        Tripped(limit)
    }

    /// Notes that an answer is larger than [`LARGEST_REPLY`].
    pub(crate) fn reply_too_large(&self) -> Tripped {
        self.long_reply.store(true, Relaxed);
        self.trip(Limit::Output)
    }

    pub(crate) fn tripped(&self) -> Option<Limit> {
        let code = usize::from(self.tripped.load(Relaxed));
        code.checked_sub(1).and_then(|at| CODES.get(at).copied())
    }

    /// The failure that this limit is.
    pub(crate) fn failure(&self, limit: Limit) -> Failure {
        let (limits, out) = (&self.limits, self.bytes_out.load(Relaxed));
        let message = match limit {
            Limit::Memory => format!(
                "it may have {}, had {} and asked for more",
                limits.memory,
                ByteSize(self.memory.load(Relaxed))
            ),
            Limit::CpuTime => format!("it may compute for {}", limits.cpu_time),
            Limit::Timeout => format!("it may take {}", limits.timeout),
            Limit::Concurrency => "no free instance on this host".to_owned(),
            Limit::Output if self.long_reply.load(Relaxed) => format!(
                "an answer that is kept may have {}, whatever the limit: put what is larger into an output",
                ByteSize(LARGEST_REPLY as u64)
            ),
            Limit::Output => format!("it may put out {}, and had put out {}", limits.output, ByteSize(out)),
            Limit::Log => format!("it may log {}, and logged {FLOOD} times as much", limits.log),
            Limit::Body => format!("a request body may have {}", limits.body),
            Limit::TableElements => format!("it may have {} table elements", limits.table_elements),
            Limit::Stack => "the call stack is exhausted: is there an endless recursion?".to_owned(),
            Limit::Handles => format!("it may hold {} handles", limits.handles),
            Limit::Outgoing => format!("it may have {} outgoing requests at once", limits.outgoing),
        };
        Failure::Limit { limit, message }
    }

    /// The instance is made; the clock of its start stops.
    pub(crate) fn started(&self) {
        self.startup_us.store(micros(self.began), Relaxed);
    }

    /// Counts what came in: bodies, objects.
    pub(crate) fn read(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Relaxed);
    }

    /// Counts output; too much of it trips.
    pub(crate) fn wrote(&self, bytes: u64) -> Result<(), Tripped> {
        let total = self.bytes_out.fetch_add(bytes, Relaxed).saturating_add(bytes);
        if total > self.limits.output.0 { Err(self.trip(Limit::Output)) } else { Ok(()) }
    }

    /// Counts what goes into the log. A little too much is dropped there; a flood trips.
    pub(crate) fn logged(&self, bytes: u64) -> Result<(), Tripped> {
        let total = self.logged.fetch_add(bytes, Relaxed).saturating_add(bytes);
        if total > self.limits.log.0.saturating_mul(FLOOD) { Err(self.trip(Limit::Log)) } else { Ok(()) }
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            startup_us: self.startup_us.load(Relaxed),
            cpu_us: self.spent_ns.load(Relaxed) / 1000,
            wall_us: micros(self.began),
            peak_memory: self.peak_memory.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            inference: self.inferred.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Counts a call of a model.
    pub(crate) fn inferred(&self, call: Inferred) {
        let mut all = self.inferred.lock().unwrap_or_else(PoisonError::into_inner);
        match all.iter_mut().find(|one| one.is_same(&call)) {
            Some(one) => one.add(&call),
            None => all.push(call),
        }
    }

    /// Asked at every epoch tick, on the guest's own thread and inside of a poll.
    fn overdue(&self) -> Option<Limit> {
        if let Some(limit) = self.tripped()
            && !refusal(limit)
        {
            return Some(limit);
        }
        let running = thread_cpu_ns().saturating_sub(self.poll_began_ns.load(Relaxed));
        if self.spent_ns.load(Relaxed).saturating_add(running) > self.cpu_limit_ns {
            return Some(Limit::CpuTime);
        }
        (Instant::now() > self.deadline()).then_some(Limit::Timeout)
    }
}

impl Account for Meter {
    fn read(&self, bytes: u64) {
        Self::read(self, bytes);
    }
    fn wrote(&self, bytes: u64) -> Result<(), Failure> {
        Self::wrote(self, bytes).map_err(|tripped| self.failure(tripped.0))
    }
    fn output_limit(&self) -> Failure {
        self.failure(Limit::Output)
    }
}

/// The callback of every store.
pub(crate) fn at_tick(state: &State) -> wasmtime::Result<UpdateDeadline> {
    match state.meter.overdue() {
        Some(limit) => Err(state.meter.trip(limit).into()),
        None => {
            state.meter.yielded.store(true, Relaxed);
            Ok(UpdateDeadline::Yield(1))
        }
    }
}

/// The limits that wasmtime asks about before it grows something.
#[derive(Debug)]
pub(crate) struct Bounds(pub(crate) Arc<Meter>);

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let meter = &self.0;
        let more = desired.saturating_sub(current) as u64;
        let total = meter.memory.load(Relaxed).saturating_add(more);
        if total > meter.limits.memory.0 {
            meter.trip(Limit::Memory);
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        meter.memory.store(total, Relaxed);
        meter.peak_memory.fetch_max(total, Relaxed);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.0.trip(Limit::Memory);
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let meter = &self.0;
        let more = desired.saturating_sub(current) as u64;
        let total = meter.tables.load(Relaxed).saturating_add(more);
        if total > u64::from(meter.limits.table_elements) {
            meter.trip(Limit::TableElements);
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        meter.tables.store(total, Relaxed);
        Ok(true)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.0.trip(Limit::TableElements);
        Ok(())
    }
}

/// A guest's future with its CPU time counted, poll by poll.
pub(crate) struct Metered<F> {
    pub(crate) guest: F,
    pub(crate) meter: Arc<Meter>,
    pub(crate) ticker: Arc<Ticker>,
}

impl<F: Future + Unpin> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let _running = this.ticker.running();
        let began = poll_begins();
        this.meter.poll_began_ns.store(began, Relaxed);
        this.meter.yielded.store(false, Relaxed);
        let polled = Pin::new(&mut this.guest).poll(cx);
        this.meter.spent_ns.fetch_add(poll_ends().saturating_sub(began), Relaxed);
        polled
    }
}
