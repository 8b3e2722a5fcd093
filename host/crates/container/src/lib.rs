//! Runs functions in containers of this machine's engine (Docker, or what speaks its API), by the contract of OSCAR's
//! supervisor.
//!
//! Read in this order: [`DockerExecutor`] (what others call), `engine` (the connection, and what an engine is asked
//! before anything runs), `info` (what an engine can and cannot do), `spec` (what a container may do), `run` (one attempt,
//! from its folders to its end), `end` (how a container ends, and what that means), `output` (what it says), `limits`
//! (which it reached), `held` (nothing of an attempt outlives it), `leftover` (what a crash left), `warm` (containers that
//! are kept for the attempts to come).

mod cgroup;
mod end;
mod engine;
mod executor;
mod held;
mod info;
mod leftover;
mod limits;
mod output;
mod run;
mod spec;
mod warm;

pub use engine::EngineError;
pub use executor::{DockerConfig, DockerExecutor};
