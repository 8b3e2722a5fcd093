//! `wicket invocations [NAME]`.

use wicket_config::ServiceName;
use wicket_core::{Receipt, State, Timestamp};

use super::connect::Remote;
use super::out::{Out, say};
use super::outcome::Exit;
use super::table::Table;
use super::words;
use crate::client::Page;

/// List invocations, newest first
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only of this service
    name: Option<ServiceName>,
    /// Only in this state
    #[arg(long, value_enum)]
    state: Option<Wanted>,
    /// Only of the workflow run that began with this event
    #[arg(long, value_name = "EVENT")]
    origin: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print the receipts as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// The states, as written on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Wanted {
    Queued,
    Running,
    Succeeded,
    Failed,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let state = args.state.map(|state| match state {
        Wanted::Queued => State::Queued,
        Wanted::Running => State::Running,
        Wanted::Succeeded => State::Succeeded,
        Wanted::Failed => State::Failed,
    });
    let page = Page { service: args.name, state, origin: args.origin, limit: args.limit };
    let receipts = args.remote.connect()?.client.invocations(&page).await?;
    if args.json {
        out.json(&receipts)?;
        return Ok(Exit::Ok);
    }
    if receipts.is_empty() {
        say("there are none");
    }
    write(&receipts, out)?;
    Ok(Exit::Ok)
}

/// Writes receipts as a table.
pub(super) fn write(receipts: &[Receipt], out: &mut Out) -> std::io::Result<()> {
    let now = Timestamp::now();
    let mut table = Table::new(["ID", "SERVICE", "STATE", ">AGE", ">TRIES", ">WALL", ">CPU", "ON"]);
    for receipt in receipts {
        let last = receipt.attempts.last();
        let usage = |of: fn(&wicket_core::Usage) -> u64| {
            last.map(|attempt| words::micros(of(&attempt.usage))).unwrap_or_default()
        };
        let failure = last.and_then(|attempt| attempt.failure.as_ref()).map(ToString::to_string);
        let subject = receipt.subject.clone().unwrap_or_else(|| receipt.source.clone());
        // What it waits for now says more than how it went before.
        let waiting = receipt.waiting.as_ref().map(|waiting| format!("waits: {}", waiting.reason));
        let on = match waiting.or(failure) {
            Some(failure) if receipt.state != State::Succeeded => format!("{subject}: {failure}"),
            _ => subject,
        };
        table.row([
            receipt.id.to_string(),
            receipt.service.to_string(),
            words::state(receipt.state).to_owned(),
            words::ago(receipt.accepted, now),
            receipt.attempts.len().to_string(),
            usage(|usage| usage.wall_us),
            usage(|usage| usage.cpu_us),
            words::brief(&on),
        ]);
    }
    table.write(out)
}
