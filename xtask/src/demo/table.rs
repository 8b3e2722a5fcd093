//! What each stage cost, from the receipts.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::Value;

/// What the attempts of one service in one executor used.
#[derive(Debug, Default)]
struct Stage {
    /// Attempts that ended, and those of them that made nothing.
    ended: u64,
    failed: u64,
    wall_us: Vec<u64>,
    queue_us: Vec<u64>,
    startup_us: Vec<u64>,
    cpu_us: Vec<u64>,
    memory: Vec<u64>,
}

/// What a command lists with `--json`: one list, or one thing a line.
pub(super) fn list(text: &str) -> anyhow::Result<Vec<Value>> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut listed = Vec::new();
    for value in values {
        match value.context("`wicket` lists something that is no JSON")? {
            Value::Array(list) => listed.extend(list),
            one => listed.push(one),
        }
    }
    Ok(listed)
}

/// Whether it is over, and whether it went well.
pub(super) fn ended(receipt: &Value) -> Option<bool> {
    match receipt["state"].as_str() {
        Some("succeeded") => Some(true),
        Some("failed") => Some(false),
        _ => None,
    }
}

/// A line for each stage and executor, in the order of `stages`.
pub(super) fn table(receipts: &[Value], stages: &[&str]) -> String {
    let mut by_name: BTreeMap<(&str, &str), Stage> = BTreeMap::new();
    for receipt in receipts {
        let service = receipt["service"].as_str().unwrap_or_default();
        for attempt in receipt["attempts"].as_array().into_iter().flatten() {
            let executor = attempt["executor"].as_str().unwrap_or_default();
            let stage = by_name.entry((service, executor)).or_default();
            stage.ended += 1;
            stage.failed += u64::from(!attempt["failure"].is_null());
            let number = |name: &str| attempt[name].as_u64().unwrap_or_default();
            stage.wall_us.push(number("wall_us"));
            stage.queue_us.push(number("queue_us"));
            stage.startup_us.push(number("startup_us"));
            stage.cpu_us.push(number("cpu_us"));
            stage.memory.push(number("peak_memory"));
        }
    }
    let head = [
        "stage",
        "executor",
        "attempts",
        "failed",
        "wall p50",
        "wall p99",
        "queue p50",
        "start-up p50",
        "CPU p50",
        "CPU all",
        "memory max",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for name in stages {
        for ((_, executor), stage) in by_name.iter_mut().filter(|((service, _), _)| service == name) {
            rows.push([
                (*name).to_owned(),
                (*executor).to_owned(),
                stage.ended.to_string(),
                stage.failed.to_string(),
                millis(rank(&mut stage.wall_us, 50)),
                millis(rank(&mut stage.wall_us, 99)),
                millis(rank(&mut stage.queue_us, 50)),
                micros(rank(&mut stage.startup_us, 50)),
                millis(rank(&mut stage.cpu_us, 50)),
                millis(stage.cpu_us.iter().sum()),
                format!("{:.1} MiB", rank(&mut stage.memory, 100) as f64 / f64::from(1 << 20)),
            ]);
        }
    }
    aligned(&rows)
}

/// The smallest value that is not below so many percent of all; 0 of none.
fn rank(values: &mut [u64], percent: usize) -> u64 {
    values.sort_unstable();
    let idx = (values.len() * percent).div_ceil(100).max(1) - 1;
    values.get(idx).copied().unwrap_or_default()
}

/// A start takes a container a thousand times as long as a module.
fn micros(us: u64) -> String {
    if us < 10_000 { format!("{us} µs") } else { millis(us) }
}

fn millis(us: u64) -> String {
    let ms = us as f64 / 1000.0;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

/// Columns below each other: the two of names to the left, figures to the right.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(&cells.collect::<Vec<_>>().join("   "));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_from_the_attempts_of_each_stage() {
        let receipt = |state: &str, wall: u64| {
            let failure = (state == "failed").then_some("why");
            let attempt = serde_json::json!({ "executor": "wasm", "failure": failure, "wall_us": wall, "startup_us": 7, "cpu_us": 1000, "peak_memory": 1 << 20 });
            serde_json::json!({ "service": "thumbnail", "state": state, "attempts": [attempt] })
        };
        let text = format!(
            "[{},{}]\n{}",
            receipt("succeeded", 1000),
            receipt("failed", 3000),
            receipt("succeeded", 20_000)
        );
        let receipts = list(&text).unwrap();
        let table = table(&receipts, &["thumbnail", "gallery"]);
        let words: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
        let row = "thumbnail wasm 3 1 3.00 ms 20 ms 0.00 ms 7 µs 1.00 ms 3.00 ms 1.0 MiB";
        assert_eq!(words, row.split(' ').collect::<Vec<_>>());
        assert!(!table.contains("gallery"));
    }

    #[test]
    fn a_rank_is_one_of_the_values() {
        let mut values: Vec<u64> = (1..=100).rev().collect();
        assert_eq!([1, 50, 99, 100].map(|percent| rank(&mut values, percent)), [1, 50, 99, 100]);
        assert_eq!((rank(&mut [], 50), rank(&mut [4], 1)), (0, 4));
    }
}
