//! `wicket services`.

use super::connect::Remote;
use super::out::{Out, say};
use super::outcome::Exit;
use super::table::Table;
use super::words;
use crate::api::view::ServiceSummary;

/// List the services of the host
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print them as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let services = args.remote.connect()?.client.services().await?;
    if args.json {
        out.json(&services)?;
        return Ok(Exit::Ok);
    }
    if services.is_empty() {
        say("there are no services yet: `wicket apply FILE`");
    }
    let mut table = Table::new(["NAME", ">VERSION", ">QUEUED", ">RUNNING", ">DEAD", "RUNS", "STARTED BY"]);
    for service in &services {
        table.row([
            service.name.to_string(),
            service.version.to_string(),
            (service.depth.queued + service.depth.waiting_parts).to_string(),
            service.depth.running.to_string(),
            service.depth.dead.to_string(),
            words::runs(service.wasm.as_ref(), service.image.as_ref()),
            started_by(service),
        ]);
    }
    table.write(out)?;
    Ok(Exit::Ok)
}

fn started_by(service: &ServiceSummary) -> String {
    let buckets = service.input.iter().map(|place| match place.storage_provider.as_str() {
        wicket_config::ProviderId::LOCAL => place.path.clone(),
        provider => format!("{provider}:{}", place.path),
    });
    let routes = service.http.iter().map(|route| {
        let methods = if route.methods.is_empty() { "HTTP".to_owned() } else { route.methods.join("|") };
        format!("{methods} {}{}", route.host.as_deref().unwrap_or_default(), route.path)
    });
    let events = service.events.iter().map(|filter| {
        let wanted = [("type", &filter.kind), ("source", &filter.source), ("subject", &filter.subject)];
        let wanted: Vec<String> = wanted
            .iter()
            .filter_map(|(name, pattern)| Some(format!("{name} {}", pattern.as_ref()?)))
            .collect();
        format!("events of {}", wanted.join(", "))
    });
    let all: Vec<String> = buckets.chain(routes).chain(events).collect();
    if all.is_empty() { "calls".to_owned() } else { all.join(", ") }
}
