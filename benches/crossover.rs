//! The same stage as WebAssembly and in a container, over sizes of input: where the container begins to be quicker.
//!
//! It is one program (`tests/guests/stage`), compiled to wasm32-wasip2 and, statically, for this machine. A time is from
//! the upload being stored to the result being visible (`accepted` to `finished` of the receipt).
//!
//! With `cargo xtask engine` in another terminal:
//! `cargo xtask guests && cargo build --release -p wicket && cargo bench -p wicket-benches --bench crossover`

use std::path::Path;

use wicket_benches::{Chart, Curve, Kind, Stage, Table, apply, bytes, median, total_ms, upload};
use wicket_core::State;
use wicket_tests::{Engine, TestHost};

/// From 1 KB to 64 MB.
const SMALLEST: usize = 1 << 10;
const STEP: usize = 4;
const SIZES: u32 = 9;
const ROUNDS: usize = 5;
/// Enough for a document of 64 MB, which takes many times that in memory.
const MEMORY: &str = "3GiB";

const WORLDS: [&str; 2] = ["wasm", "container"];

/// Bytes of the input, and how long each world took, ms.
struct Point {
    size: f64,
    wasm: f64,
    container: f64,
}

async fn point(host: &TestHost, stage: &Stage, kind: Kind, size: usize) -> Point {
    let input = stage.input(kind, size);
    let mut times = [Vec::new(), Vec::new()];
    // The first of a size fills caches.
    for round in 0..=ROUNDS {
        for (world, times) in WORLDS.iter().zip(&mut times) {
            let (service, key) = (format!("{}-{world}", kind.name()), format!("{world}/{size}-{round}"));
            let receipt = upload(host, &service, kind.name(), &key, input.clone()).await;
            assert_eq!(receipt.state, State::Succeeded, "{receipt:?}");
            if round > 0 {
                times.push(total_ms(&receipt));
            }
        }
    }
    let [wasm, container] = times.map(median);
    Point { size: input.len() as f64, wasm, container }
}

/// Size and time at which the container begins to be quicker, between the two points around it; none: not in this range.
fn crossover(points: &[Point]) -> Option<(f64, f64)> {
    let lead = |point: &Point| (point.wasm / point.container).ln();
    let last = points.windows(2).rfind(|pair| lead(&pair[0]) <= 0.0 && lead(&pair[1]) > 0.0)?;
    let share = lead(&last[0]) / (lead(&last[0]) - lead(&last[1]));
    let between =
        |of: fn(&Point) -> f64| (of(&last[0]).ln() * (1.0 - share) + of(&last[1]).ln() * share).exp();
    Some((between(|point| point.size), between(|point| point.wasm)))
}

fn deploy(host: &TestHost, image: &str) {
    for kind in Kind::ALL {
        let kind = kind.name();
        for world in WORLDS {
            let runs = match world {
                "wasm" => "wasm: {guest:stage}".to_owned(),
                _ => format!("image: {image}"),
            };
            let lines = [
                runs,
                format!("args: [{kind}]"),
                format!("limits: {{ memory: {MEMORY}, cpu_time: 10m, timeout: 10m }}"),
                "retry: { attempts: 1 }".to_owned(),
                "container: { pull: never }".to_owned(),
                format!("input:\n    - {{ path: {kind}/{world} }}"),
                format!("output:\n    - {{ path: {kind}/out }}"),
            ];
            let lines = if world == "wasm" { [&lines[..4], &lines[5..]].concat() } else { lines.to_vec() };
            apply(host, &format!("{kind}-{world}"), &lines);
        }
    }
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "progress of something that takes minutes")]
async fn main() {
    let engine = Engine::find().await;
    let stage = Stage::build();
    let host = engine.host();
    deploy(&host, &stage.image(&engine).await);
    let mut table = Table::new(&["stage", "input", "wasm ms", "container ms", "wasm ÷ container"]);
    let mut chart = Chart { title: "Upload stored to result visible, median".to_owned(), ..Chart::default() };
    for (colour, kind) in Kind::ALL.into_iter().enumerate() {
        let mut points = Vec::new();
        for exponent in 0..SIZES {
            let size = SMALLEST * STEP.pow(exponent);
            eprintln!("{} of {size} bytes", kind.name());
            let point = point(&host, &stage, kind, size).await;
            table.row(&[
                kind.name().to_owned(),
                bytes(point.size),
                format!("{:.1}", point.wasm),
                format!("{:.1}", point.container),
                format!("{:.2}", point.wasm / point.container),
            ]);
            points.push(point);
        }
        let found = crossover(&points);
        let said = found.map_or("none in this range".to_owned(), |(size, _)| format!("at {}", bytes(size)));
        table.row(&[
            kind.name().to_owned(),
            format!("cross-over {said}"),
            String::new(),
            String::new(),
            String::new(),
        ]);
        if let Some((size, time)) = found {
            chart.marks.push((size, time, format!("{}: {}", kind.name(), bytes(size)), colour));
        }
        for (dashed, world, of) in [
            (false, "wasm", (|point| (point.size, point.wasm)) as fn(&Point) -> (f64, f64)),
            (true, "container", |point| (point.size, point.container)),
        ] {
            let name = format!("{}, {world}", kind.name());
            chart.curves.push(Curve { name, colour, dashed, points: points.iter().map(of).collect() });
        }
    }
    table.print("The same stage in both worlds");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/img/crossover.svg");
    let folder = file.parent().expect("it has one");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&file, chart.svg()))
        .expect("docs/ is writable");
}
