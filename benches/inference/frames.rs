//! The way of a frame (decode, resize, normalise) in wasm beside the same Rust natively, and OpenCV.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use wicket_benches::{Table, median, scratch};

use crate::figures::{millis, steady, verdict};
use crate::{Sides, fetched};

const SIZES: [(u32, u32); 2] = [(640, 480), (1280, 720)];
/// What the model takes.
const SIDE: u32 = 320;
const ROUNDS: usize = 7;
const RUNS: usize = 25;
const STEPS: [&str; 3] = ["decode", "resize", "normalise"];

/// Prints the table.
pub(crate) async fn frames(sides: &mut Sides) {
    let native = build();
    let folder = scratch();
    sides.host.deploy("frames", None).await;
    let mut table = Table::new(&["frame", "step", "wasm ms", "native ms", "×", "OpenCV ms", "goal", ""]);
    for (width, height) in SIZES {
        let picture = folder.path().join(format!("{width}.jpg"));
        sides.python.ask(&json!({"op": "picture", "video": fetched("samples/people.avi"), "number": 8,
            "width": width, "height": height, "to": picture}));
        let jpeg = std::fs::read(&picture).expect("it was written");
        let mut rounds: [Vec<[f64; 4]>; 3] = Default::default();
        for round in 0..=ROUNDS {
            let task = json!({"frames": {"runs": RUNS, "side": SIDE}});
            let (wasm, _) = sides.host.call("frames", &task, &jpeg).await;
            let native = natively(&native, &picture);
            let opencv =
                sides.python.ask(&json!({"op": "frames", "picture": picture, "runs": RUNS, "side": SIDE}));
            let same =
                (wasm["sum"].as_f64().unwrap_or(0.0) / native["sum"].as_f64().unwrap_or(1.0) - 1.0).abs();
            assert!(same < 0.01, "both make the same tensor: {} and {}", wasm["sum"], native["sum"]);
            if round > 0 {
                rounds
                    .iter_mut()
                    .zip([&wasm, &native, &opencv])
                    .for_each(|(seen, told)| seen.push(steps(told)));
            }
        }
        let names = STEPS.iter().copied().chain(["all three"]);
        for (at, step) in names.enumerate() {
            let [wasm, native, opencv] = [0, 1, 2].map(|side| {
                let seen: &Vec<[f64; 4]> = &rounds[side];
                median(seen.iter().map(|steps| steps[at]).collect())
            });
            let ratio = rounds[0].iter().zip(&rounds[1]).map(|(wasm, native)| wasm[at] / native[at]);
            let ratio = median(ratio.collect());
            let is_goal = at == STEPS.len();
            table.row(&[
                format!("{width} × {height}"),
                step.to_owned(),
                format!("{wasm:.2}"),
                format!("{native:.2}"),
                format!("{ratio:.2}"),
                format!("{opencv:.2}"),
                if is_goal { "≤ 1.5 ×".to_owned() } else { String::new() },
                if is_goal { verdict(ratio <= 1.5) } else { String::new() },
            ]);
        }
    }
    table.print(&format!("A frame to a tensor of {SIDE} × {SIDE}"));
}

/// The steps, and their sum, ms.
fn steps(told: &Value) -> [f64; 4] {
    let [decode, resize, normalise] = STEPS.map(|step| steady(millis(&told[step])));
    [decode, resize, normalise, decode + resize + normalise]
}

fn natively(program: &Path, picture: &Path) -> Value {
    let ran = Command::new(program).arg(picture).args([RUNS.to_string(), SIDE.to_string()]).output();
    let ran = ran.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

/// The program of `benches/guest` for this machine, built by cargo with the profile that guests are built with.
fn build() -> PathBuf {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest");
    let about = Command::new("rustc").arg("-vV").output().expect("there is a rustc");
    let about = String::from_utf8_lossy(&about.stdout).into_owned();
    let target = about.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc tells its host");
    let status = Command::new("cargo")
        .current_dir(&guest)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .args(["build", "--release", "--locked", "--example", "frames", "--target", target])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "`benches/guest` cannot be built natively");
    guest.join("../../target/wasm").join(target).join("release/examples/frames")
}
