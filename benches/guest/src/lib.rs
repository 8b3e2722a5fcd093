//! What the bench of inference times, from inside: inferences by `wasi:nn`, and the way of a frame from its JPEG to a
//! tensor. One call does many, so that a call's own cost is in none of the figures.
//!
//! An event's data is a task, a line of JSON; behind it come the bytes that the task is about. The answer is JSON.

pub mod frames;
mod infer;
pub mod task;

use wicket_sdk::{Event, Failure};

use crate::task::Task;

wicket_sdk::function!(bench);

/// Bytes of a task with what it is about.
const LARGEST: usize = 8 << 20;

/// Does a task.
pub fn bench(mut event: Event) -> Result<String, Failure> {
    // A large body comes as an object.
    let data = if event.data.is_empty() { event.object()?.read_all(LARGEST)? } else { event.data };
    let line = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (task, rest) = data.split_at(line);
    let told = match serde_json::from_slice(task).map_err(Failure::never)? {
        Task::Infer(infer) => serde_json::to_string(&infer::infer(&infer)?),
        Task::Parts(infer) => serde_json::to_string(&infer::parts(&infer)?),
        Task::Frames(frames) => {
            let jpeg = rest.get(1..).unwrap_or_default();
            serde_json::to_string(&frames::frames(jpeg, &frames).map_err(Failure::never)?)
        }
    };
    told.map_err(Failure::never)
}
