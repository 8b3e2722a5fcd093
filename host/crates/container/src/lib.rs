//! Runs functions in containers of this machine's engine (Docker, or what speaks its API), by the contract of OSCAR's
//! supervisor.
//!
//! Read in this order: [`DockerExecutor`] (what others call), `engine` (the connection, and what an engine is asked
//! before anything runs), `spec` (what a container may do), `run` (one attempt, from its folders to its end), `output`
//! (what it says), `tally` (what it used), `held` (nothing of an attempt outlives it), `leftover` (what a crash left).

mod cgroup;
mod engine;
mod executor;
mod held;
mod leftover;
mod output;
mod run;
mod spec;
mod tally;

pub use engine::EngineError;
pub use executor::{DockerConfig, DockerExecutor};
