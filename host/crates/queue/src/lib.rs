//! The durable queue of invocations: accepted means on disk.
//!
//! Read in this order: `joined` says when a join is complete and what comes of it; `bell` wakes those who wait;
//! [`SqliteQueue`] is the queue of a host, in the tables of [`PART`]; [`MemoryQueue`] is the same for tests; the module
//! `contract` (feature `contract`) is the suite that both pass.

mod alike;
mod bell;
#[cfg(feature = "contract")]
pub mod contract;
mod joined;
mod memory;
mod sqlite;

pub use joined::{MAX_JOIN_BYTES, MAX_PARTS};
pub use memory::MemoryQueue;
pub use sqlite::{PART, SqliteQueue};
