//! Threads that wait for the socket together: whoever receives a run runs it, while the others listen. No thread waits for
//! another between a message and its run.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::process::{Signal, getpid, kill_process};

use super::Worker;
use super::backend::{Session, Stop};
use crate::memory::View;
use crate::wire::{MAX_MESSAGE, Place, ToWorker, receive};
use crate::{Backend, Dtype};

/// What is done off the socket.
pub(super) enum Work {
    Load { model: u32, backend: Backend, name: String, independent: bool, file: OwnedFd },
    Run(Run),
}

pub(super) struct Run {
    pub(super) id: u64,
    pub(super) model: u32,
    pub(super) session: Option<Arc<dyn Session>>,
    pub(super) calls: Vec<Vec<Given>>,
    pub(super) stop: Arc<Stop>,
}

/// An input of one call.
pub(super) struct Given {
    pub(super) view: Arc<View>,
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<u64>,
}

/// Serves with one thread for each run, one for loading, and one that listens while all others work.
pub(super) fn run(worker: Arc<Worker>) -> io::Result<Infallible> {
    let inbox = Arc::new(Inbox::new(&worker)?);
    for index in 0..worker.hello.runs + 1 {
        let (worker, inbox) = (worker.clone(), inbox.clone());
        std::thread::Builder::new().name(format!("lane-{index}")).spawn(move || lane(&worker, &inbox))?;
    }
    lane(&worker, &inbox)
}

fn lane(worker: &Worker, inbox: &Inbox) -> ! {
    let mut bytes = vec![0; MAX_MESSAGE];
    loop {
        let told = match inbox.work(worker, &mut bytes) {
            Ok(Some(Work::Load { model, backend, name, independent, file })) => {
                worker.load(model, backend, &name, independent, file)
            }
            Ok(Some(Work::Run(run))) => worker.run(run),
            Ok(None) => end("the host is gone"),
            Err(error) => end(&error.to_string()),
        };
        if let Err(error) = told {
            end(&error.to_string());
        }
    }
}

/// The socket as several threads wait for it. Whoever began to wait last is woken: calls that come one by one are run by one
/// thread on one processor, which has the model in its cache. (With a lock that is handed around, each was run by another.)
struct Inbox(OwnedFd);

impl Inbox {
    /// One thread at a time is told that there is something, and nobody until it was read.
    const EVENTS: EventFlags = EventFlags::IN.union(EventFlags::ONESHOT);

    fn new(worker: &Worker) -> io::Result<Self> {
        let inbox = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&inbox, &worker.socket, EventData::new_u64(0), Self::EVENTS)?;
        Ok(Self(inbox))
    }

    /// Waits for what takes time; none when the host is gone.
    fn work(&self, worker: &Worker, bytes: &mut [u8]) -> io::Result<Option<Work>> {
        let mut events = Vec::with_capacity(1);
        loop {
            events.clear();
            match epoll::wait(&self.0, spare_capacity(&mut events), None) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let work = loop {
                match receive(&worker.socket, bytes, RecvFlags::DONTWAIT) {
                    Ok(Some(message)) => {
                        if let Some(work) = worker.take(message)? {
                            break Some(work);
                        }
                    }
                    Ok(None) => return Ok(None),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break None,
                    Err(error) => return Err(error),
                }
            };
            epoll::modify(&self.0, &worker.socket, EventData::new_u64(0), Self::EVENTS)?;
            if work.is_some() {
                return Ok(work);
            }
        }
    }
}

/// Ends the process at once. Native code of a runtime may be busy in other threads: nothing of it is asked to tidy up.
fn end(why: &str) -> ! {
    tracing::debug!(why, "the inference worker ends");
    loop {
        let _ = kill_process(getpid(), Signal::KILL);
        std::thread::yield_now();
    }
}

impl Worker {
    /// Does what is done in the order of the messages; gives what takes time.
    fn take(&self, (message, file): (ToWorker, Option<OwnedFd>)) -> io::Result<Option<Work>> {
        let no_file = || io::Error::other("a message without its file");
        match message {
            ToWorker::Hello(_) => return Err(io::Error::other("a second hello")),
            ToWorker::Piece { piece, len } => {
                use std::os::fd::AsFd as _;
                let view = View::open(file.ok_or_else(no_file)?.as_fd(), len as usize)?;
                self.state().pieces.insert(piece, Arc::new(view));
            }
            ToWorker::Forget { piece } => drop(self.state().pieces.remove(&piece)),
            ToWorker::Free { piece, keep } => self.outputs.free(piece, keep),
            ToWorker::Load { model, backend, name, independent } => {
                let file = file.ok_or_else(no_file)?;
                return Ok(Some(Work::Load { model, backend, name, independent, file }));
            }
            ToWorker::Unload { model } => {
                // In two steps: freeing a model may take a while, and is not done under the lock.
                let gone = self.state().models.remove(&model);
                drop(gone);
                super::load::trim();
            }
            ToWorker::Cancel { run } => {
                let stop = self.state().runs.get(&run).cloned();
                if let Some(stop) = stop {
                    stop.ask();
                }
            }
            ToWorker::Run { run, model, calls, freed } => {
                freed.into_iter().for_each(|piece| self.outputs.free(piece, true));
                return self.begin(run, model, calls).map(Some);
            }
        }
        Ok(None)
    }

    fn begin(&self, id: u64, model: u32, calls: Vec<Vec<Place>>) -> io::Result<Work> {
        let mut state = self.state();
        let session = state.models.get(&model).cloned();
        let calls = calls
            .into_iter()
            .map(|inputs| inputs.into_iter().map(|place| given(&state.pieces, place)).collect())
            .collect::<io::Result<Vec<Vec<_>>>>()?;
        let stop = Arc::new(Stop::default());
        state.runs.insert(id, stop.clone());
        Ok(Work::Run(Run { id, model, session, calls, stop }))
    }
}

fn given(pieces: &std::collections::HashMap<u64, Arc<View>>, place: Place) -> io::Result<Given> {
    let view =
        pieces.get(&place.piece).ok_or_else(|| io::Error::other("a piece that was never shown"))?.clone();
    let len = crate::tensor::byte_len(place.dtype, &place.shape).map_err(io::Error::other)?;
    let start = place.start as usize;
    if start.checked_add(len).is_none_or(|end| end > view.len()) {
        return Err(io::Error::other("a tensor outside of its piece"));
    }
    Ok(Given { view, start, len, dtype: place.dtype, shape: place.shape })
}

impl Given {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.view.bytes()[self.start..self.start + self.len]
    }
}
