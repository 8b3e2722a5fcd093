//! Stories of the executor: real guests, real limits.
#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, and not in what only tests use")]

mod answers;
mod egress;
mod guests;
mod guests03;
mod kit;
mod limits;
mod modules;
mod reuse;
mod shapes;
mod wasi03;

use std::io::IsTerminal as _;

/// Not a test: the kit starts this binary again as its compile child.
#[test]
fn the_compile_child() {
    if !std::env::args().any(|arg| arg == kit::CHILD_MARK) || std::io::stdin().is_terminal() {
        return;
    }
    let code = wicket_wasm::compile_child();
    if code != std::process::ExitCode::SUCCESS {
        // The harness would make one status of all.
        let refused = code == std::process::ExitCode::from(3);
        #[expect(clippy::exit, reason = "this is the child, not a test")]
        std::process::exit(if refused { 3 } else { 1 });
    }
}
