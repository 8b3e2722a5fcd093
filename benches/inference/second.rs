//! A second service that uses a model which is loaded already, beside the first.

use serde_json::{Value, json};
use wicket_benches::{Table, median};

use crate::fetched;
use crate::figures::verdict;
use crate::host::Host;
use crate::models::Case;

const MODELS: [&str; 3] = ["mask", "efficientnet-lite0", "centerface"];
const ROUNDS: usize = 7;
/// Runs of a call: the first is what is wanted, the others what a run takes anyway.
const RUNS: usize = 21;

/// Each call has an instance of its own, whose memory is touched for the first time: what that takes, the first service
/// called again tells.
const WAYS: [&str; 3] =
    ["the first: the model is loaded", "the first again", "the second: the model is there"];

/// What a first call took, and what stays of it.
#[derive(Clone, Copy, Debug, Default)]
struct First {
    /// From the name to a model that can run, ms.
    load: f64,
    /// From the name to the first result, less what a run takes, ms.
    result: f64,
    /// MB more than before.
    memory: f64,
}

/// Prints the table.
pub(crate) async fn second(threads: usize, cases: &[Case]) {
    let columns =
        ["model", "service", "load-by-name ms", "first result ms, less a run", "memory MB", "goal", ""];
    let mut table = Table::new(&columns);
    for case in cases.iter().filter(|case| MODELS.contains(&case.name)) {
        let library = fetched("onnxruntime/libonnxruntime.so");
        let mut host = Host::start(&format!("onnxruntime = {library:?}\nthreads = {threads}"));
        for service in ["first", "second"] {
            host.deploy(service, Some((&case.file, json!({})))).await;
        }
        // A service without a model: what a call leaves that infers nothing.
        host.deploy("none", None).await;
        let mut seen: [Vec<First>; 3] = Default::default();
        for _ in 0..ROUNDS {
            host = host.restart();
            let idle = json!({"frames": {"runs": 0, "side": 32}});
            host.call("none", &idle, b"").await;
            for (service, seen) in ["first", "first", "second"].iter().zip(&mut seen) {
                seen.push(call(&host, service, case).await);
            }
        }
        let of = |at: usize, of: fn(&First) -> f64| median(seen[at].iter().map(of).collect());
        for (at, service) in WAYS.iter().enumerate() {
            let (result, memory) = (of(at, |first| first.result), of(at, |first| first.memory));
            let added = result - of(1, |first| first.result);
            let (goal, met) = match at {
                2 => (
                    format!("≤ 1 MB, ≤ 1 ms over the first again: {added:.3}"),
                    verdict(memory <= 1.0 && added <= 1.0),
                ),
                _ => Default::default(),
            };
            table.row(&[
                case.name.to_owned(),
                (*service).to_owned(),
                format!("{:.3}", of(at, |first| first.load)),
                format!("{result:.3}"),
                format!("{memory:.2}"),
                goal,
                met,
            ]);
        }
    }
    table.print("A second service");
}

async fn call(host: &Host, service: &str, case: &Case) -> First {
    let task = |runs: usize| json!({"infer": {"model": "model", "inputs": case.inputs(1), "runs": runs}});
    let before = host.memory();
    let (told, _) = host.call(service, &task(RUNS), b"").await;
    let after = host.memory();
    let each: Vec<f64> = told["each"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let load = told["load"].as_f64().unwrap_or_default();
    let first = each.first().copied().unwrap_or_default();
    First {
        load: load / 1e6,
        result: (load + first - median(each)).max(0.0) / 1e6,
        memory: (after as f64 - before as f64) / 1e6,
    }
}
