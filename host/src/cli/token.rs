//! `wicket token NAME`.

use wicket_config::ServiceName;

use super::connect::Remote;
use super::out::Out;
use super::outcome::Exit;

/// Print the token of a service, which calls it and nothing else
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The service
    name: ServiceName,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let token = args.remote.connect()?.client.token(&args.name).await?;
    out.line(&token)?;
    Ok(Exit::Ok)
}
