//! The handle that everybody holds.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::file::{Lock, open_writer};
use crate::job::Typed;
use crate::part::migrate;
use crate::readers::Readers;
use crate::reserve::Reserve;
use crate::writer::{Message, WAITING, Writer};
use crate::{Part, StoreError, Tx};

/// The node's SQLite file. Clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    outbox: mpsc::Sender<Message>,
    readers: Readers,
    reserve: Reserve,
    /// Joined by the one who closes.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the file, makes it when there is none, brings the tables of all parts up to date, and starts the writer.
    /// Blocks for some file operations.
    ///
    /// Refuses a file that another host has open, that is somebody else's, damaged, or of a newer host.
    pub fn open(path: &Path, parts: &[Part]) -> Result<Self, StoreError> {
        let lock = Lock::take(path)?;
        let reserve = Reserve::of(path);
        let mut conn = open_writer(path)?;
        migrate(&mut conn, path, parts)?;
        let (outbox, inbox) = mpsc::channel(WAITING);
        let writer = Writer::new(conn, lock, inbox)?;
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        let readers = Readers::new(path.to_owned());
        reserve.keep();
        Ok(Self { shared: Arc::new(Shared { outbox, readers, reserve, thread: Mutex::new(Some(thread)) }) })
    }

    /// Runs `work` in the writer's current group and answers after the group's fsync. An `Err`, or a panic, takes back
    /// this work and no other. Waits while too many works wait already.
    ///
    /// Dropping the future before the work has begun cancels it; later, the work stands.
    pub async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.hand_in(work, true).await
    }

    /// As [`Store::write`], but answers before the fsync, when nothing in its group waits for one. What it wrote
    /// survives a crash of this process; a power cut may take it back, and then only together with all that was written
    /// after it. For what is merely done again when it is lost.
    pub async fn write_relaxed<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.hand_in(work, false).await
    }

    /// As [`Store::write`], for work that frees room: on a full disk it is done with the room that is reserved for it.
    pub async fn write_freeing<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Clone + Send + 'static,
    {
        match self.write(work.clone()).await {
            Err(StoreError::Full(_)) if self.shared.reserve.release() => self.write(work).await,
            done => done,
        }
    }

    /// Reserves room for [`Store::write_freeing`] again, where the disk has it. To be called now and then.
    pub fn keep_reserve(&self) {
        self.shared.reserve.keep();
    }

    /// Whether the disk has room for more than a few small works.
    pub fn has_room(&self) -> bool {
        self.shared.reserve.has_room()
    }

    async fn hand_in<T, F>(&self, work: F, durable: bool) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (job, answer) = Typed::new(work, durable);
        let sent = self.shared.outbox.send(Message::Work(Box::new(job))).await;
        sent.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Runs `work` on one of a few connections that cannot write, on a blocking thread. It sees all that was
    /// acknowledged before.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let turn = self.shared.readers.turn().await?;
        let shared = Arc::clone(&self.shared);
        let read = move || {
            // The turn goes with the connection, whether or not somebody still waits.
            let _turn = turn;
            shared.readers.run(work)
        };
        spawn_blocking(read).await.unwrap_or(Err(StoreError::Panicked))
    }

    /// Takes no more work, ends what was accepted, copies the log back into the file, and lets the file go. The other
    /// handles answer [`StoreError::Closed`] from then on.
    pub async fn close(self) {
        self.shared.readers.close();
        // An error: another handle closed it before.
        self.shared.outbox.send(Message::Close).await.ok();
        let thread = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let ended = spawn_blocking(move || thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::error!("the store's writer panicked");
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
