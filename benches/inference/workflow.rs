//! `functions/mask.yaml` from the upload of a video to its report and preview, beside the same steps in one Python process.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wicket_benches::{Table, median, scratch};

use crate::figures::{Pairs, verdict};
use crate::host::Host;
use crate::python::Python;
use crate::{fetched, target};

const ROUNDS: usize = 3;
/// Seconds from frame to frame.
const EVERY: &str = "0.2";
/// Between two looks whether it is done: each look costs the host something.
const LOOK: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
const STAGES: [&str; 5] = ["mask-split", "blur-faces", "mask-detector", "mask-report", "mask-preview"];

/// Prints both tables.
pub(crate) async fn workflow(threads: usize) {
    let library = fetched("onnxruntime/libonnxruntime.so");
    let host = Host::start(&format!("onnxruntime = {library:?}\nthreads = {threads}"));
    deploy(&host);
    // One of its own: what it holds of other parts would be in the way.
    let mut python = Python::start(&[fetched("inference-tools")], &[]);
    let (mut as_stages, mut in_one_go, mut walls) = (Pairs::default(), Pairs::default(), Vec::new());
    let mut last = Value::Null;
    for round in 0..=ROUNDS {
        let (again, at_once) = (theirs(&mut python, threads, true), theirs(&mut python, threads, false));
        let (report, cpu, wall) = ours(&host, round).await;
        for field in ["frames", "faces", "with_mask", "without_mask"] {
            assert_eq!(report[field], again[field], "{field}: both see the same");
        }
        if round > 0 {
            let frames = report["frames"].as_f64().expect("a number");
            let theirs = |told: &Value| told["cpu_s"].as_f64().expect("a number") / frames * 1e3;
            as_stages.ours.push(cpu / frames * 1e3);
            as_stages.theirs.push(theirs(&again));
            in_one_go.ours.push(cpu / frames * 1e3);
            in_one_go.theirs.push(theirs(&at_once));
            walls.push(wall);
        }
        last = report;
    }
    let mut table = Table::new(&["what", "CPU ms a frame", "ours ÷ it", "goal", ""]);
    table.row(&[
        "wicket: PUT of the video to report and preview".to_owned(),
        format!("{:.1}", as_stages.ours()),
        String::new(),
        String::new(),
        format!("{} frames, {} faces; {:.1} s in all", last["frames"], last["faces"], median(walls)),
    ]);
    let met = verdict(as_stages.ratio() <= 1.2);
    let stages = "one Python process, each step reads what the one before wrote";
    for (what, pairs, goal, met) in [
        (stages, &as_stages, "≤ 1.2 ×", met),
        ("one Python process, pixels stay in memory", &in_one_go, "stated", String::new()),
    ] {
        let theirs = format!("{:.1}", pairs.theirs());
        table.row(&[what.to_owned(), theirs, format!("{:.2}", pairs.ratio()), goal.to_owned(), met]);
    }
    table.print("The mask workflow");
    stages_of(&host, &last).await;
}

/// Applies it as it stands, but for the way that needs no container engine, and more frames.
fn deploy(host: &Host) {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let text = std::fs::read_to_string(functions.join("mask.yaml")).expect("the workflow is there");
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = line.replace("../target", &target().display().to_string());
        let line = line.replace("FRAME_EVERY: '1'", &format!("FRAME_EVERY: '{EVERY}'"));
        // Without its other variant.
        let of_container =
            ["image:", "script:", "container:"].iter().any(|key| line.trim_start().starts_with(key));
        if !of_container {
            lines.push(line.replace("execution: auto", "execution: wasm"));
        }
    }
    let file = host.host.scratch().join("mask.yaml");
    std::fs::write(&file, lines.join("\n")).expect("the temporary folder is writable");
    host.host.wicket(&["apply", file.to_str().expect("text")]);
}

/// The report; CPU time of host and workers, seconds; seconds from the upload to the last file.
async fn ours(host: &Host, round: usize) -> (Value, f64, f64) {
    let video = std::fs::read(fetched("samples/people.avi")).expect("it was fetched");
    let name = format!("{round}.avi");
    let (begin, cpu) = (Instant::now(), host.cpu());
    host.host.put("people-private", &format!("in/{name}"), video).await;
    loop {
        tokio::time::sleep(LOOK).await;
        assert!(begin.elapsed() < LONGEST, "the report of {name} does not come:\n{}", host.host.stderr());
        let preview = host.host.object("people", &format!("out/{name}/preview.gif")).await;
        let report = host.host.object("people", &format!("out/{name}/report.json")).await;
        if let (Some(_), Some(report)) = (preview, report) {
            let (cpu, wall) = (host.cpu() - cpu, begin.elapsed().as_secs_f64());
            return (serde_json::from_slice(&report).expect("JSON"), cpu, wall);
        }
    }
}

fn theirs(python: &mut Python, threads: usize, again: bool) -> Value {
    let folder = scratch();
    let every: f64 = EVERY.parse().expect("a number");
    python.ask(
        &json!({"op": "mask", "video": fetched("samples/people.avi"), "folder": folder.path(), "every": every,
        "faces": fetched("models/centerface.onnx"), "masks": fetched("models/mask.onnx"), "threads": threads,
        "again": again}),
    )
}

/// Prints what the stages took, by their receipts.
async fn stages_of(host: &Host, report: &Value) {
    let videos = (ROUNDS + 1) as f64;
    let frames = report["frames"].as_f64().unwrap_or(1.0) * videos;
    let mut table = Table::new(&[
        "stage",
        "calls a video",
        "CPU of its guests, ms a frame",
        "runs of its models, ms a frame",
    ]);
    for stage in STAGES {
        let (mut cpu, mut runs, mut calls) = (0.0, 0.0, 0_u32);
        for receipt in host.host.receipts(stage).await {
            for attempt in receipt["attempts"].as_array().into_iter().flatten() {
                cpu += attempt["cpu_us"].as_f64().unwrap_or_default();
                for used in attempt["inference"].as_array().into_iter().flatten() {
                    // A run of several calls counts for each of them.
                    runs +=
                        used["run_us"].as_f64().unwrap_or_default() / used["batch"].as_f64().unwrap_or(1.0);
                }
                calls += 1;
            }
        }
        table.row(&[
            stage.to_owned(),
            format!("{:.0}", f64::from(calls) / videos),
            format!("{:.2}", cpu / 1e3 / frames),
            format!("{:.2}", runs / 1e3 / frames),
        ]);
    }
    table.print("Its stages, by their receipts");
}
