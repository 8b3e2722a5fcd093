//! `auto` beside the variant that would have been right: inputs of many sizes, in no order, across the size at which a
//! module ends at its memory limit.
//!
//! With `cargo xtask engine` in another terminal:
//! `cargo xtask guests && cargo build --release -p wicket && cargo bench -p wicket-benches --bench auto`

use wicket_benches::{Table, apply_script, bytes, median, total_ms, upload};
use wicket_core::{Receipt, State};
use wicket_tests::{Engine, TestHost};

/// Inputs that the record is made of, before anything counts.
const LEARNING: usize = 20;
/// Inputs that count; prime, so that any stride visits each size once.
const SIZES: usize = 127;
const STRIDE: usize = 37;
/// Bytes. `swell` takes 17 times its input and may have [`MEMORY`]: the limit lies in the middle, by ratio.
const SMALLEST: f64 = 60_000.0;
const LARGEST: f64 = 3_600_000.0;
const MEMORY: &str = "8MiB";

/// An input's size, by its place between the smallest and the largest: 0 to 1.
fn size(place: f64) -> usize {
    (SMALLEST * (LARGEST / SMALLEST).powf(place)) as usize
}

async fn run(host: &TestHost, execution: &str, idx: usize, size: usize) -> Receipt {
    let key = format!("{execution}/{idx}-{size}");
    upload(host, execution, "sweep", &key, vec![b'x'; size].into()).await
}

/// An attempt that ended at a limit, the time to the next one, and that one's, ms.
fn fall(receipt: &Receipt) -> Option<[f64; 3]> {
    let [first, second] = receipt.attempts.as_slice() else { return None };
    let end = first.started.0 + i64::try_from(first.usage.wall_us).ok()?;
    Some([
        first.usage.wall_us as f64 / 1e3,
        (second.started.0 - end) as f64 / 1e3,
        second.usage.wall_us as f64 / 1e3,
    ])
}

/// Times of `auto`, and those of the right variant.
#[derive(Default)]
struct Side {
    auto: Vec<f64>,
    right: Vec<f64>,
    /// Of `auto`, how many ran or tried where they should not have.
    wrong: usize,
}

impl Side {
    fn row(&self, what: &str, beside: &str) -> Vec<String> {
        let sum = |figures: &[f64]| figures.iter().sum::<f64>();
        let ratio = sum(&self.auto) / sum(&self.right);
        vec![
            what.to_owned(),
            self.auto.len().to_string(),
            self.wrong.to_string(),
            format!("{:.1}", median(self.auto.clone())),
            format!("{beside}: {:.1}", median(self.right.clone())),
            format!("{:+.1} %", (ratio - 1.0) * 100.0),
        ]
    }
}

#[tokio::main]
async fn main() {
    let engine = Engine::find().await;
    let host = engine.host();
    for execution in ["auto", "wasm", "container"] {
        apply_script(
            &host,
            execution,
            "wc -c < $INPUT_FILE_PATH > $TMP_OUTPUT_DIR/size",
            "memory: 64MiB",
            &[
                "wasm: {guest:swell}",
                &format!("execution: {execution}"),
                &format!("limits: {{ memory: {MEMORY} }}"),
                "retry: { attempts: 1 }",
                &format!("input:\n    - {{ path: sweep/{execution} }}"),
                "output:\n    - { path: sweep/out }",
            ],
        );
    }
    // Caches fill, and the record stays empty: that of another service is another one.
    run(&host, "container", SIZES, 1000).await;
    run(&host, "wasm", SIZES, 1000).await;

    let mut falls =
        Table::new(&["when", "input", "attempt ms", "fall-over ms", "next attempt ms", "total ms"]);
    let mut tell = |when: &str, size: usize, receipt: &Receipt| {
        let Some(parts) = fall(receipt) else { return 0 };
        let probe = receipt.attempts[0].placement.as_ref().is_some_and(|placement| placement.probe);
        let when = if probe { format!("{when}, a probe") } else { when.to_owned() };
        let mut row = vec![when, bytes(size as f64)];
        row.extend(parts.iter().map(|part| format!("{part:.1}")));
        row.push(format!("{:.1}", total_ms(receipt)));
        falls.row(&row);
        1
    };
    let mut learning = 0;
    for idx in 0..LEARNING {
        // Another stride than below, so that these are other sizes.
        let size = size(((idx * 7) % LEARNING) as f64 / LEARNING as f64);
        learning += tell("learning", size, &run(&host, "auto", SIZES + idx, size).await);
    }
    let (mut below, mut above) = (Side::default(), Side::default());
    for idx in 0..SIZES {
        let size = size(((idx * STRIDE) % SIZES) as f64 / SIZES as f64);
        let auto = run(&host, "auto", idx, size).await;
        assert_eq!(auto.state, State::Succeeded, "{auto:?}");
        let fell = tell("after", size, &auto);
        let wasm = run(&host, "wasm", idx, size).await;
        let fits = wasm.state == State::Succeeded;
        let right = if fits { wasm } else { run(&host, "container", idx, size).await };
        assert_eq!(right.state, State::Succeeded, "{right:?}");
        let side = if fits { &mut below } else { &mut above };
        let in_container = auto.attempts.last().is_some_and(|one| one.executor == "docker");
        side.wrong += if fits { usize::from(in_container) } else { fell };
        side.auto.push(total_ms(&auto));
        side.right.push(total_ms(&right));
    }
    let mut table = Table::new(&[
        "inputs",
        "count",
        "wrong",
        "`auto` p50 ms",
        "beside, p50 ms",
        "`auto` over it, all together",
    ]);
    table.row(&above.row("over the limit (wrong: tried in wasm first)", "`container`"));
    table.row(&below.row("within it (wrong: ran in a container)", "`wasm`"));
    table.print("`auto` after 20 inputs");
    falls.print(&format!(
        "What fell over: {learning} of the {LEARNING} that it learned from, then the others"
    ));
}
