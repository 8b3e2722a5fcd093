//! The host's end of a worker: the process, and the socket to it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};
use tokio::io::AsyncReadExt as _;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, ChildStderr, Command};

use crate::Worker;
use crate::memory::{Freed, Outputs, Seen};
use crate::wire::{Place, ToHost, ToWorker, receive, send};

/// How long a worker may leave its messages unread. It reads them whatever it computes.
const UNREAD: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Bytes of a worker's last words that are kept.
const LAST_WORDS: usize = 1000;

/// A socket to a worker.
#[derive(Debug)]
pub(crate) struct Link {
    socket: AsyncFd<OwnedFd>,
    outputs: Arc<Outputs>,
    later: Mutex<Later>,
}

/// What can wait for the next run: a message of its own would wake the worker for it.
#[derive(Debug, Default)]
struct Later {
    /// Runs under way. While there are some, one may want the room.
    runs: usize,
    /// Output pieces that nobody reads any more.
    freed: Vec<u64>,
}

/// Pieces that are told of together.
const MOST_FREED: usize = 64;

impl Link {
    /// Starts a worker.
    pub(crate) fn start(worker: &Worker, outputs: u64) -> io::Result<(Arc<Self>, Child)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let child = Command::new(&worker.program)
            .args(&worker.args)
            .env_clear()
            .envs(worker.env.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            // Ctrl-C at a terminal is for the host alone: it ends its calls first.
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        #[expect(unsafe_code, reason = "tokio wants it said that the descriptor stays the same")]
        // SAFETY: an `OwnedFd` has one descriptor, open until it is dropped, which `AsyncFd` does after it let go of it.
        let socket = unsafe { AsyncFd::register(ours) }?;
        let link = Self { socket, outputs: Outputs::new(outputs), later: Mutex::default() };
        Ok((Arc::new(link), child))
    }

    pub(crate) fn outputs(&self) -> &Arc<Outputs> {
        &self.outputs
    }

    fn later(&self) -> MutexGuard<'_, Later> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a run.
    pub(crate) fn run(&self, run: u64, model: u32, calls: Vec<Vec<Place>>) -> io::Result<()> {
        let freed = {
            let mut later = self.later();
            later.runs += 1;
            std::mem::take(&mut later.freed)
        };
        let message = ToWorker::Run { run, model, calls, freed };
        self.send(&message, None).inspect_err(|_| {
            let ToWorker::Run { freed, .. } = message else { return };
            let mut later = self.later();
            later.runs -= 1;
            later.freed.extend(freed);
        })
    }

    /// A run has ended.
    pub(crate) fn ran(&self) {
        let mut later = self.later();
        later.runs = later.runs.saturating_sub(1);
    }

    /// Sends a message; never waits but for a worker that does not read.
    pub(crate) fn send(&self, message: &ToWorker, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let socket = self.socket.as_fd();
        loop {
            match send(socket, message, file, SendFlags::DONTWAIT) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
                    if poll(&mut fds, Some(&UNREAD))? == 0 {
                        return Err(io::Error::new(io::ErrorKind::TimedOut, "the worker reads no messages"));
                    }
                }
                sent => return sent,
            }
        }
    }

    /// The next message; none when the worker is gone.
    pub(crate) async fn receive(&self, bytes: &mut [u8]) -> io::Result<Option<(ToHost, Option<OwnedFd>)>> {
        loop {
            let mut ready = self.socket.readable().await?;
            match ready.try_io(|socket| receive(socket, bytes, RecvFlags::DONTWAIT)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Ok(message) => return message,
                Err(_would_block) => {}
            }
        }
    }
}

impl Seen for Link {
    fn gone(&self, piece: u64) {
        // To a worker that is gone, nothing need be said.
        let _ = self.send(&ToWorker::Forget { piece }, None);
    }
}

impl Freed for Link {
    fn freed(&self, piece: u64, keep: bool) {
        {
            let mut later = self.later();
            if keep && later.runs == 0 && later.freed.len() < MOST_FREED {
                return later.freed.push(piece);
            }
        }
        let _ = self.send(&ToWorker::Free { piece, keep }, None);
    }
}

/// Reads what a worker complains of, until it is gone: for the log, and its last words for the error.
pub(crate) async fn last_words(stderr: Option<ChildStderr>, device: crate::Target) -> String {
    let mut last = Vec::new();
    let Some(mut stderr) = stderr else { return String::new() };
    let mut bytes = [0; 4096];
    while let Ok(len @ 1..) = stderr.read(&mut bytes).await {
        tracing::debug!(%device, said = %String::from_utf8_lossy(&bytes[..len]), "an inference worker says");
        last.extend_from_slice(&bytes[..len]);
        last.drain(..last.len().saturating_sub(LAST_WORDS));
    }
    let said = String::from_utf8_lossy(&last);
    said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}
