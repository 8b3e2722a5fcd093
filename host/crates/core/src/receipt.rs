//! One record per invocation, whatever ran it.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use wicket_config::ServiceName;

use crate::{EventId, InvocationId, Placement, Timestamp};

/// Everything there is to know of an invocation, except its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Whose.
    pub id: InvocationId,
    /// What ran.
    pub service: ServiceName,
    /// How it came to the host.
    pub trigger: Trigger,
    /// The event's id.
    pub event: EventId,
    /// The event's source.
    pub source: String,
    /// The event's subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The workflow run: the id of its first event.
    pub origin: EventId,
    /// Where it stands.
    pub state: State,
    /// When the host took it.
    pub accepted: Timestamp,
    /// When it reached its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// When the next attempt is due, while it waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// What it waits for, when it is not its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Every attempt, oldest first.
    pub attempts: Vec<AttemptRecord>,
}

/// Why an invocation waits that could be tried otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Since when.
    pub since: Timestamp,
    /// For what.
    pub reason: String,
}

/// How an invocation came to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Through the queue: a bucket event, `/job`, `/events`, a follow-up.
    Event,
    /// An HTTP trigger.
    Http,
    /// `POST /run`.
    Run,
}

/// Where an invocation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for its first or its next attempt.
    Queued,
    /// An attempt runs.
    Running,
    /// Ended well.
    Succeeded,
    /// Given up: a dead letter (from the queue), or a failed synchronous call.
    Failed,
}

impl State {
    /// In a sentence, after "it".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Queued => "waits in the queue",
            Self::Running => "is running",
            Self::Succeeded => "succeeded",
            Self::Failed => "was a synchronous call that failed",
        }
    }
}

/// One try of an invocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// From 1.
    pub number: u32,
    /// The service's version that ran.
    pub version: u32,
    /// `wasm`, `docker`, `batch`, later `peer`.
    pub executor: String,
    /// When it began.
    pub started: Timestamp,
    /// From being due to beginning, µs.
    pub queue_us: u64,
    /// What it used.
    #[serde(flatten)]
    pub usage: Usage,
    /// HTTP status of the answer, or exit status of the command, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// Why it failed; none: it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why it ran there, where the service has more than one variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
}

/// What an attempt used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Instance made and ready to be called, µs.
    pub startup_us: u64,
    /// CPU time of the guest, µs.
    pub cpu_us: u64,
    /// Wall-clock time, µs.
    pub wall_us: u64,
    /// Peak linear memory, bytes.
    pub peak_memory: u64,
    /// Bytes read from the input and the request body.
    pub bytes_in: u64,
    /// Bytes of outputs and of the answer.
    pub bytes_out: u64,
    /// What it inferred: for each model, device and backend that ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inference: Vec<Inferred>,
}

/// What an attempt inferred with one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inferred {
    /// The model, by its name in the service.
    pub model: String,
    /// Where it ran: `cpu`, `gpu:0`.
    pub device: String,
    /// What ran it: `onnxruntime`, `builtin`.
    pub backend: String,
    /// There is no such device as the service names: it ran on the one that the service names instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fallback: bool,
    /// Calls.
    pub calls: u64,
    /// Most calls that ran together with one of them, itself included.
    pub batch: u32,
    /// How long they waited for their turn and for others, µs.
    pub queue_us: u64,
    /// How long the runs took that they were of, µs.
    pub run_us: u64,
}

impl Inferred {
    /// Whether another is of the same model at the same place.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.model, &self.device, &self.backend, self.fallback)
            == (&other.model, &other.device, &other.backend, other.fallback)
    }

    /// Counts more of the same.
    pub fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.batch = self.batch.max(other.batch);
        self.queue_us = self.queue_us.saturating_add(other.queue_us);
        self.run_us = self.run_us.saturating_add(other.run_us);
    }
}

/// Why an attempt failed: whose fault it was, and so what follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Failure {
    /// The function said no: an exit status, an error answer. Another attempt may succeed.
    #[error("the function failed: {message}")]
    Function {
        /// What it said.
        message: String,
        /// It said that the same input will always fail.
        #[serde(default)]
        permanent: bool,
    },
    /// The function says that it does not take this input in this variant: exit status [`Failure::DECLINED`]. Another
    /// variant may.
    #[error("the function declined: {message}")]
    Declined {
        /// What it said.
        message: String,
    },
    /// The function trapped. The same input will trap again.
    #[error("the function trapped: {message}")]
    Trap {
        /// The trap.
        message: String,
        /// The wasm backtrace, one frame a line, with names where the module has them.
        backtrace: Vec<String>,
    },
    /// The function reached a limit.
    #[error("{limit} limit reached: {message}")]
    Limit {
        /// Which.
        limit: Limit,
        /// The limit's value, and what asked for more.
        message: String,
    },
    /// What it was to run on cannot be read: the object is gone, the event is malformed.
    #[error("the input cannot be read: {message}")]
    Input {
        /// Why.
        message: String,
    },
    /// The host, a peer or a bucket failed. Another attempt may succeed.
    #[error("the host failed: {message}")]
    Host {
        /// What.
        message: String,
    },
    /// What it was to run on is away: no engine answers, the image is gone. No try was made.
    #[error("not available: {message}")]
    Unavailable {
        /// What, and why.
        message: String,
    },
    /// Nobody waits for it any more: its caller left, or the host was stopped. Neither is anybody's failure.
    #[error("cancelled: {message}")]
    Cancelled {
        /// Who went.
        message: String,
    },
}

