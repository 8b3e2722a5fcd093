//! Everything that can be checked by running it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::{engine, guests, models, run, say, supervisor, tools};

/// What to test.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The models as well that are large, and the stories on them: speech into text, smoke (167 MB more).
    #[arg(long)]
    all: bool,
    /// For the workspace's tests: a filter, or any option of the runner (after `--`).
    #[arg(trailing_var_arg = true)]
    args: Vec<String>,
}

/// Stories on models that are fetched with `--all` only; `.config/nextest.toml` names them as well.
const WANTS_ALL: &str = "inference::transcript::";

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    passed: u64,
    failed: u64,
}

/// Builds the guests and runs all tests, to the end whatever fails.
pub(crate) fn test(options: &Options) -> anyhow::Result<()> {
    say::step("guests", || guests::build(&guests::Options::default()))?;
    say::step("what the stories talk to", tools::ready)?;
    say::step("models and samples", || models::ready(models::Options { all: options.all }))?;
    let _engine = say::step("a container engine", engine::ready)?;
    say::step("the program of batch jobs", supervisor::build)?;
    // With tests among the targets, the features are those of the tests: nothing is built twice.
    say::step("the host, and the tests", || {
        run::run(run::cargo(run::root()).args(["build", "--locked", "--workspace", "--bins", "--tests"]))
    })?;
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    let mut runner = |what: &'static str, command: &mut Command| {
        say::step(what, || {
            if !counted(command, &mut tally)? {
                failed.push(what);
            }
            Ok(())
        })
    };
    let host = run::host_triple()?;
    runner(
        "tests of the functions, natively",
        run::cargo(&run::root().join("functions")).args([
            "test",
            "--locked",
            "--no-fail-fast",
            "--target",
            &host,
        ]),
    )?;
    let mut workspace = run::cargo(run::root());
    let has_nextest = has_nextest();
    match has_nextest {
        true => workspace.args(["nextest", "run"]),
        false => workspace.arg("test"),
    };
    // The targets of the build above, and no others.
    workspace.args(["--locked", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]);
    // Nextest knows by its configuration which stories want all models.
    if has_nextest && options.all {
        workspace.arg("--ignore-default-filter");
    }
    workspace.args(&options.args);
    if !has_nextest && !options.all {
        let has_own = options.args.iter().any(|arg| arg == "--");
        workspace.args((!has_own).then_some("--")).args(["--skip", WANTS_ALL]);
    }
    runner("tests of the workspace", &mut workspace)?;
    runner(
        "doc tests",
        run::cargo(run::root()).args(["test", "--doc", "--locked", "--workspace", "--no-fail-fast"]),
    )?;
    say::line(&format!("{} passed, {} failed", tally.passed, tally.failed));
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("failed: {}", failed.join(", ")),
    }
}

fn has_nextest() -> bool {
    run::cargo(run::root())
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Runs a test runner, shows what it says, and counts by its closing lines; whether it succeeded.
fn counted(command: &mut Command, tally: &mut Tally) -> anyhow::Result<bool> {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot start cargo")?;
    let stderr = child.stderr.take().context("cargo has no output")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let said = std::thread::spawn(move || relayed(stderr, std::io::stderr()));
    let mut sums = vec![relayed(stdout, std::io::stdout())];
    sums.extend(said.join());
    for sum in sums {
        tally.passed += sum.passed;
        tally.failed += sum.failed;
    }
    Ok(child.wait()?.success())
}

fn relayed(from: impl Read, mut to: impl Write) -> Tally {
    let mut tally = Tally::default();
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let text = String::from_utf8_lossy(&line);
        // `test result: ok. 5 passed; 0 failed; …`, and nextest's `Summary [1.2s] 5 tests run: 5 passed, …`.
        if text.starts_with("test result: ") || text.trim_start().starts_with("Summary [") {
            tally.passed += number_before(&text, "passed");
            tally.failed += number_before(&text, "failed");
            tally.failed += number_before(&text, "timed out");
        }
        // Who reads it may have gone; the tests go on.
        let _gone = to.write_all(&line).and_then(|()| to.write_all(b"\n"));
    }
    tally
}

fn number_before(line: &str, word: &str) -> u64 {
    let before = line.split(word).next().filter(|before| before.len() < line.len());
    before.and_then(|before| before.split_whitespace().last()).and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted_and_nothing_else() {
        let said = "test a ... ok\ntest result: ok. 5 passed; 1 failed; 0 ignored\n     Summary [   1.2s] 9 tests run: \
                    7 passed (1 slow), 1 failed, 1 timed out, 2 skipped\n3 passed\n";
        let tally = relayed(said.as_bytes(), std::io::sink());
        assert_eq!((tally.passed, tally.failed), (12, 3));
    }
}
