//! One inference, from inside a guest, beside Python's: the same model, library, threads and input.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wicket_benches::{Table, median};

use crate::figures::{Pairs, millis, steady, verdict};
use crate::models::Case;
use crate::{Sides, say};

const ROUNDS: usize = 9;
/// How long one side is measured in a round, and how often at most.
const SPAN_MS: f64 = 400.0;
const MOST: f64 = 1000.0;
/// Models over it have a goal by ratio.
const LARGE_MS: f64 = 5.0;

/// What the parts of an inference took, µs.
struct Parts {
    give: f64,
    /// Of the call: what is not the run.
    hops: f64,
    run: f64,
    take: f64,
}

/// Prints both tables; our ms for each model.
pub(crate) async fn one(sides: &mut Sides, cases: &[Case]) -> Vec<(&'static str, f64)> {
    let mut table = Table::new(&["model", "input KB", "Python ms", "guest ms", "×", "added µs", "goal", ""]);
    let mut steps = Table::new(&[
        "model",
        "inputs to the host µs",
        "run µs",
        "hops and queue µs",
        "of these, bare hops µs",
        "outputs back µs",
    ]);
    let mut seen = Vec::new();
    for case in cases {
        let pairs = measure(sides, case).await;
        let large = pairs.theirs() > LARGE_MS;
        let added = pairs.added() * 1e3;
        let (goal, met) = match large {
            true => ("≤ 1.05 ×", pairs.ratio() <= 1.05),
            false => ("≤ 100 µs added", added <= 100.0),
        };
        table.row(&[
            case.name.to_owned(),
            format!("{:.0}", case.bytes() as f64 / 1e3),
            format!("{:.3}", pairs.theirs()),
            format!("{:.3}", pairs.ours()),
            format!("{:.3}", pairs.ratio()),
            format!("{added:.0}"),
            goal.to_owned(),
            verdict(met),
        ]);
        let parts = parts(sides, case).await;
        steps.row(&[
            case.name.to_owned(),
            format!("{:.0}", parts.give),
            format!("{:.0}", parts.run),
            format!("{:.0}", parts.hops),
            format!("{:.0}", bare_hops(parts.run)),
            format!("{:.0}", parts.take),
        ]);
        seen.push((case.name, pairs.ours()));
    }
    table.print(&format!("One inference from inside a guest, on {}", sides.target));
    steps.print(&format!("Its parts, on {}", sides.target));
    seen
}

fn python(sides: &mut Sides, case: &Case, runs: usize) -> Value {
    let (threads, provider) = (sides.threads, sides.provider);
    sides.python.ask(&json!({"op": "infer", "model": case.file, "inputs": case.inputs(1), "runs": runs,
        "threads": threads, "provider": provider}))
}

fn task(case: &Case, runs: usize) -> Value {
    json!({"model": "model", "inputs": case.inputs(1), "runs": runs})
}

async fn measure(sides: &mut Sides, case: &Case) -> Pairs {
    sides.host.deploy(case.name, Some((&case.file, json!({"target": sides.target})))).await;
    let runs = (SPAN_MS / steady(millis(&python(sides, case, 5)["each"]))).clamp(11.0, MOST) as usize;
    let mut pairs = Pairs::default();
    let mut sums = (0.0, 0.0);
    // The first round fills caches. Who goes first changes.
    for round in 0..=ROUNDS {
        let theirs = (round % 2 == 0).then(|| python(sides, case, runs));
        let (ours, _) = sides.host.call(case.name, &json!({"infer": task(case, runs)}), b"").await;
        let theirs = theirs.unwrap_or_else(|| python(sides, case, runs));
        if round > 0 {
            pairs.ours.push(steady(millis(&ours["each"])));
            pairs.theirs.push(steady(millis(&theirs["each"])));
        }
        sums = (ours["sum"].as_f64().unwrap_or_default(), theirs["sum"].as_f64().unwrap_or_default());
    }
    let apart = (sums.0 - sums.1).abs() / sums.1.abs().max(1.0);
    if apart > 1e-3 {
        say(&format!("{}: the two sides do not say the same: {} and {}", case.name, sums.0, sums.1));
    }
    pairs
}

/// What it takes to hand eight bytes to another thread that computes for so many µs, and to have them back, µs: the least that a
/// worker of its own can cost on this machine, whose idle processors wake the later the longer they were idle.
fn bare_hops(computes: f64) -> f64 {
    let (mut here, mut there) = UnixStream::pair().expect("a pair of sockets");
    let computes = Duration::from_secs_f64(computes / 1e6);
    let rounds = if computes > Duration::from_millis(10) { 50 } else { 300 };
    let other = std::thread::spawn(move || {
        let mut bytes = [0; 8];
        while there.read_exact(&mut bytes).is_ok() {
            let begin = Instant::now();
            while begin.elapsed() < computes {
                std::hint::spin_loop();
            }
            let took = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
            there.write_all(&took.to_ne_bytes()).expect("somebody listens");
        }
    });
    let mut hops = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let (begin, mut bytes) = (Instant::now(), [0; 8]);
        here.write_all(&bytes).and_then(|()| here.read_exact(&mut bytes)).expect("somebody answers");
        hops.push((begin.elapsed().as_nanos() as f64 - u64::from_ne_bytes(bytes) as f64) / 1e3);
    }
    drop(here);
    other.join().expect("it ends with the socket");
    median(hops)
}

async fn parts(sides: &Sides, case: &Case) -> Parts {
    let (told, id) = sides.host.call(case.name, &json!({"parts": task(case, 101)}), b"").await;
    let receipt = sides.host.host.receipt(&id).await;
    let used = &receipt["attempts"][0]["inference"][0];
    let of = |field: &str| used[field].as_f64().unwrap_or_default();
    let run = of("run_us") / of("calls").max(1.0);
    let micros = |list: &Value| steady(millis(list)) * 1e3;
    // Means beside means: the receipt has no other.
    let compute = millis(&told["compute"]);
    let mean = compute.iter().sum::<f64>() / compute.len().max(1) as f64 * 1e3;
    let hops = mean - run;
    Parts { give: micros(&told["give"]), hops, run, take: micros(&told["take"]) }
}
