//! HTTP hello: a new instance for each request, beside `wasmtime serve` and hyper alone.
//!
//! `cargo build --release -p wicket && cargo bench -p wicket-benches --bench http`

use wicket_benches::{Load, Peer, Table, cpu_time, free_port, median, wasmtime, wrk};
use wicket_tests::{TestHost, guests};

/// Interleaved rounds; the median of each figure is told.
const ROUNDS: usize = 5;
/// Seconds of load in a round.
const SECONDS: u32 = 4;

/// The flags that make `serve` quickest with a fresh instance per request.
const BEST: &str = "pooling-allocator,pooling-memory-keep-resident=2097152,pooling-table-keep-resident=65536,pooling-async-stack-keep-resident=131072,pooling-pagemap-scan=y";

struct Server {
    name: &'static str,
    url: String,
    pid: u32,
    _keep: Box<dyn std::any::Any>,
}

fn serve(name: &'static str, flags: &[&str]) -> Server {
    let (port, hello) = (free_port(), guests::path("hello"));
    let address = format!("127.0.0.1:{port}");
    let mut args = vec!["serve", "-S", "cli", "--addr", &address];
    args.extend(flags);
    args.push(hello.to_str().expect("a path that is text"));
    let peer = Peer::start(&wasmtime(), &args, port);
    Server { name, url: format!("http://{address}/hello"), pid: peer.pid(), _keep: Box::new(peer) }
}

fn ours(name: &'static str, reuse: u32) -> Server {
    let host = TestHost::start();
    host.apply(&format!(
        "- bench:\n    name: hello\n    wasm: {{guest:hello}}\n    instance_reuse: {reuse}\n    limits: {{ concurrency: 512 }}\n    http: {{ path: /hello }}"
    ));
    Server { name, url: format!("{}/hello", host.http), pid: host.pid(), _keep: Box::new(host) }
}

fn hyper() -> Server {
    let port = free_port();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_hyper_hello"));
    let peer = Peer::start(program, &[&port.to_string()], port);
    Server {
        name: "hyper alone",
        url: format!("http://127.0.0.1:{port}/"),
        pid: peer.pid(),
        _keep: Box::new(peer),
    }
}

#[expect(clippy::print_stderr, reason = "progress of something that takes minutes")]
fn main() {
    let servers = [
        hyper(),
        serve("wasmtime serve, default flags", &[]),
        serve("wasmtime serve, best fresh-instance flags", &["-O", BEST]),
        ours("wicket, fresh instance", 1),
        serve("wasmtime serve, reuse 1000", &["-O", BEST, "--max-instance-reuse-count", "1000"]),
        ours("wicket, instance_reuse 1000", 1000),
    ];
    for server in &servers {
        wrk(&server.url, 8, 1);
    }
    let mut table =
        Table::new(&["server", "c", "req/s", "p50 µs", "p99 µs", "server CPU µs/request", "errors"]);
    for connections in [1, 32, 256] {
        let mut rounds: Vec<Vec<(Load, f64)>> = servers.iter().map(|_| Vec::new()).collect();
        for round in 0..ROUNDS {
            eprintln!("c={connections}, round {} of {ROUNDS}", round + 1);
            for (server, seen) in servers.iter().zip(&mut rounds) {
                let before = cpu_time(server.pid);
                let load = wrk(&server.url, connections, SECONDS);
                let cpu = (cpu_time(server.pid) - before) * 1e6 / load.requests.max(1) as f64;
                seen.push((load, cpu));
            }
        }
        for (server, seen) in servers.iter().zip(rounds) {
            let of = |figure: fn(&(Load, f64)) -> f64| median(seen.iter().map(figure).collect());
            table.row(&[
                server.name.to_owned(),
                connections.to_string(),
                format!("{:.0}", of(|(load, _)| load.per_second)),
                format!("{:.0}", of(|(load, _)| load.p50)),
                format!("{:.0}", of(|(load, _)| load.p99)),
                format!("{:.1}", of(|(_, cpu)| *cpu)),
                seen.iter().map(|(load, _)| load.errors).sum::<u64>().to_string(),
            ]);
        }
    }
    table.print("HTTP hello");
}
