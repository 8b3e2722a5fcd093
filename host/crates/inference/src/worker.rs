//! The inside of a worker.

use std::process::ExitCode;

/// What the hidden command `wicket inference-worker` does: serves one device until the host is gone. Its standard input is
/// the socket to the host.
pub fn worker_main() -> ExitCode {
    ExitCode::FAILURE
}
