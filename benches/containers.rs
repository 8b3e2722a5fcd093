//! Containers: a trivial one beside the engine alone and `docker run`; the makespan of 100 jobs on two slots beside a
//! shell's loop; and the tail of a wasm function while containers queue.
//!
//! With `cargo xtask engine` in another terminal:
//! `cargo xtask guests && cargo build --release -p wicket && cargo bench -p wicket-benches --bench containers`;
//! one part alone by its name: `-- trivial`, `hundred` or `tail`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use wicket_benches::{
    Bare, Steps, Table, apply_script, call, depth, docker_loop, docker_program, docker_run, ended, median,
    paced, percentile, submit, total_ms,
};
use wicket_core::{AttemptRecord, Receipt, Timestamp};
use wicket_tests::{Engine, Setup, TestHost};

/// Rounds of the trivial container.
const ROUNDS: usize = 31;
/// Rounds of what takes many containers.
const LONG_ROUNDS: usize = 3;
const JOBS: usize = 100;
/// Containers at once: the cores of the machine that the goals are for.
const PARALLEL: usize = 2;
/// Jobs that queue while a wasm function is called.
const QUEUED: usize = 50;
/// Some tens of milliseconds of CPU.
const BURN: &str = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done";
/// Between two calls of the wasm function, and how long it is called.
const PACE: Duration = Duration::from_millis(5);
const SPAN: Duration = Duration::from_secs(6);

fn ms(figures: Vec<f64>) -> String {
    format!("{:.1}", median(figures))
}

