//! The S3 clients and the S3 server that stories need beside the host: `cargo xtask tools` fetches them.

use std::path::PathBuf;
use std::process::Command;

/// Python with boto3.
///
/// # Panics
///
/// When it was not set up: the message says how.
#[track_caller]
pub fn python() -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", tool("")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Python with boto3 and OSCAR's supervisor.
///
/// # Panics
///
/// When it was not set up: the message says how.
#[track_caller]
pub fn supervisor() -> Command {
    let mut command = python();
    let oracle = crate::host::root().join("target/oracle");
    assert!(oracle.exists(), "{} is missing: run `cargo xtask tools`", oracle.display());
    let all = std::env::join_paths([tool(""), oracle]).expect("folders without a colon");
    command.env("PYTHONPATH", all);
    command
}

/// SeaweedFS.
///
/// # Panics
///
/// When it was not set up: the message says how.
#[track_caller]
pub fn weed() -> Command {
    Command::new(tool("bin/weed"))
}

/// rclone, without a configuration of the user's.
///
/// # Panics
///
/// When it was not set up: the message says how.
#[track_caller]
pub fn rclone() -> Command {
    let mut command = Command::new(tool("bin/rclone"));
    command.env("RCLONE_CONFIG", "/dev/null");
    command
}

#[track_caller]
fn tool(name: &str) -> PathBuf {
    let path = crate::host::root().join("target/tools").join(name);
    assert!(path.exists(), "{} is missing: run `cargo xtask tools`", path.display());
    path
}
