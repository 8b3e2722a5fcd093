//! What a guest's end means: which limit, which trap, which exit status.

use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wicket_core::{Failure, Limit};

use crate::meter::{Meter, Tripped, refusal};

/// Frames kept of a backtrace.
const FRAMES: usize = 64;
/// Bytes kept of each: the names in it are the module's.
const LONGEST_FRAME: usize = 1 << 10;

/// Names the failure behind an error of a guest's call.
pub(crate) fn failure(error: &wasmtime::Error, meter: &Meter) -> Failure {
    let exit = error.downcast_ref::<I32Exit>();
    // Who exits has coped with what it was refused, and says itself how it went.
    let stopped = meter.tripped().filter(|limit| exit.is_none() || !refusal(*limit));
    if let Some(limit) = stopped.or_else(|| limit_of(error)) {
        return meter.failure(limit);
    }
    if let Some(exit) = exit {
        return Failure::exit(exit.0.into(), format!("exit status {}", exit.0));
    }
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(frames).unwrap_or_default();
    let message = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.chain().last().map_or_else(String::new, ToString::to_string),
    };
    Failure::Trap { message, backtrace }
}

fn limit_of(error: &wasmtime::Error) -> Option<Limit> {
    if let Some(tripped) = error.downcast_ref::<Tripped>() {
        return Some(tripped.0);
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return Some(Limit::Concurrency);
    }
    if matches!(error.downcast_ref::<Trap>(), Some(Trap::StackOverflow)) {
        return Some(Limit::Stack);
    }
    // wasmtime has no type for the second; a test would notice other words.
    let full = matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full))
        || error.chain().any(|cause| cause.to_string().contains("handle limit exceeded"));
    full.then_some(Limit::Handles)
}

fn frames(backtrace: &WasmBacktrace) -> Vec<String> {
    let text = backtrace.to_string();
    // The first line is a heading.
    let frame = |line: &str| {
        let mut frame = line.trim().to_owned();
        frame.truncate(frame.floor_char_boundary(LONGEST_FRAME));
        frame
    };
    text.lines().skip(1).take(FRAMES).map(frame).collect()
}
