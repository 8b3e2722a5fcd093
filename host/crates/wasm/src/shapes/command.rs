//! Commands: `wasi:cli/run` components and preview-1 modules. The contract of a container supervisor, without one.

use std::future::poll_fn;
use std::sync::Arc;

use wasmtime_wasi::cli::AsyncStdinStream;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, I32Exit};
use wicket_core::{Attempt, Failure, Limit, LogSink, LogStream, Redactor, Reply, Report};
use wicket_workspace::{Account as _, Places, Workspace};

use crate::library::Code;
use crate::meter::{Meter, Metered};
use crate::state::{State, builder};
use crate::stdio::Sink;
use crate::{WasmExecutor, trap};

/// Characters of its last line of stderr that a failure repeats.
const LONGEST_WORDS: usize = 300;

/// Where a command sees its folders.
const PLACES: Places = Places { input: "/input", output: "/output", event: "/event/event" };

/// Runs an attempt on a command; exit status 0 is success, and everything in its output folder is an output.
pub(crate) async fn run(executor: &WasmExecutor, code: &Code, attempt: Attempt) -> Report {
    let meter = Meter::new(&attempt.deployment.service.limits);
    let work = attempt_on(executor, code, &attempt, &meter);
    let result = match tokio::time::timeout_at(meter.deadline().into(), work).await {
        Ok(result) => result,
        Err(_) => {
            meter.trip(Limit::Timeout);
            Err(meter.failure(Limit::Timeout))
        }
    };
    Report { result, usage: meter.usage() }
}

async fn attempt_on(
    executor: &WasmExecutor,
    code: &Code,
    attempt: &Attempt,
    meter: &Arc<Meter>,
) -> Result<Reply, Failure> {
    let workspace = Workspace::make(attempt, &attempt.scratch, &**meter).await?;
    let secrets = Redactor::of(&attempt.deployment);
    let stdout = Sink::reply(attempt.log.clone(), secrets.clone(), meter.clone());
    let stderr = Sink::log(attempt.log.clone(), secrets, LogStream::Stderr, meter.clone());
    let preview1 = matches!(code, Code::Preview1(_));
    let mut state = state(attempt, meter, &workspace, [&stdout, &stderr], preview1)?;
    state.models.clone_from(&executor.models);
    let guest = Box::pin(call(code, state, meter));
    let guest = Metered { guest, meter: meter.clone(), ticker: executor.ticker.clone() };
    let ended = tokio::select! {
        ended = guest => ended,
        used = workspace.flooded(meter.limits().output.0) => {
            meter.trip(Limit::Output);
            Err(meter.flooded(used))
        }
    };
    stderr.finish();
    let body = stdout.finish();
    ended.map_err(|failure| with_last_words(failure, &attempt.log))?;
    workspace.stage(attempt, &**meter).await?;
    Ok(Reply { body, content_type: None, status: Some(0) })
}

/// A command that ends badly says why on its last line: a status alone tells nobody what to do.
fn with_last_words(failure: Failure, log: &LogSink) -> Failure {
    let last = log.last(LogStream::Stderr);
    let last = last.map(|last| last.chars().take(LONGEST_WORDS).collect::<String>());
    match (failure, last) {
        (Failure::Function { message, permanent }, Some(last)) => {
            Failure::Function { message: format!("{message}: {last}"), permanent }
        }
        (Failure::Declined { message }, Some(last)) => {
            Failure::Declined { message: format!("{message}: {last}") }
        }
        (failure, _) => failure,
    }
}

fn state(
    attempt: &Attempt,
    meter: &Arc<Meter>,
    workspace: &Workspace,
    [stdout, stderr]: [&Sink; 2],
    preview1: bool,
) -> Result<State, Failure> {
    let deployment = &attempt.deployment;
    let mut builder = builder(deployment);
    builder.arg(deployment.service.name.as_str()).args(&deployment.service.args);
    for (name, value) in workspace.environment(&attempt.invocation.event, PLACES) {
        builder.env(name, value);
    }
    match &workspace.bytes {
        Some(bytes) => builder.stdin(MemoryInputPipe::new(bytes.clone())),
        None => {
            let file = std::fs::File::open(workspace.event.join("event"));
            let file =
                file.map_err(|error| Failure::Host { message: format!("cannot open the event: {error}") })?;
            builder.stdin(AsyncStdinStream::new(tokio::fs::File::from_std(file)))
        }
    };
    builder.stdout(stdout.clone()).stderr(stderr.clone());
    let mounts = [
        (&workspace.input, PLACES.input, FsPerms::ReadOnly),
        (&workspace.output, PLACES.output, FsPerms::ReadWrite),
        (&workspace.event, "/event", FsPerms::ReadOnly),
    ];
    for (folder, name, perms) in mounts {
        builder
            .preopened_dir(folder, name, perms)
            .map_err(|error| Failure::Host { message: format!("cannot open {name}: {error:#}") })?;
    }
    let mut state = State::with_builder(deployment, &attempt.log, meter, builder, preview1);
    state.objects = Some(attempt.objects.clone());
    Ok(state)
}

async fn call(code: &Code, state: State, meter: &Meter) -> Result<(), Failure> {
    let ended = async {
        match code {
            Code::Command(pre) => {
                let mut store = state.into_store(pre.engine());
                let command = pre.instantiate_async(&mut store).await?;
                meter.started();
                let ended = command.wasi_cli_run().call_run(&mut store).await?;
                ended.map_err(|()| I32Exit(1).into())
            }
            Code::Command03(pre) => {
                let mut store = state.into_store(pre.engine());
                let command = pre.instantiate_async(&mut store).await?;
                meter.started();
                let ended = store.run_concurrent(async |accessor| {
                    let ended = command.wasi_cli_run().call_run(accessor).await?;
                    // It may go on after it returned.
                    poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
                    wasmtime::error::Ok(ended)
                });
                ended.await??.map_err(|()| I32Exit(1).into())
            }
            Code::Preview1(pre) => {
                let mut store = state.into_store(pre.module().engine());
                let instance = pre.instantiate_async(&mut store).await?;
                meter.started();
                let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
                start.call_async(&mut store, ()).await
            }
            Code::Http(_) | Code::Http03(_) | Code::Event(_) => {
                Err(wasmtime::format_err!("the module is no command"))
            }
        }
    }
    .await;
    match ended {
        // Of 0.3, output over the limit is an error that a guest may ignore; the limit stands.
        Ok(()) => meter
            .tripped()
            .filter(|limit| matches!(limit, Limit::Output | Limit::Log))
            .map_or(Ok(()), |limit| Err(meter.failure(limit))),
        Err(error) if matches!(error.downcast_ref(), Some(I32Exit(0))) => Ok(()),
        Err(error) => Err(trap::failure(&error, meter)),
    }
}
