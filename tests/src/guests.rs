//! Where the functions and the test guests are: `cargo xtask guests` builds them.

use std::path::PathBuf;

/// The module of this name.
///
/// # Panics
///
/// When it was not built: the message says how.
#[track_caller]
pub fn path(name: &str) -> PathBuf {
    let path = crate::host::root().join("target/guests").join(format!("{name}.wasm"));
    assert!(path.exists(), "{} is missing: run `cargo xtask guests`", path.display());
    path
}
