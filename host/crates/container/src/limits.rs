//! What it means that a container reached a limit.

use wicket_config::{ByteSize, Container};
use wicket_core::{Failure, Limit};

/// What a function may answer with; more belongs into an output file.
pub(crate) const LARGEST_REPLY: usize = 8 << 20;

/// The failure of an answer that is longer than is kept.
pub(crate) fn reply_too_large() -> Failure {
    let message = format!(
        "an answer that is kept may have {}, whatever the limit: put what is larger into an output",
        ByteSize(LARGEST_REPLY as u64)
    );
    Failure::Limit { limit: Limit::Output, message }
}

/// The failure of a container that took too long.
pub(crate) fn timed_out(container: &Container) -> Failure {
    Failure::Limit { limit: Limit::Timeout, message: format!("it may take {}", container.timeout) }
}

/// The failure of a container that had not begun by then.
pub(crate) fn not_begun(container: &Container) -> Failure {
    let message = format!("it may take {}, and its engine had not started it by then", container.timeout);
    Failure::Limit { limit: Limit::Timeout, message }
}

/// The failure of a container that wanted more memory.
pub(crate) fn out_of_memory(container: &Container) -> Failure {
    let message = format!("it may have {} and wanted more", container.memory);
    Failure::Limit { limit: Limit::Memory, message }
}
