//! The command line: one command, one file. Data goes to standard output, talk to standard error; `docs/cli.md` is
//! the contract for scripts.

mod apply;
mod batch;
mod bucket;
mod cancel;
mod check;
mod connect;
mod dead_letters;
mod definitions;
mod devices;
mod doctor;
mod explain;
mod inspect;
mod invocations;
mod job;
mod logs;
mod out;
mod outcome;
mod progress;
mod rm;
mod rollback;
mod run;
mod serve;
mod services;
mod show;
mod table;
mod token;
mod transfer;
mod versions;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use out::Out;
use outcome::Exit;

/// Serverless functions on an edge box: run a host, and talk to one.
#[derive(Debug, Parser)]
#[command(name = "wicket", version, after_help = outcome::EXIT_CODES, max_term_width = 100)]
#[command(disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Apply(apply::Args),
    Check(check::Args),
    Services(services::Args),
    Token(token::Args),
    Rm(rm::Args),
    Run(run::Args),
    Job(job::Args),
    Invocations(invocations::Args),
    Show(show::Args),
    Logs(logs::Args),
    Cancel(cancel::Args),
    DeadLetters(dead_letters::Args),
    Explain(explain::Args),
    Versions(versions::Args),
    Rollback(rollback::Args),
    Devices(devices::Args),
    Bucket(bucket::Args),
    Batch(batch::Args),
    Inspect(inspect::Args),
    Doctor(doctor::Args),
    /// What the host starts to compile a module.
    #[command(hide = true)]
    CompileChild,
    /// What the host starts to run models on a device.
    #[command(hide = true)]
    InferenceWorker,
}

/// Runs one command to its end.
pub fn run(args: Args) -> ExitCode {
    let mut out = Out::stdout();
    let done = match args.command {
        // First of all: it bounds the whole process, which must have no thread yet.
        Command::CompileChild => return wicket_wasm::compile_child(),
        Command::InferenceWorker => return wicket_inference::worker_main(),
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(&args, &mut out),
        Command::Inspect(args) => inspect::run(&args, &mut out),
        Command::Doctor(args) => doctor::run(&args, &mut out),
        Command::Apply(args) => wait(apply::run(args, &mut out)),
        Command::Services(args) => wait(services::run(args, &mut out)),
        Command::Token(args) => wait(token::run(args, &mut out)),
        Command::Rm(args) => wait(rm::run(args, &mut out)),
        Command::Run(args) => wait(run::run(args, &mut out)),
        Command::Job(args) => wait(job::run(args, &mut out)),
        Command::Invocations(args) => wait(invocations::run(args, &mut out)),
        Command::Show(args) => wait(show::run(args, &mut out)),
        Command::Logs(args) => wait(logs::run(args, &mut out)),
        Command::Cancel(args) => wait(cancel::run(args)),
        Command::DeadLetters(args) => wait(dead_letters::run(args, &mut out)),
        Command::Explain(args) => wait(explain::run(args, &mut out)),
        Command::Versions(args) => wait(versions::run(args, &mut out)),
        Command::Rollback(args) => wait(rollback::run(args, &mut out)),
        Command::Devices(args) => wait(devices::run(args, &mut out)),
        Command::Bucket(args) => wait(bucket::run(args, &mut out)),
        Command::Batch(args) => wait(batch::run(args, &mut out)),
    };
    let done = done.and_then(|exit| out.flush().map(|()| exit).map_err(Into::into));
    outcome::tell(done).into()
}

/// Waits for a command that talks to a host.
fn wait(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(command);
    // A read of standard input that nobody waits for any more must not hold the exit.
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests;
