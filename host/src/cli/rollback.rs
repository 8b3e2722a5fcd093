//! `wicket rollback NAME [VERSION]`.

use wicket_config::ServiceName;

use super::connect::Remote;
use super::out::Out;
use super::outcome::Exit;
use super::progress::Progress;

/// Make an older version of a service the one that runs; no request is dropped
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The service
    name: ServiceName,
    /// Which version (see `wicket versions`); without it the one before
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
    /// Print what runs now as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let client = args.remote.connect()?.client;
    let progress = Progress::spinner(&format!("{}: compiling", args.name));
    let now = progress.during(client.rollback(&args.name, args.version)).await?;
    if args.json {
        out.json(&now)?;
    } else {
        out.line(format_args!("{}  version {}", args.name, now.version))?;
    }
    Ok(Exit::Ok)
}
