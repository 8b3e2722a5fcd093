//! Jobs of AWS Batch: the executor of services that run on machines which this host does not have.
//!
//! Read in this order: [`BatchConfig`], [`BatchExecutor`], `definition` (a service's version as Batch knows it), `spec`
//! (what a job is told), `submit` (several attempts as one array job), `run` (an attempt from its files to its end),
//! `watch` (one look at all jobs), `said` (their log), `outputs`, `held` (what an attempt gives back), `leftover` (after a
//! crash), [`setup`] (the machines and the queue). The program beside the function in a job is `wicket-supervisor`.

mod aws;
mod config;
mod definition;
mod executor;
mod held;
mod leftover;
mod outputs;
mod run;
mod said;
pub mod setup;
mod spec;
mod submit;
mod watch;

pub use aws::BatchError;
pub use config::{BatchConfig, Keys};
pub use executor::BatchExecutor;
