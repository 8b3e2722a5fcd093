//! `wicket rm NAME`.

use wicket_config::ServiceName;

use super::connect::Remote;
use super::out::{Out, say};
use super::outcome::Exit;

/// Remove a service; what waits for it becomes dead letters, its buckets stay
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The service
    name: ServiceName,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, _out: &mut Out) -> anyhow::Result<Exit> {
    args.remote.connect()?.client.remove(&args.name).await?;
    say(format_args!("service `{}` is removed", args.name));
    Ok(Exit::Ok)
}
