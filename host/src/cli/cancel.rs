//! `wicket cancel`: stopping what waits or runs.

use wicket_core::InvocationId;

use super::connect::Remote;
use super::out::say;
use super::outcome::Exit;

/// Cancel invocations that wait or run; each becomes a dead letter
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The invocations
    #[arg(required = true, value_name = "ID")]
    ids: Vec<InvocationId>,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let client = args.remote.connect()?.client;
    for id in args.ids {
        client.cancel(id).await?;
        say(format_args!("invocation {id} is cancelled"));
    }
    Ok(Exit::Ok)
}