/// Waits until what the last round made is removed, so that it takes nothing from the next.
async fn quiet(engine: &Engine, host: &TestHost) {
    while engine.left(host).await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn trivial(engine: &Engine) {
    let host = engine.host();
    apply_script(&host, "trivial", "true", "", &[]);
    let warm = engine.host();
    apply_script(&warm, "warm", "true", "warm: 1", &[]);
    let bare = Bare::new(engine, "true");
    let (mut jobs, mut runs): (Vec<Receipt>, Vec<f64>) = Default::default();
    let (mut warm_jobs, mut warm_runs): (Vec<f64>, Vec<f64>) = Default::default();
    let (mut shell, mut alone, mut heard): (Vec<f64>, Vec<Steps>, Vec<Steps>) = Default::default();
    // The first of each kind fills caches.
    for round in 0..=ROUNDS {
        let begin = Instant::now();
        let status = docker_run(engine, "true").stdout(Stdio::null()).status();
        let by_shell = begin.elapsed().as_secs_f64() * 1e3;
        assert!(status.is_ok_and(|status| status.success()), "`docker run` succeeds");
        let (without, with) = (bare.run(false).await, bare.run(true).await);
        let receipt = ended(&host, &submit(&host, "trivial").await).await;
        quiet(engine, &host).await;
        let begin = Instant::now();
        call(&host, "trivial").await;
        let called = begin.elapsed().as_secs_f64() * 1e3;
        quiet(engine, &host).await;
        let warm_job = ended(&warm, &submit(&warm, "warm").await).await;
        let begin = Instant::now();
        call(&warm, "warm").await;
        if round > 0 {
            warm_runs.push(begin.elapsed().as_secs_f64() * 1e3);
            warm_jobs.push(total_ms(&warm_job));
            shell.push(by_shell);
            alone.push(without);
            heard.push(with);
            jobs.push(receipt);
            runs.push(called);
        }
    }
    let totals = |steps: &[Steps]| median(steps.iter().map(Steps::total).collect());
    let (floor, docker) = (totals(&alone), median(shell.clone()));
    let mut table = Table::new(&["what", "p50 ms", "p90 ms", "÷ bare", "÷ docker run"]);
    for (what, figures) in [
        ("wicket: `POST /job`, accepted to finished", jobs.iter().map(total_ms).collect()),
        ("wicket: `POST /run`, as its client sees it", runs),
        ("wicket, kept warm: `POST /job`, accepted to finished", warm_jobs),
        ("wicket, kept warm: `POST /run`, as its client sees it", warm_runs),
        ("bare: create, start, wait", alone.iter().map(Steps::total).collect()),
        ("bare: create, attach, start, wait", heard.iter().map(Steps::total).collect()),
        ("`docker run --rm --network none`", shell),
    ] {
        let middle = median(figures.clone());
        table.row(&[
            what.to_owned(),
            format!("{middle:.1}"),
            format!("{:.1}", percentile(figures, 0.9)),
            format!("{:.2}", middle / floor),
            format!("{:.2}", middle / docker),
        ]);
    }
    table.print("A trivial container");
    let of = |figure: fn(&Steps) -> f64| ms(heard.iter().map(figure).collect());
    let ours = |figure: fn(&Receipt, &AttemptRecord) -> u64| {
        ms(jobs.iter().map(|one| figure(one, &one.attempts[0]) as f64 / 1e3).collect())
    };
    let mut steps = Table::new(&["step", "p50 ms"]);
    for (what, figure) in [
        ("bare: create", of(|steps| steps.create)),
        ("bare: attach", of(|steps| steps.attach)),
        ("bare: start", of(|steps| steps.start)),
        ("bare: wait", of(|steps| steps.wait)),
        ("bare: remove, after the result", of(|steps| steps.remove)),
        ("wicket: from due to begun", ours(|_, attempt| attempt.queue_us)),
        ("wicket: folders, create, attach, start", ours(|_, attempt| attempt.usage.startup_us)),
        (
            "wicket: wait, what it said, its outputs",
            ours(|_, attempt| attempt.usage.wall_us - attempt.usage.startup_us),
        ),
        (
            "wicket: settled",
            ours(|receipt, attempt| {
                let end = receipt.finished.unwrap_or(receipt.accepted).0 - attempt.started.0;
                u64::try_from(end).unwrap_or(0).saturating_sub(attempt.usage.wall_us)
            }),
        ),
    ] {
        steps.row(&[what.to_owned(), figure]);
    }
    steps.print("Its steps");
}

/// From the first request to the last end, seconds.
async fn makespan(host: &TestHost) -> f64 {
    let begin = Timestamp::now();
    let mut ids = Vec::new();
    for _ in 0..JOBS {
        ids.push(submit(host, "burn").await);
    }
    let mut last = begin;
    for id in ids {
        last = last.max(ended(host, &id).await.finished.unwrap_or(begin));
    }
    (last.0 - begin.0) as f64 / 1e6
}

async fn hundred(engine: &Engine) {
    let host = engine.host_with(&format!("max_containers = {PARALLEL}"), Setup::default());
    apply_script(&host, "burn", BURN, "", &[]);
    let bare = Bare::new(engine, BURN);
    let (mut ours, mut shell, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..LONG_ROUNDS {
        ours.push(makespan(&host).await);
        quiet(engine, &host).await;
        let begin = Instant::now();
        let status = docker_loop(engine, BURN, JOBS, PARALLEL).stdout(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "the loop succeeds");
        shell.push(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        let hand = async || {
            for _ in 0..JOBS / PARALLEL {
                bare.run(false).await;
            }
        };
        futures::future::join_all((0..PARALLEL).map(|_| hand())).await;
        alone.push(begin.elapsed().as_secs_f64());
    }
    let shell = median(shell);
    let mut table = Table::new(&["what", "makespan s", "÷ shell"]);
    for (what, figure) in [
        ("wicket, `max_containers = 2`", median(ours)),
        ("`seq 100 | xargs -P 2 docker run --rm`", shell),
        ("bare: create, start, wait, remove, two at a time", median(alone)),
    ] {
        table.row(&[what.to_owned(), format!("{figure:.2}"), format!("{:.2}", figure / shell)]);
    }
    table.print("100 jobs");
}

async fn tail(engine: &Engine) {
    let host = engine.host_with(&format!("max_containers = {PARALLEL}"), Setup::default());
    apply_script(&host, "burn", BURN, "", &[]);
    host.apply("- bench:\n    name: hello\n    wasm: {guest:hello}\n    http: { path: /hello }");
    let url = format!("{}/hello", host.http);
    let (mut idle, mut beside, mut queued) = (Vec::new(), Vec::new(), Vec::new());
    paced(&url, PACE, Duration::from_secs(1)).await;
    for _ in 0..LONG_ROUNDS {
        idle.push(paced(&url, PACE, SPAN).await);
        let shell = docker_loop(engine, BURN, QUEUED, PARALLEL).stdout(Stdio::null()).spawn();
        let mut shell = shell.expect("`sh` is there");
        beside.push(paced(&url, PACE, SPAN).await);
        let over = shell.try_wait().expect("it is a child").is_some();
        assert!(!over, "the loop ended before the calls did: {QUEUED} containers are too few here");
        assert!(shell.wait().is_ok_and(|status| status.success()), "the loop succeeds");
        for _ in 0..QUEUED {
            submit(&host, "burn").await;
        }
        queued.push(paced(&url, PACE, SPAN).await);
        let waiting = depth(&host).await.queued;
        assert!(waiting > 0, "no job waits any more: {QUEUED} are too few here");
        while depth(&host).await.queued + depth(&host).await.running > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        quiet(engine, &host).await;
    }
    let p99s = |rounds: &[Vec<f64>]| median(rounds.iter().map(|one| percentile(one.clone(), 0.99)).collect());
    let (alone, same) = (p99s(&idle), p99s(&beside));
    let mut table = Table::new(&["beside it", "p50 ms", "p99 ms", "p99 ÷ nothing", "p99 ÷ same containers"]);
    for (what, rounds) in [
        ("nothing", idle),
        ("the same containers by `docker run`, two at a time", beside),
        ("50 jobs in our queue, two at a time", queued),
    ] {
        let p99 = p99s(&rounds);
        table.row(&[
            what.to_owned(),
            format!("{:.2}", median(rounds.into_iter().flatten().collect())),
            format!("{p99:.2}"),
            format!("{:.2}", p99 / alone),
            format!("{:.2}", p99 / same),
        ]);
    }
    table.print("A wasm function while containers queue, 200 calls a second");
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "what was found must be said")]
async fn main() {
    let engine = Engine::find().await;
    eprintln!("engine at {}, `docker` is {}", engine.socket.display(), docker_program().display());
    // Cargo adds options of its own.
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |part: &str| named.is_empty() || named.iter().any(|one| one == part);
    if wanted("trivial") {
        trivial(&engine).await;
    }
    if wanted("hundred") {
        hundred(&engine).await;
    }
    if wanted("tail") {
        tail(&engine).await;
    }
}
