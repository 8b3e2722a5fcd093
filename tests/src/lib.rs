//! The kit of the stories in `it/`: a real `wicket serve` on free ports and an empty folder, and its clients.
//!
//! Read in this order: [`TestHost`] (starts, kills, restarts the binary), `client` (HTTP, S3, the command line against
//! it), `receipts` (what became of a call), [`Wire`] (bytes that no client sends), [`guests`] (where the functions are), [`tools`] (S3 clients and a server of others), [`Engine`] (containers), [`OwnEngine`] (one that a
//! story may kill), [`Between`] (what is between a host and an engine), [`batch`] (jobs, and what is between a host and a Batch),
//! [`until`] (wait for a state, with a deadline).

pub mod batch;
mod between;
mod client;
mod engine;
pub mod guests;
mod host;
mod own_engine;
mod receipts;
pub mod tools;
mod wait;
mod wire;

pub use between::{Between, Mode};
pub use client::{Answer, Output};
pub use engine::{Engine, IMAGE, image};
pub use host::{Setup, TestHost, binary};
pub use own_engine::OwnEngine;
pub use receipts::failure;
pub use wait::until;
pub use wire::Wire;
