//! PUT of a 10 KB object until the function's result is visible, on an idle host; beside two fsyncs of the same disk.
//!
//! `cargo build --release -p wicket && cargo bench -p wicket-benches --bench upload`

use std::io::Write;
use std::time::Instant;

use wicket_benches::{Connection, Keys, Payload, Table, median, percentile, scratch};
use wicket_tests::TestHost;

const UPLOADS: usize = 200;

/// Two appends of 10 KB, each synced, µs.
fn two_fsyncs() -> f64 {
    let folder = scratch();
    let mut file = std::fs::File::create(folder.path().join("file")).expect("a file");
    let begin = Instant::now();
    for _ in 0..2 {
        file.write_all(&[7; 10_240]).expect("a write");
        file.sync_data().expect("a sync");
    }
    begin.elapsed().as_secs_f64() * 1e6
}

#[tokio::main]
async fn main() {
    let host = TestHost::start();
    host.apply(
        "- bench:\n    name: echo\n    wasm: {guest:echo}\n    input:\n    - { path: bench/in }\n    output:\n    - { path: bench/out }",
    );
    let address = host.s3.trim_start_matches("http://");
    let mut client = Connection::open(address, &Keys::of(&host)).await;
    let payload = Payload::of(10_240);
    let (mut results, mut puts, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for idx in 0..UPLOADS {
        floors.push(two_fsyncs());
        let begin = Instant::now();
        client.put(&format!("/bench/in/{idx}.bin"), &payload).await;
        puts.push(begin.elapsed().as_secs_f64() * 1e6);
        let result = format!("/bench/out/{idx}.bin");
        while !client.has(&result).await {
            assert!(begin.elapsed().as_secs() < 30, "{result} does not appear");
        }
        results.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    let (p50, floor) = (median(results.clone()), median(floors));
    let mut table = Table::new(&["what", "p50 µs", "p99 µs", "÷ floor"]);
    let p99 = format!("{:.0}", percentile(results, 0.99));
    table.row(&["PUT to result visible".to_owned(), format!("{p50:.0}"), p99, format!("{:.2}", p50 / floor)]);
    let (put, slow) = (median(puts.clone()), percentile(puts, 0.99));
    let ratio = format!("{:.2}", put / floor);
    table.row(&["of that, PUT to 200".to_owned(), format!("{put:.0}"), format!("{slow:.0}"), ratio]);
    table.row(&["two fsyncs".to_owned(), format!("{floor:.0}"), String::new(), "1".to_owned()]);
    table.print("Upload to result");
}
