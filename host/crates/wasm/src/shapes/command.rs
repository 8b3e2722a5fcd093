//! Commands: `wasi:cli/run` components and preview-1 modules. The contract of a container supervisor, without one.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, I32Exit};
use wicket_core::{Attempt, Data, Failure, Limit, LogSink, LogStream, Reply, Report};

use crate::library::Code;
use crate::meter::{Meter, Metered};
use crate::modules::blocking;
use crate::redact::Redactor;
use crate::shapes::{input, notification};
use crate::state::{State, builder};
use crate::stdio::Sink;
use crate::{WasmExecutor, trap};

/// An event that is larger comes as a file only.
const LARGEST_VARIABLE: usize = 64 << 10;
/// Characters of its last line of stderr that a failure repeats.
const LONGEST_WORDS: usize = 300;

/// Folders of an attempt, below its scratch folder.
struct Folders {
    input: PathBuf,
    output: PathBuf,
    event: PathBuf,
}

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
    let event = notification::body(&attempt.invocation.event);
    let folders = folders(&attempt.scratch, &event).await?;
    let names = input::download(attempt, &folders.input, meter).await?;
    let secrets = Redactor::of(&attempt.deployment);
    let stdout = Sink::reply(attempt.log.clone(), secrets.clone(), meter.clone());
    let stderr = Sink::log(attempt.log.clone(), secrets, LogStream::Stderr, meter.clone());
    let preview1 = matches!(code, Code::Preview1(_));
    let state = state(attempt, meter, &folders, &names, event, [&stdout, &stderr], preview1)?;
    let guest = Box::pin(call(code, state, meter));
    let guest = Metered { guest, meter: meter.clone(), ticker: executor.ticker.clone() };
    let ended = tokio::select! {
        ended = guest => ended,
        () = flood(&folders.output, meter) => Err(meter.failure(Limit::Output)),
    };
    stderr.finish();
    let body = stdout.finish();
    ended.map_err(|failure| with_last_words(failure, &attempt.log))?;
    input::stage(attempt, &folders.output, meter).await?;
    Ok(Reply { body, content_type: None, status: Some(0) })
}

/// A command that ends badly says why on its last line: a status alone tells nobody what to do.
fn with_last_words(failure: Failure, log: &LogSink) -> Failure {
    let last = log.last(LogStream::Stderr);
    match (failure, last) {
        (Failure::Function { message, permanent }, Some(last)) => {
            let last: String = last.chars().take(LONGEST_WORDS).collect();
            Failure::Function { message: format!("{message}: {last}"), permanent }
        }
        (failure, _) => failure,
    }
}

async fn folders(scratch: &Path, event: &Bytes) -> Result<Folders, Failure> {
    let folders = Folders {
        input: scratch.join("input"),
        output: scratch.join("output"),
        event: scratch.join("event"),
    };
    // In one step: a change of threads takes longer than any of it.
    let (all, event) = ([&folders.input, &folders.output, &folders.event].map(Clone::clone), event.clone());
    let made = blocking(move || {
        all.iter().try_for_each(std::fs::create_dir)?;
        std::fs::write(all[2].join("event"), event)
    });
    made.await.map_err(input::host("make the scratch folders"))?;
    Ok(folders)
}

fn state(
    attempt: &Attempt,
    meter: &Arc<Meter>,
    folders: &Folders,
    names: &[String],
    event: Bytes,
    [stdout, stderr]: [&Sink; 2],
    preview1: bool,
) -> Result<State, Failure> {
    let (deployment, about) = (&attempt.deployment, &attempt.invocation.event);
    let mut builder = builder(deployment);
    builder.arg(deployment.service.name.as_str()).args(&deployment.service.args);
    builder.env("TMP_INPUT_DIR", "/input").env("TMP_OUTPUT_DIR", "/output");
    match names {
        [] => {}
        // A join of one part is a folder, as any join.
        [one] if !matches!(about.data, Data::Parts(_)) => {
            builder.env("INPUT_FILE_PATH", format!("/input/{one}"));
        }
        _ => {
            builder.env("INPUT_FILE_PATH", "/input");
        }
    }
    if let Some(object) = about.object() {
        builder.env("STORAGE_OBJECT_KEY", object.key.as_str());
    }
    builder.env("EVENT_TIME", about.time.to_string()).env("EVENT_FILE", "/event/event");
    if let (true, Ok(text)) = (event.len() <= LARGEST_VARIABLE, std::str::from_utf8(&event))
        && !text.contains('\0')
    {
        builder.env("EVENT", text);
    }
    builder.stdin(MemoryInputPipe::new(event)).stdout(stdout.clone()).stderr(stderr.clone());
    let mounts = [
        (&folders.input, "/input", FsPerms::ReadOnly),
        (&folders.output, "/output", FsPerms::ReadWrite),
        (&folders.event, "/event", FsPerms::ReadOnly),
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

/// Resolves when the output folder holds more than the service may put out.
async fn flood(output: &Path, meter: &Meter) {
    loop {
        tokio::time::sleep(input::LOOK).await;
        let folder = output.to_owned();
        // A failed look is made again.
        let used = tokio::task::spawn_blocking(move || input::disk_use(&folder)).await.unwrap_or(0);
        // A file of one byte takes a block, so small limits are judged at the end, by the files' own sizes.
        if used > meter.limits().output.0.saturating_add(1 << 20) {
            meter.trip(Limit::Output);
            return;
        }
    }
}
