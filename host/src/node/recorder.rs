//! Receipts of synchronous calls: stored in bulk a moment later, so that no call waits for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use wicket_core::{Log, LogLine, Queue, Receipt};
use wicket_queue::SqliteQueue;

/// Receipts that may wait for the disk. Beyond this a receipt is dropped and counted: the calls go on.
const WAITING: usize = 16_384;
/// Bytes of logs that may wait with them. Beyond this a receipt goes on without its log, which says so.
const WAITING_LOGS: u64 = 64 << 20;
/// Receipts in one transaction: packing them keeps the thread from its calls, for some microseconds each.
const GROUP: usize = 128;
/// How long a receipt waits for others to share its transaction.
const WINDOW: Duration = Duration::from_millis(100);

/// Where receipts of synchronous calls go. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    sender: mpsc::Sender<(Receipt, Log)>,
    dropped: Arc<AtomicU64>,
    /// Bytes of logs that wait.
    logs: Arc<AtomicU64>,
    /// Receipts that were taken, and those of them that are done with.
    taken: Arc<AtomicU64>,
    done: watch::Receiver<u64>,
    /// Somebody waits for the receipts.
    hurry: Arc<Notify>,
}

impl Recorder {
    /// The recorder, and the loop that stores what it is given until every clone is gone.
    pub(crate) fn new(queue: Arc<SqliteQueue>) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let logs = Arc::<AtomicU64>::default();
        let (waiting, dropped) = (logs.clone(), Arc::<AtomicU64>::default());
        let lost = dropped.clone();
        let (stored, done) = watch::channel(0);
        let hurry = Arc::<Notify>::default();
        let hurried = hurry.clone();
        let store = async move {
            let mut group = Vec::new();
            while receiver.recv_many(&mut group, GROUP).await > 0 {
                if group.len() < GROUP {
                    tokio::select! {
                        () = tokio::time::sleep(WINDOW) => {}
                        () = hurried.notified() => {}
                    }
                    while group.len() < GROUP
                        && let Ok(call) = receiver.try_recv()
                    {
                        group.push(call);
                    }
                }
                let n_calls = group.len();
                let bytes: u64 = group.iter().map(|(_, log)| size(log)).sum();
                if let Err(error) = queue.record(std::mem::take(&mut group)).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, n_calls, "receipts could not be stored");
                    lost.fetch_add(n_calls as u64, Ordering::Relaxed);
                }
                waiting.fetch_sub(bytes, Ordering::Relaxed);
                stored.send_modify(|stored| *stored += n_calls as u64);
            }
        };
        (Self { sender, dropped, logs, taken: Arc::default(), done, hurry }, store)
    }

    /// Stores a receipt soon.
    pub(crate) fn record(&self, receipt: Receipt, log: Log) {
        let log = self.admitted(log);
        let bytes = size(&log);
        if self.sender.try_send((receipt, log)).is_ok() {
            self.taken.fetch_add(1, Ordering::Release);
        } else {
            self.logs.fetch_sub(bytes, Ordering::Relaxed);
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            // Powers of two: the first says that it began, and a storm does not fill the log.
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "receipts of synchronous calls dropped: the store is behind");
            }
        }
    }

    /// Returns when every receipt that was given so far is stored, or lost: who was told of a call finds its receipt.
    pub(crate) async fn flush(&self) {
        let taken = self.taken.load(Ordering::Acquire);
        let mut done = self.done.clone();
        if *done.borrow() < taken {
            self.hurry.notify_one();
            // An error: the host ends, and nothing more will be stored.
            let _ended = done.wait_for(|done| *done >= taken).await;
        }
    }

    /// The log, if there is room for it; otherwise only how much it was.
    fn admitted(&self, log: Log) -> Log {
        let bytes = size(&log);
        if self.logs.fetch_add(bytes, Ordering::Relaxed) + bytes <= WAITING_LOGS {
            return log;
        }
        self.logs.fetch_sub(bytes, Ordering::Relaxed);
        let gone: u64 = log.lines.iter().map(|line| line.text.len() as u64).sum();
        Log { lines: Vec::new(), dropped: log.dropped.saturating_add(gone) }
    }

    /// Receipts dropped so far: there was no room for them, or the store did not take them.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Memory that a log takes, about.
fn size(log: &Log) -> u64 {
    log.lines.iter().map(LogLine::size).sum()
}

#[cfg(test)]
mod tests {
    use wicket_core::{EventId, InvocationId, LogLine, LogStream, StagedObject, State, Timestamp, Trigger};
    use wicket_store::{Publish, Store, StoreError, Tx};

    use super::*;

    /// A receipt of nothing in particular.
    fn receipt() -> Receipt {
        let id = InvocationId::random();
        let event = EventId(id.to_string());
        Receipt {
            id,
            service: "web".parse().unwrap(),
            trigger: Trigger::Run,
            event: event.clone(),
            source: "/run/web".to_owned(),
            subject: None,
            origin: event,
            state: State::Succeeded,
            accepted: Timestamp(0),
            finished: Some(Timestamp(0)),
            due: None,
            waiting: None,
            attempts: Vec::new(),
        }
    }

    #[derive(Debug)]
    struct NoBucket;

    impl Publish for NoBucket {
        fn publish(&self, _: &mut Tx<'_>, _: &[StagedObject]) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn receipts_that_the_store_does_not_take_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wicket.db"), &[wicket_queue::PART]).unwrap();
        let (recorder, storing) = Recorder::new(SqliteQueue::new(store.clone(), Arc::new(NoBucket)));
        store.close().await;
        recorder.record(receipt(), Log::default());
        recorder.record(receipt(), Log::default());
        let dropped = recorder.dropped.clone();
        drop(recorder);
        storing.await;
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn who_was_told_of_a_call_finds_its_receipt() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wicket.db"), &[wicket_queue::PART]).unwrap();
        let queue = SqliteQueue::new(store, Arc::new(NoBucket));
        let (recorder, storing) = Recorder::new(queue.clone());
        let receipt = receipt();
        recorder.record(receipt.clone(), Log::default());
        tokio::select! {
            () = storing => panic!("the recorder ends with its last clone"),
            () = recorder.flush() => {}
        }
        assert_eq!(queue.receipt(receipt.id).await.unwrap().map(|found| found.id), Some(receipt.id));
    }

    #[test]
    fn logs_that_wait_for_a_slow_store_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wicket.db"), &[wicket_queue::PART]).unwrap();
        let (recorder, _storing) = Recorder::new(SqliteQueue::new(store, Arc::new(NoBucket)));
        let text = "x".repeat(16 << 20);
        let log =
            Log { lines: vec![LogLine { time: Timestamp(0), stream: LogStream::Stderr, text }], dropped: 5 };
        for _ in 0..3 {
            assert_eq!(recorder.admitted(log.clone()), log);
        }
        assert_eq!(recorder.admitted(log.clone()), Log { lines: Vec::new(), dropped: (16 << 20) + 5 });
        assert_eq!(recorder.logs.load(Ordering::Relaxed), 3 * size(&log));
    }
}
