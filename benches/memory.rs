//! Resident memory: an idle host, a thousand deployed functions that are idle or were called, a million queued events.
//!
//! `cargo build --release -p wicket && cargo bench -p wicket-benches --bench memory`

use std::sync::Arc;

use wicket_benches::{Table, scratch};
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

/// A module like no other: `hello` with a custom section.
fn distinct(idx: u64) -> Vec<u8> {
    let mut module = std::fs::read(wicket_tests::guests::path("hello")).expect("it is there");
    // Id 0, the section's size, its name's size, its name, its content.
    module.extend([0, 14, 5]);
    module.extend(*b"bench");
    module.extend(idx.to_le_bytes());
    module
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

    let (files, mut services) = (scratch(), String::new());
    for idx in 0..FUNCTIONS {
        let file = files.path().join(format!("f{idx}.wasm"));
        std::fs::write(&file, distinct(idx)).expect("a module");
        let file = file.display();
        services.push_str(&format!(
            "- bench:\n    name: f{idx}\n    wasm: {file}\n    http: {{ path: /f{idx} }}\n"
        ));
    }
    host.apply(&services);
    let mut host = host.restart();
    host.get("/health").await;
    let empty = TestHost::start();
    empty.get("/health").await;
    let each = host.rss().saturating_sub(empty.rss()) / FUNCTIONS;
    let each = format!("{:.1} KB each", each as f64 / 1e3);
    table.row(&[format!("{FUNCTIONS} functions, after a restart"), each, "≤ 16 KB each".to_owned()]);
    for idx in 0..FUNCTIONS {
        assert!(host.get(&format!("/f{idx}")).await.status.is_success(), "f{idx} answers");
    }
    let called = format!("{FUNCTIONS} functions, each called once (256 stay loaded)");
    table.row(&[called, mb(host.rss()), "stated".to_owned()]);

    host.kill();
    fill(&host.data()).await;
    let host = host.restart();
    host.get("/health").await;
    table.row(&[format!("{EVENTS} queued events"), mb(host.rss()), "≤ 200 MB".to_owned()]);
    table.print("Memory");
}
