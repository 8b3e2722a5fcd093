//! The command line.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;
use wicket_tests::binary;

use super::Target;
use super::garble::each;

/// Everything that a command line can say, but `serve`, and what waits for ever. No path outside of the test's own folder:
/// some of these commands write.
const WORDS: &[&str] = &[
    "apply",
    "check",
    "services",
    "token",
    "rm",
    "run",
    "job",
    "invocations",
    "show",
    "logs",
    "cancel",
    "dead-letters",
    "devices",
    "redrive",
    "explain",
    "versions",
    "rollback",
    "bucket",
    "ls",
    "mb",
    "get",
    "put",
    "inspect",
    "doctor",
    "compile-child",
    "--json",
    "--input",
    "--output",
    "--limit",
    "--endpoint",
    "--data",
    "--token",
    "--state",
    "--help",
    "--version",
    "-",
    "--",
    "-h",
    "-V",
    "-v",
    "--no-such",
    "hello",
    "photos",
    "photos/in/a.jpg",
    "-1",
    "0",
    "99999999999999999999",
    "",
    " ",
    "..",
    "a=b",
    "é",
    "\u{202e}",
    "6f1ed002ab5595859014ebf0951522d9",
    "http://127.0.0.1:1",
    "http://",
    "file:///etc/passwd",
    "http://[::1",
    "sha256:00",
];

#[test]
fn no_arguments_break_the_command_line() {
    let target = Target::start();
    let word = prop_oneof![
        12 => select(WORDS).prop_map(OsString::from),
        1 => prop::collection::vec(1..=255_u8, 0..20).prop_map(OsString::from_vec),
        1 => (1..10_usize).prop_map(|n| OsString::from("x".repeat(n * 1_000))),
    ];
    each(400, prop::collection::vec(word, 0..6), |words| {
        let mut child = Command::new(binary())
            .args(&words)
            .env("WICKET_DATA", target.host.data())
            .current_dir(target.host.scratch())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(target.host.scratch().join("said")).expect("a file"))
            .spawn()
            .expect("the binary starts");
        let end = Instant::now() + Duration::from_secs(30);
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if Instant::now() > end {
                let _gone = child.kill();
                panic!("it does not end: {words:?}");
            }
            std::thread::yield_now();
        };
        let said = std::fs::read(target.host.scratch().join("said")).expect("a file");
        let said = String::from_utf8_lossy(&said);
        let code = status.code().unwrap_or(-1);
        assert!((0..=7).contains(&code) && !said.contains("panicked"), "{code} {said} of {words:?}");
        assert!(code == 0 || !said.is_empty(), "no word about why {words:?} failed");
    });
    target.unharmed();
}
