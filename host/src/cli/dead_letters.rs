//! `wicket dead-letters`: what was given up, and trying it again.

use wicket_config::ServiceName;
use wicket_core::{InvocationId, Timestamp};

use super::connect::Remote;
use super::out::{Out, say};
use super::outcome::Exit;
use super::table::Table;
use super::words;
use crate::client::Page;

/// List the invocations that were given up, or queue them again
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    redrive: Option<Redrive>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only of this service
    #[arg(long, value_name = "NAME")]
    service: Option<ServiceName>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Subcommand)]
enum Redrive {
    /// Queue dead letters again, each with a full set of attempts
    Redrive {
        /// The invocations
        #[arg(required = true, value_name = "ID")]
        ids: Vec<InvocationId>,
        #[command(flatten)]
        remote: Remote,
    },
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    match args.redrive {
        Some(Redrive::Redrive { ids, remote }) => redrive(ids, remote).await,
        None => list(args.list, out).await,
    }
}

async fn redrive(ids: Vec<InvocationId>, remote: Remote) -> anyhow::Result<Exit> {
    let client = remote.connect()?.client;
    for id in ids {
        client.redrive(id).await?;
        say(format_args!("invocation {id} is queued again"));
    }
    Ok(Exit::Ok)
}

async fn list(args: List, out: &mut Out) -> anyhow::Result<Exit> {
    let page = Page { service: args.service, limit: args.limit, ..Page::default() };
    let letters = args.remote.connect()?.client.dead_letters(&page).await?;
    if args.json {
        out.json(&letters)?;
        return Ok(Exit::Ok);
    }
    if letters.is_empty() {
        say("there are none");
    }
    let now = Timestamp::now();
    let mut table = Table::new(["ID", "SERVICE", ">AGE", ">TRIES", "ON", "REASON"]);
    for letter in &letters {
        let receipt = &letter.receipt;
        table.row([
            receipt.id.to_string(),
            receipt.service.to_string(),
            words::ago(receipt.finished.unwrap_or(receipt.accepted), now),
            receipt.attempts.len().to_string(),
            words::brief(receipt.subject.as_ref().unwrap_or(&receipt.source)),
            words::brief(&letter.reason),
        ]);
    }
    table.write(out)?;
    Ok(Exit::Ok)
}
