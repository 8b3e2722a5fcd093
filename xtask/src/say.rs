//! What is told: talk on stderr, with how long it took; what was asked for on stdout.

use std::time::Instant;

/// A line.
#[expect(clippy::print_stderr, reason = "it is a command line")]
pub(crate) fn line(text: &str) {
    eprintln!("{text}");
}

/// A line of what was asked for.
#[expect(clippy::print_stdout, reason = "it is a command line")]
pub(crate) fn out(text: &str) {
    println!("{text}");
}

/// Says what begins, does it, and says how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    line(&format!("==> {what}"));
    let start = Instant::now();
    let done = work()?;
    line(&format!("    {:.1} s", start.elapsed().as_secs_f64()));
    Ok(done)
}
