//! Durable events a second, 1 and 32 writers, beside raw SQLite with the same group size.
//!
//! `cargo bench -p wicket-benches --bench queue`

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use wicket_benches::{Table, median, scratch};
use wicket_core::{Delivery, Event, EventId, Invocation, Queue, StagedObject};
use wicket_queue::SqliteQueue;
use wicket_store::{Publish, Store, StoreError, Tx};

const ROUNDS: usize = 5;
const SPAN: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct NoOutputs;

impl Publish for NoOutputs {
    fn publish(&self, _tx: &mut Tx<'_>, _outputs: &[StagedObject]) -> Result<(), StoreError> {
        Ok(())
    }
}

fn invocation() -> Invocation {
    let mut event = Event::new("/bench", "bench", EventId::random());
    event.data = wicket_core::Data::Inline(vec![b'x'; 200].into());
    Invocation::of(&"bench".parse().expect("a name"), event)
}

async fn ours(n_writers: usize) -> f64 {
    let folder = scratch();
    let store = Store::open(&folder.path().join("bench.db"), &[wicket_queue::PART]).expect("a store");
    let queue = SqliteQueue::new(store.clone(), Arc::new(NoOutputs));
    let begin = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..n_writers {
        let queue = queue.clone();
        writers.spawn(async move {
            let mut n_pushed = 0u32;
            while begin.elapsed() < SPAN {
                queue.push(vec![Delivery::Run(invocation())]).await.expect("a push");
                n_pushed += 1;
            }
            n_pushed
        });
    }
    let total: u32 = writers.join_all().await.into_iter().sum();
    let rate = f64::from(total) / begin.elapsed().as_secs_f64();
    drop(queue);
    store.close().await;
    rate
}

/// The same bytes into one table with one index, `group` rows a transaction, each transaction synced.
fn raw(group: usize) -> f64 {
    let folder = scratch();
    let db = Connection::open(folder.path().join("raw.db")).expect("a database");
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE q (id TEXT PRIMARY KEY, service TEXT, due INTEGER, event BLOB) STRICT, WITHOUT ROWID;
         CREATE INDEX due ON q (service, due);",
    )
    .expect("a schema");
    let begin = Instant::now();
    let mut n_rows = 0u32;
    while begin.elapsed() < SPAN {
        db.execute_batch("BEGIN IMMEDIATE").expect("begin");
        for _ in 0..group {
            let invocation = invocation();
            let event = serde_json::to_vec(&invocation.event).expect("an event is JSON");
            let mut insert = db.prepare_cached("INSERT INTO q VALUES (?, ?, ?, ?)").expect("a statement");
            let row = (invocation.id.to_string(), "bench", invocation.event.time.0, event);
            insert.execute(row).expect("a row");
            n_rows += 1;
        }
        db.execute_batch("COMMIT").expect("commit");
    }
    f64::from(n_rows) / begin.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let mut table = Table::new(&["writers", "wicket events/s", "raw SQLite rows/s", "ratio"]);
    for writers in [1, 32] {
        let (mut us, mut them) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            us.push(ours(writers).await);
            them.push(raw(writers));
        }
        let (us, them) = (median(us), median(them));
        table.row(&[
            writers.to_string(),
            format!("{us:.0}"),
            format!("{them:.0}"),
            format!("{:.2}", us / them),
        ]);
    }
    table.print("Durable events");
}
