//! The kit of the benches: peers as processes, their CPU time, load from `wrk`, and tables.
//!
//! The machine is shared and noisy. So a figure is never alone: a peer runs in the same round, rounds are interleaved,
//! medians are taken, and CPU time per request is the figure to trust.

mod bare;
mod calls;
mod chart;
mod load;
mod peer;
mod s3;
mod stage;
mod table;
mod tools;
mod weed;

pub use bare::{Bare, Steps, docker_loop, docker_program, docker_run};
pub use calls::{apply, apply_script, call, depth, ended, submit, total_ms, upload};
pub use chart::{Chart, Curve, bytes};
pub use load::{Load, paced, wrk};
pub use peer::{Peer, cpu_time, family, forget_peak, free_port, memory, peak_rss};
pub use s3::{Connection, Keys, Payload};
pub use stage::{Kind, Stage};
pub use table::{Table, median, percentile, scratch};
pub use tools::{large_component, wasmtime};
pub use weed::Weed;
