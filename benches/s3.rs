//! S3: PUT and GET of 10 KB, 1 MB and 100 MB over 1 and 8 connections, beside SeaweedFS as it is by default (an
//! acknowledged object may be lost in a power cut) and with its content synced before it is acknowledged, as ours is.
//!
//! `cargo xtask tools && cargo build --release -p wicket && cargo bench -p wicket-benches --bench s3`

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use wicket_benches::{
    Connection, Keys, Payload, Table, Weed, cpu_time, forget_peak, median, peak_rss, percentile,
};
use wicket_tests::TestHost;

/// Interleaved rounds; the median of each figure is told.
const ROUNDS: usize = 3;
/// How long a round lasts at least; every request that was begun is finished.
const SPAN: Duration = Duration::from_secs(2);
/// Keys that each connection writes in turn, and reads.
const KEYS: usize = 16;

struct Server {
    name: &'static str,
    address: String,
    keys: Keys,
    pid: u32,
    _keep: Box<dyn std::any::Any>,
}

#[derive(Clone, Copy, PartialEq)]
enum Act {
    Put,
    Get,
}

/// What one round saw.
struct Seen {
    per_second: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
    peak: f64,
}

fn ours() -> Server {
    let host = TestHost::start();
    Server {
        name: "wicket",
        address: host.s3.trim_start_matches("http://").to_owned(),
        keys: Keys::of(&host),
        pid: host.pid(),
        _keep: Box::new(host),
    }
}

async fn weed(name: &'static str, fsync: bool) -> Server {
    let weed = Weed::start(fsync).await;
    let (address, keys, pid) = (weed.address.clone(), weed.keys.clone(), weed.pid());
    Server { name, address, keys, pid, _keep: Box::new(weed) }
}

async fn round(server: &Server, act: Act, payload: &Payload, connections: usize) -> Seen {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(&server.address, &server.keys).await);
    }
    // Few keys where an object is large: a hundred of them would be the disk's bench, not the server's.
    let n_keys = if payload.size() > 10 << 20 { 1 } else { KEYS };
    let size = payload.size();
    forget_peak(server.pid);
    let (cpu, begin) = (cpu_time(server.pid), Instant::now());
    let mut workers = JoinSet::new();
    for (worker, mut connection) in open.into_iter().enumerate() {
        let payload = payload.clone();
        workers.spawn(async move {
            let mut latencies = Vec::new();
            while latencies.len() < n_keys || begin.elapsed() < SPAN {
                let path = format!("/bench/{size}/{worker}/{}", latencies.len() % n_keys);
                let sent = Instant::now();
                match act {
                    Act::Put => connection.put(&path, &payload).await,
                    Act::Get => assert_eq!(connection.get(&path).await, size, "{path}"),
                }
                latencies.push(sent.elapsed().as_secs_f64() * 1e3);
            }
            latencies
        });
    }
    let latencies = workers.join_all().await.concat();
    let n_requests = latencies.len() as f64;
    Seen {
        per_second: n_requests / begin.elapsed().as_secs_f64(),
        p50: median(latencies.clone()),
        p99: percentile(latencies, 0.99),
        cpu: (cpu_time(server.pid) - cpu) * 1e3 / n_requests,
        peak: peak_rss(server.pid) as f64 / 1e6,
    }
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "progress of something that takes minutes")]
async fn main() {
    let servers = [
        ours(),
        weed("SeaweedFS, default (no sync)", false).await,
        weed("SeaweedFS, content synced", true).await,
    ];
    Connection::open(&servers[0].address, &servers[0].keys).await.put("/bench", &Payload::of(0)).await;
    let mut table = Table::new(&[
        "object",
        "act",
        "connections",
        "server",
        "req/s",
        "MB/s",
        "p50 ms",
        "p99 ms",
        "server CPU ms/request",
        "peak RSS MB",
    ]);
    for (name, size) in [("10 KB", 10_240), ("1 MB", 1 << 20), ("100 MB", 100 << 20)] {
        let payload = Payload::of(size);
        for connections in [1, 8] {
            let mut rounds: [[Vec<Seen>; 3]; 2] = Default::default();
            for n_round in 0..ROUNDS {
                eprintln!("{name}, {connections} connections, round {} of {ROUNDS}", n_round + 1);
                for (act, seen) in [Act::Put, Act::Get].into_iter().zip(&mut rounds) {
                    for (server, seen) in servers.iter().zip(seen) {
                        seen.push(round(server, act, &payload, connections).await);
                    }
                }
            }
            for (act, seen) in ["PUT", "GET"].into_iter().zip(&rounds) {
                for (server, seen) in servers.iter().zip(seen) {
                    let of = |figure: fn(&Seen) -> f64| median(seen.iter().map(figure).collect());
                    let per_second = of(|seen| seen.per_second);
                    table.row(&[
                        name.to_owned(),
                        act.to_owned(),
                        connections.to_string(),
                        server.name.to_owned(),
                        format!("{per_second:.1}"),
                        format!("{:.1}", per_second * size as f64 / 1e6),
                        format!("{:.2}", of(|seen| seen.p50)),
                        format!("{:.2}", of(|seen| seen.p99)),
                        format!("{:.3}", of(|seen| seen.cpu)),
                        format!("{:.0}", of(|seen| seen.peak)),
                    ]);
                }
            }
        }
    }
    table.print("S3");
}
