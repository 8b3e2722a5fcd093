//! Named places at which a test may end the process, as a power cut would. Empty unless the feature `failpoints` is on.
//!
//! The names are those at the calls of [`failpoint`](crate::failpoint()); the store's own are `store.commit.before` and
//! `store.commit.after`.

/// Passes a named place. With the feature `failpoints`, and when `arm` named it, ends the process there.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn failpoint(_name: &'static str) {}

#[cfg(feature = "failpoints")]
pub use armed::{BadFailpoint, arm, failpoint};

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Armed> = OnceLock::new();

    #[derive(Debug)]
    struct Armed {
        name: String,
        /// Passages left, this one included.
        left: AtomicU64,
    }

    /// Not `name:abort@n`.
    #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
    #[error("`{0}` is no fail-point: write name:abort@n, n from 1, once in a process")]
    pub struct BadFailpoint(String);

    /// Arms one fail-point for the life of the process: `store.commit.before:abort@3` aborts at the third passage.
    pub fn arm(spec: &str) -> Result<(), BadFailpoint> {
        let refused = || BadFailpoint(spec.to_owned());
        let (name, action) = spec.split_once(':').ok_or_else(refused)?;
        let at = action.strip_prefix("abort@").and_then(|n| n.parse().ok()).ok_or_else(refused)?;
        if at == 0 {
            return Err(refused());
        }
        ARMED.set(Armed { name: name.to_owned(), left: AtomicU64::new(at) }).map_err(|_| refused())
    }

    /// Passes a named place; ends the process when [`arm`] asked for it.
    pub fn failpoint(name: &'static str) {
        let Some(armed) = ARMED.get().filter(|armed| armed.name == name) else { return };
        if armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    }
}
