//! The contract over the queue on disk.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tempfile::TempDir;
use wicket_core::{Queue, StagedObject};
use wicket_queue::contract::Subject;
use wicket_queue::{PART, SqliteQueue};
use wicket_store::{Publish, Store, StoreError, Tx};

/// Remembers what it was told to publish, once the commit stands.
#[derive(Debug, Default)]
struct Bucket(Arc<Mutex<Vec<StagedObject>>>);

impl Publish for Bucket {
    fn publish(&self, tx: &mut Tx<'_>, outputs: &[StagedObject]) -> Result<(), StoreError> {
        let (seen, outputs) = (Arc::clone(&self.0), outputs.to_vec());
        tx.after_commit(move || seen.lock().expect("a lock").extend(outputs));
        Ok(())
    }
}

struct Disk {
    queue: Arc<SqliteQueue>,
    bucket: Arc<Bucket>,
    _folder: TempDir,
}

#[async_trait]
impl Subject for Disk {
    fn queue(&self) -> &dyn Queue {
        &*self.queue
    }
    async fn published(&self) -> Vec<StagedObject> {
        self.bucket.0.lock().expect("a lock").clone()
    }
}

async fn make() -> Disk {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&folder.path().join("node.db"), &[PART]).expect("a store");
    let bucket = Arc::new(Bucket::default());
    Disk { queue: SqliteQueue::new(store, Arc::clone(&bucket) as _), bucket, _folder: folder }
}

wicket_queue::contract!(make);
