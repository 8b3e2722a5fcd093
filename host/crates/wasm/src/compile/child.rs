//! The inside of the compile child.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wasmtime::Engine;

use crate::compile::{Job, REFUSED};
use crate::engine::base;

/// A job has two paths and a few numbers.
const LARGEST_JOB: u64 = 64 << 10;

/// What the hidden command `wicket compile-child` does: reads a job from standard input, bounds itself, compiles,
/// writes the artefact. Complaints go to standard error.
pub fn compile_child() -> ExitCode {
    let (code, said) = match run() {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Refusal::Module(error)) => (REFUSED, error),
        Err(Refusal::Other(error)) => (1, error),
    };
    // The parent may be gone; then nobody minds.
    let _ = writeln!(std::io::stderr(), "{said}");
    ExitCode::from(code)
}

enum Refusal {
    Module(String),
    Other(String),
}

fn run() -> Result<(), Refusal> {
    let other = |error: &dyn std::fmt::Display| Refusal::Other(error.to_string());
    let mut text = Vec::new();
    std::io::stdin().take(LARGEST_JOB).read_to_end(&mut text).map_err(|e| other(&e))?;
    let job: Job = serde_json::from_slice(&text).map_err(|e| other(&e))?;
    for (resource, bound) in
        [(Resource::As, job.memory), (Resource::Cpu, job.cpu_seconds), (Resource::Core, 0)]
    {
        // Whoever started the host may have set a lower one, and nobody may raise it again.
        let bound = getrlimit(resource).maximum.map_or(bound, |most| most.min(bound));
        let limit = Rlimit { current: Some(bound), maximum: Some(bound) };
        setrlimit(resource, limit).map_err(|e| other(&e))?;
    }
    let wasm = std::fs::read(&job.wasm).map_err(|e| other(&e))?;
    let engine = Engine::new(&base(job.tuning)).map_err(|e| Refusal::Other(format!("{e:#}")))?;
    let artefact =
        if job.component { engine.precompile_component(&wasm) } else { engine.precompile_module(&wasm) }
            .map_err(|error| Refusal::Module(format!("{error:#}")))?;
    std::fs::write(&job.artefact, artefact).map_err(|e| other(&e))
}
