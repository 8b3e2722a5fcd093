//! The kit of the stories in `it/`: a real `wicket serve` on free ports and an empty folder, and its clients.
//!
//! Read in this order: [`TestHost`] (starts, kills, restarts the binary), `client` (HTTP, S3, the command line against
//! it), `receipts` (what became of a call), [`Wire`] (bytes that no client sends), [`guests`] (where the functions are), [`tools`] (S3 clients and a server of others), [`Engine`] (containers),
//! [`until`] (wait for a state, with a deadline).

mod client;
mod engine;
pub mod guests;
mod host;
mod receipts;
pub mod tools;
mod wait;
mod wire;

pub use client::{Answer, Output};
pub use engine::{Engine, IMAGE};
pub use host::{Setup, TestHost, binary};
pub use receipts::failure;
pub use wait::until;
pub use wire::Wire;
