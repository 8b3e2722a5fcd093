//! Many guests at once: with batches, without, and Python in a loop.

use std::time::Instant;

use futures::future::join_all;
use serde_json::{Value, json};
use wicket_benches::{Table, cpu_time, median};

use crate::Sides;
use crate::figures::{millis, steady, verdict};
use crate::models::Case;

const MODELS: [&str; 4] = ["blazeface", "mask", "efficientnet-lite0", "centerface"];
const GUESTS: [usize; 3] = [1, 8, 32];
const ROUNDS: usize = 3;
const SPAN_MS: u64 = 1500;
/// Rows that a batch may have.
const ROWS: u64 = 16;
const CURVE: [u64; 5] = [1, 2, 4, 8, 16];
/// A model gains by batches when its rows are so much cheaper in them.
const GAINS: f64 = 1.2;

/// Our services of a model: name, what the table says, batches.
const WAYS: [(&str, &str, u64, &str); 3] = [
    ("alone", "guests, no batches", 1, "0s"),
    ("together", "guests, batches of up to 16", ROWS, "0s"),
    ("window", "guests, batches of up to 16, window 5 ms", ROWS, "5ms"),
];

/// What one way did in a round.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    per_second: f64,
    cpu_ms: f64,
}

/// Prints the curve of batches and the throughput.
pub(crate) async fn throughput(sides: &mut Sides, cases: &[Case]) {
    let cases: Vec<&Case> = cases.iter().filter(|case| MODELS.contains(&case.name)).collect();
    let gains = curve(sides, &cases);
    let columns =
        ["model", "guests", "way", "inferences/s", "÷ Python", "÷ no batches", "CPU ms each", "goal", ""];
    let mut table = Table::new(&columns);
    for (case, gain) in cases.iter().zip(gains) {
        for (way, _, size, window) in WAYS {
            let model = json!({"target": sides.target, "batch": {"size": size, "window": window}});
            sides.host.deploy(&format!("{}-{way}", case.name), Some((&case.file, model))).await;
        }
        for guests in GUESTS {
            rows(&mut table, sides, case, guests, gain).await;
        }
    }
    table.print(&format!("Throughput, on {}", sides.target));
}

async fn rows(table: &mut Table, sides: &mut Sides, case: &Case, guests: usize, gain: f64) {
    let mut rounds: [Vec<Seen>; 4] = Default::default();
    // The first fills caches.
    for round in 0..=ROUNDS {
        for (at, seen) in rounds.iter_mut().enumerate() {
            let now = match WAYS.get(at) {
                Some((way, ..)) => ours(sides, case, way, guests).await,
                None => theirs(sides, case),
            };
            if round > 0 {
                seen.push(now);
            }
        }
    }
    let middle = |at: usize, of: fn(&Seen) -> f64| median(rounds[at].iter().map(of).collect());
    let (alone, python) = (middle(0, |seen| seen.per_second), middle(3, |seen| seen.per_second));
    let names = WAYS.iter().map(|(_, name, ..)| *name).chain(["Python, in a loop"]);
    let on_gpu = sides.target != "cpu";
    for (at, name) in names.enumerate() {
        let rate = middle(at, |seen| seen.per_second);
        let wanted = if on_gpu { 3.0 } else { GAINS };
        let (goal, met) = match (at, guests) {
            (0, 1) => ("≥ 1.0 × Python".to_owned(), verdict(rate >= python)),
            (1, 8..) if on_gpu || gain >= GAINS => {
                (format!("≥ {wanted} × no batches"), verdict(rate >= wanted * alone))
            }
            (1, 8..) => ("the model gains nothing".to_owned(), String::new()),
            _ => Default::default(),
        };
        table.row(&[
            case.name.to_owned(),
            guests.to_string(),
            name.to_owned(),
            format!("{rate:.0}"),
            format!("{:.2}", rate / python),
            format!("{:.2}", rate / alone),
            format!("{:.2}", middle(at, |seen| seen.cpu_ms)),
            goal,
            met,
        ]);
    }
}

async fn ours(sides: &Sides, case: &Case, way: &str, guests: usize) -> Seen {
    let task =
        json!({"infer": {"model": "model", "inputs": case.inputs(1), "runs": 1_000_000, "for_ms": SPAN_MS}});
    let service = format!("{}-{way}", case.name);
    let (begin, cpu) = (Instant::now(), sides.host.cpu());
    let told = join_all((0..guests).map(|_| sides.host.call(&service, &task, b""))).await;
    let span = begin.elapsed().as_secs_f64();
    let count: usize = told.iter().map(|(told, _)| told["each"].as_array().map_or(0, Vec::len)).sum();
    let count = count.max(1) as f64;
    Seen { per_second: count / span, cpu_ms: (sides.host.cpu() - cpu) / count * 1e3 }
}

fn python(sides: &mut Sides, case: &Case, rows: u64, runs: u64, for_ms: u64) -> Value {
    sides.python.ask(&json!({"op": "infer", "model": case.file, "inputs": case.inputs(rows), "runs": runs,
        "for_ms": for_ms, "threads": sides.threads, "provider": sides.provider}))
}

fn theirs(sides: &mut Sides, case: &Case) -> Seen {
    let pid = sides.python.pid();
    let (begin, cpu) = (Instant::now(), cpu_time(pid));
    let told = python(sides, case, 1, 1_000_000, SPAN_MS);
    let span = begin.elapsed().as_secs_f64();
    let count = told["each"].as_array().map_or(0, Vec::len).max(1) as f64;
    Seen { per_second: count / span, cpu_ms: (cpu_time(pid) - cpu) / count * 1e3 }
}

/// Prints what a row costs Python in batches of some sizes; for each model, how much cheaper it gets.
fn curve(sides: &mut Sides, cases: &[&Case]) -> Vec<f64> {
    let columns = ["model", "1 row, ms", "2", "4", "8", "16", "gain"];
    let mut table = Table::new(&columns);
    let mut gains = Vec::new();
    for case in cases {
        let mut rounds: Vec<Vec<f64>> = CURVE.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            for (rows, seen) in CURVE.iter().zip(&mut rounds) {
                let told = python(sides, case, *rows, 1000, 300);
                seen.push(steady(millis(&told["each"])) / *rows as f64);
            }
        }
        let each: Vec<f64> = rounds.into_iter().map(median).collect();
        let gain = each[0] / each.iter().copied().fold(f64::MAX, f64::min);
        let mut cells = vec![case.name.to_owned()];
        cells.extend(each.iter().map(|ms| format!("{ms:.3}")));
        cells.push(format!("{gain:.2}"));
        table.row(&cells);
        gains.push(gain);
    }
    table.print(&format!("What a row costs in a batch (Python, on {})", sides.target));
    gains
}
