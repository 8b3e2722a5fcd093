//! `wicket job NAME`: queue a service.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use wicket_config::{ServiceName, Span};
use wicket_core::{InvocationId, Receipt, State};

use super::connect::{Remote, Token};
use super::out::{Out, say};
use super::outcome::{Complaint, Exit};
use super::progress::Progress;
use super::{show, transfer, words};
use crate::client::Client;

/// Queue a service on a body; print the invocation's id, or with --wait its receipt
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The service
    name: ServiceName,
    /// The body: a file, or `-` for standard input; without it the body is empty
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Media type of the body
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A name for this request: sent again with the same, it is not queued again
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "1h", requires = "wait")]
    timeout: Span,
    /// Print what was queued, or the receipts, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    token: Token,
}

/// The first look at a receipt; each next one waits longer.
const FIRST_LOOK: Duration = Duration::from_millis(20);
/// Looks are never further apart.
const LAST_LOOK: Duration = Duration::from_secs(2);

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let client = args.remote.connect_with(args.token)?.client;
    let (body, size) = transfer::body(args.input.as_deref()).await?;
    let key = args.idempotency_key.as_deref();
    let accepted = client.job(&args.name, body, size, args.content_type.as_deref(), key).await?;
    let ids: Vec<InvocationId> = accepted.invocations.iter().map(|started| started.id).collect();
    if accepted.waiting {
        say("the body is kept as a part of a join: the service starts when its join is complete");
    } else if ids.is_empty() {
        say("the body is a notification about nothing that starts this service now");
    }
    if !args.wait {
        if args.json {
            out.json(&accepted)?;
        } else {
            ids.iter().try_for_each(|id| out.line(id))?;
        }
        return Ok(Exit::Ok);
    }
    let progress = Progress::spinner(&format!("waiting for {}", words::count(ids.len(), "invocation")));
    let end = Instant::now() + args.timeout.0;
    let mut receipts = Vec::new();
    for id in ids {
        receipts.push(progress.during(ended(&client, id, end)).await?);
    }
    drop(progress);
    let failed = receipts.iter().any(|receipt| receipt.state == State::Failed);
    if args.json {
        match receipts.as_slice() {
            [one] => out.json(one)?,
            all => out.json(&all)?,
        }
    } else {
        receipts.iter().try_for_each(|receipt| show::write(receipt, out))?;
    }
    Ok(if failed { Exit::InvocationFailed } else { Exit::Ok })
}

/// The receipt of an invocation that has ended.
async fn ended(client: &Client, id: InvocationId, end: Instant) -> anyhow::Result<Receipt> {
    let mut pause = FIRST_LOOK;
    loop {
        let receipt = client.invocation(id).await?;
        if matches!(receipt.state, State::Succeeded | State::Failed) {
            return Ok(receipt);
        }
        if Instant::now() + pause > end {
            let text = format!("invocation {id} is still {}", words::state(receipt.state));
            return Err(Complaint::new(Exit::Failed, text)
                .help(format!("it goes on: `wicket show {id}`"))
                .into());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
}
