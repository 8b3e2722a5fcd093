//! The one SQLite file of a node: one writer that commits a group at a time, a few readers, and the seams by which
//! queue and buckets take part in each other's transactions.
//!
//! Read in this order: [`Store::open`] takes the [`Part`]s of queue and buckets and brings their tables up to date;
//! [`Store::write`] hands work to the writer, which runs it inside a [`Tx`] and answers after the group's fsync;
//! [`Announce`] and [`Publish`] are what such work may call on the other side.

mod error;
mod failpoint;
mod file;
mod group;
mod job;
mod part;
mod readers;
mod reserve;
mod seam;
mod store;
mod tx;
mod writer;

pub use error::StoreError;
pub use failpoint::failpoint;
#[cfg(feature = "failpoints")]
pub use failpoint::{BadFailpoint, arm};
pub use part::Part;
pub use rusqlite::{self, Connection};
pub use seam::{Announce, Publish};
pub use store::Store;
pub use tx::Tx;
