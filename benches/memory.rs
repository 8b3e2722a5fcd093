//! Resident memory: an idle host, a thousand deployed and idle functions, a million queued events.
//!
//! `cargo build --release -p wicket && cargo bench -p wicket-benches --bench memory`

use std::sync::Arc;

use wicket_benches::Table;
use wicket_core::{Delivery, Event, EventId, Invocation, Queue, StagedObject};
use wicket_queue::SqliteQueue;
use wicket_store::{Publish, Store, StoreError, Tx};
use wicket_tests::TestHost;

const FUNCTIONS: u64 = 1_000;
const EVENTS: usize = 1_000_000;
const GROUP: usize = 2_000;

#[derive(Debug)]
struct NoOutputs;

impl Publish for NoOutputs {
    fn publish(&self, _tx: &mut Tx<'_>, _outputs: &[StagedObject]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A million invocations of a service that is not deployed: they wait.
async fn fill(data: &std::path::Path) {
    // The host's parts were made by the host; here only the queue's are asked for.
    let store = Store::open(&data.join("wicket.db"), &[wicket_queue::PART]).expect("the host's store");
    let queue = SqliteQueue::new(store.clone(), Arc::new(NoOutputs));
    let service = "waiting".parse().expect("a name");
    for _ in 0..EVENTS / GROUP {
        let event = || Event::new("/bench", "bench", EventId::random());
        let group = (0..GROUP).map(|_| Delivery::Run(Invocation::of(&service, event()))).collect();
        queue.push(group).await.expect("a push");
    }
    drop(queue);
    store.close().await;
}

fn mb(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[tokio::main]
async fn main() {
    let mut table = Table::new(&["state", "RSS", "goal"]);
    let host = TestHost::start();
    host.get("/health").await;
    table.row(&["idle host".to_owned(), mb(host.rss()), "≤ 40 MB".to_owned()]);

    let mut services = String::new();
    for idx in 0..FUNCTIONS {
        services.push_str(&format!(
            "- bench:\n    name: f{idx}\n    wasm: {{guest:hello}}\n    http: {{ path: /f{idx} }}\n"
        ));
    }
    host.apply(&services);
    let mut host = host.restart();
    host.get("/health").await;
    let empty = TestHost::start();
    empty.get("/health").await;
    let each = host.rss().saturating_sub(empty.rss()) / FUNCTIONS;
    let goal = "≤ 16 KB each".to_owned();
    table.row(&[
        format!("{FUNCTIONS} functions, after a restart"),
        format!("{:.1} KB each", each as f64 / 1e3),
        goal,
    ]);

    host.kill();
    fill(&host.data()).await;
    let host = host.restart();
    host.get("/health").await;
    table.row(&[format!("{EVENTS} queued events"), mb(host.rss()), "≤ 200 MB".to_owned()]);
    table.print("Memory");
}