impl Failure {
    /// The exit status of a command that does not take its input: `EX_UNAVAILABLE` of sysexits.h.
    pub const DECLINED: i64 = 69;

    /// What an exit status other than 0 means, said with these words.
    pub fn exit(status: i64, message: String) -> Self {
        match status {
            Self::DECLINED => Self::Declined { message },
            _ => Self::Function { message, permanent: false },
        }
    }
}

/// A limit's name, as in [`wicket_config::Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the field of that name in Limits")]
pub enum Limit {
    Memory,
    CpuTime,
    Timeout,
    Concurrency,
    Output,
    Log,
    Body,
    TableElements,
    Stack,
    Handles,
    Outgoing,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::CpuTime => "cpu_time",
            Self::Timeout => "timeout",
            Self::Concurrency => "concurrency",
            Self::Output => "output",
            Self::Log => "log",
            Self::Body => "body",
            Self::TableElements => "table_elements",
            Self::Stack => "stack",
            Self::Handles => "handles",
            Self::Outgoing => "outgoing",
        })
    }
}

/// What an attempt wrote, cut at the service's log limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Oldest first.
    pub lines: Vec<LogLine>,
    /// Bytes that were over the limit and are gone.
    pub dropped: u64,
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was complete.
    pub time: Timestamp,
    /// Who wrote it.
    pub stream: LogStream,
    /// Without its line end; bytes that are no UTF-8 are replaced, control characters are escaped.
    pub text: String,
}

impl LogLine {
    /// Bytes that a line takes beside its text, about: in memory, and when it is stored or shown.
    pub const BESIDE: u64 = 64;

    /// Bytes that it takes, about. This is what a log's limit counts, so that empty lines are not free.
    pub fn size(&self) -> u64 {
        Self::BESIDE + self.text.len() as u64
    }
}

/// Who wrote a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// The function's standard output.
    Stdout,
    /// The function's standard error or its logger.
    Stderr,
    /// The host, about the function.
    Host,
}

/// Where an attempt writes its log while it runs; others read it meanwhile (`logs --follow`). Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogSink {
    log: Arc<Mutex<Log>>,
    used: Arc<std::sync::atomic::AtomicU64>,
    limit: u64,
}

impl LogSink {
    /// An empty log that keeps lines of at most `limit` bytes, as [`LogLine::size`] counts them.
    pub fn new(limit: u64) -> Self {
        Self { log: Arc::default(), used: Arc::default(), limit }
    }

    /// Adds one line; over the limit it is counted and dropped.
    pub fn line(&self, stream: LogStream, bytes: &[u8]) {
        use std::sync::atomic::Ordering::Relaxed;
        let said = bytes.len() as u64 + 1;
        let mut log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let room = self.limit.saturating_sub(self.used.load(Relaxed));
        // Escapes only make it longer: what has no room as it came is not looked at.
        if LogLine::BESIDE + bytes.len() as u64 > room {
            log.dropped += said;
            return;
        }
        let line = LogLine { time: Timestamp::now(), stream, text: escaped(bytes) };
        if line.size() > room {
            log.dropped += said;
            return;
        }
        self.used.fetch_add(line.size(), Relaxed);
        log.lines.push(line);
    }

    /// What stands in it now, from line `from` on.
    pub fn since(&self, from: usize) -> Log {
        let log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Log { lines: log.lines.get(from..).unwrap_or_default().to_vec(), dropped: log.dropped }
    }

    /// The last line of a stream that is not blank.
    pub fn last(&self, stream: LogStream) -> Option<String> {
        let log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let line =
            log.lines.iter().rev().find(|line| line.stream == stream && !line.text.trim().is_empty())?;
        Some(line.text.trim().to_owned())
    }

    /// Takes everything out, at the end of the attempt.
    pub fn take(&self) -> Log {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// Bytes as a text that does nothing to a terminal.
fn escaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !text.chars().any(|c| c.is_control() && c != '\t') {
        return text.into_owned();
    }
    text.chars()
        .flat_map(|c| {
            let escape = c.is_control() && c != '\t';
            let plain = (!escape).then_some(c);
            let escaped = escape.then(|| c.escape_default());
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_limit_and_counts_the_rest() {
        let sink = LogSink::new(2 * LogLine::BESIDE + 12);
        sink.line(LogStream::Stdout, b"12345");
        sink.line(LogStream::Stdout, b"12345678");
        sink.line(LogStream::Stderr, b"\x1b[");
        let log = sink.take();
        assert_eq!(log.dropped, 9);
        assert_eq!(log.lines[1].text, "\\u{1b}[");
    }

    #[test]
    fn empty_lines_and_escapes_count_towards_the_limit_of_a_log() {
        for line in [&b""[..], &[0; 100], &[0xff; 100]] {
            let sink = LogSink::new(10_000);
            for _ in 0..10_000 {
                sink.line(LogStream::Stdout, line);
            }
            let log = sink.take();
            let stored = serde_json::to_vec(&log).unwrap().len();
            assert!(stored < 25_000, "{stored} bytes of {line:?}");
            assert_eq!(log.dropped, (10_000 - log.lines.len() as u64) * (line.len() as u64 + 1));
        }
    }
}
