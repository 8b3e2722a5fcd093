//! Stands beside a function in a batch job: claims the attempt, fetches its files, runs it, and sends what it made. One
//! static program that any image can be given by a mount; the image needs nothing for it.
//!
//! Read in this order: `job` (from the claim to the outcome), `child` (the function while it runs), `outputs` (its
//! files as an archive in parts), `net` and `names` (HTTP and DNS without a libc's help), `usage` (the kernel's books).

mod child;
mod job;
mod names;
mod net;
mod outputs;
mod usage;

use std::io::Write as _;
use std::process::ExitCode;

use wicket_supervisor::{BROKEN, LAST, OWN};

fn main() -> ExitCode {
    let status = job::run().unwrap_or_else(|error| {
        say(&format!("the job cannot go on: {error:#}"));
        BROKEN
    });
    say(LAST);
    ExitCode::from(status)
}

/// A line of our own in the job's log.
fn say(text: &str) {
    let mut line = vec![OWN];
    line.extend(text.replace('\n', " ").bytes());
    line.push(b'\n');
    // Nobody hears it without a log; nothing depends on it.
    let _unheard = std::io::stdout().lock().write_all(&line);
}
