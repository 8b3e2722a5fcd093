//! `wicket versions NAME`.

use wicket_config::ServiceName;

use super::connect::Remote;
use super::out::Out;
use super::outcome::Exit;
use super::table::Table;
use super::words;

/// List the versions of a service that the host keeps
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The service
    name: ServiceName,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let versions = args.remote.connect()?.client.versions(&args.name).await?;
    if args.json {
        out.json(&versions)?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new([">VERSION", "APPLIED", "RUNS", ""]);
    for version in &versions {
        let current = if version.current { "runs" } else { "" };
        let (applied, module) =
            (version.created.to_string(), words::runs(version.wasm.as_ref(), version.image.as_ref()));
        table.row([version.version.to_string(), applied, module, current.to_owned()]);
    }
    table.write(out)?;
    Ok(Exit::Ok)
}
