//! Cold: process start to the first 200, beside `wasmtime serve`; the first call of a function after a restart; and from
//! `wicket apply` to the first 200, for a component of 90 KB (`functions/hello`) and one of 12.8 MB (the same with a
//! JavaScript engine inside), neither of which the host has seen before.
//!
//! `cargo build --release -p wicket && cargo bench -p wicket-benches --bench cold`

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use wicket_benches::{Peer, Table, free_port, large_component, median, wasmtime};
use wicket_tests::{TestHost, guests};

const ROUNDS: usize = 11;
/// Of the large component, which takes seconds to compile.
const LARGE_ROUNDS: usize = 3;

/// One GET over a new connection, until it is answered with 200.
fn first_200(address: &str) -> Duration {
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < Duration::from_secs(300), "{address} gives no 200");
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        let request = format!("GET /hello HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let mut answer = String::new();
        if stream.write_all(request.as_bytes()).is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.starts_with("HTTP/1.1 200")
        {
            return begin.elapsed();
        }
    }
}

fn serve(component: &Path, flags: &[&str]) -> f64 {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut args = vec!["serve", "-S", "cli", "--addr", &address];
    args.extend(flags);
    args.push(component.to_str().expect("a path that is text"));
    let begin = Instant::now();
    let _peer = Peer::start(&wasmtime(), &args, port);
    first_200(&address);
    begin.elapsed().as_secs_f64() * 1e3
}

/// From the command that deploys to the first answer, on a host that never saw the component.
fn deploy(component: &Path) -> f64 {
    let host = TestHost::start();
    let address = host.http.trim_start_matches("http://").to_owned();
    let begin = Instant::now();
    host.apply(&format!(
        "- bench:\n    name: hello\n    wasm: {}\n    http: {{ path: /hello }}",
        component.display()
    ));
    first_200(&address);
    begin.elapsed().as_secs_f64() * 1e3
}

/// The start of a process, the first call, and what `serve` needs for the same.
fn started(table: &mut Table) {
    let hello = guests::path("hello");
    let mut host = TestHost::start();
    host.apply("- bench:\n    name: hello\n    wasm: {guest:hello}\n    http: { path: /hello }");
    let (mut start, mut call, mut cached, mut compiled) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        host.kill();
        let begin = Instant::now();
        host = host.restart();
        let address = host.http.trim_start_matches("http://").to_owned();
        call.push(first_200(&address).as_secs_f64() * 1e3);
        start.push(begin.elapsed().as_secs_f64() * 1e3);
        cached.push(serve(&hello, &["-C", "cache=y"]));
        compiled.push(serve(&hello, &["-C", "cache=n"]));
    }
    for (what, figures) in [
        ("wicket: process start to first 200 (compiled at deploy)", start),
        ("wicket: first call of a deployed function after a restart", call),
        ("wasmtime serve: process start to first 200, with its cache", cached),
        ("wasmtime serve: process start to first 200, compiling", compiled),
    ] {
        table.row(&[what.to_owned(), format!("{:.1}", median(figures))]);
    }
}

#[expect(clippy::print_stderr, reason = "what was left out must be said")]
fn main() {
    let mut table = Table::new(&["what", "median ms"]);
    started(&mut table);
    let large = large_component();
    let mut components = vec![("90 KB", guests::path("hello"), ROUNDS)];
    match large {
        Ok(path) => components.push(("12.8 MB", path, LARGE_ROUNDS)),
        Err(why) => eprintln!("{why}"),
    }
    for (name, component, rounds) in components {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(deploy(&component));
            theirs.push(serve(&component, &["-C", "cache=n"]));
        }
        let row = |what: &str, figures| [format!("{what}, {name}"), format!("{:.0}", median(figures))];
        table.row(&row("wicket: `apply` to first 200", ours));
        table.row(&row("wasmtime serve: process start to first 200, compiling", theirs));
    }
    table.print("Cold");
}
