//! `wicket devices`.

use super::connect::Remote;
use super::out::{Out, say};
use super::outcome::Exit;
use super::table::Table;
use super::words;

/// List the devices that run models, and the models on each
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print them as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let devices = args.remote.connect()?.client.devices().await?;
    if args.json {
        out.json(&devices)?;
        return Ok(Exit::Ok);
    }
    if devices.is_empty() {
        say("no model was asked for since the host began");
    }
    let mut table = Table::new(["DEVICE", "MODEL", "BY", ">MEMORY", ">CALLS", ">RUNS", ""]);
    for device in &devices {
        let (used, limit) = (words::bytes(device.memory), words::bytes(device.memory_limit));
        let waits = match device.queued {
            0 => String::new(),
            n => format!("{n} calls wait"),
        };
        let by =
            device.onnxruntime.as_ref().map_or_else(String::new, |version| format!("onnxruntime {version}"));
        let all = format!("all: {used} of {limit}");
        table.row([device.device.clone(), all, by, String::new(), String::new(), String::new(), waits]);
        for model in &device.models {
            let name = match model.names.as_slice() {
                [] => model.sha256.chars().take(12).collect(),
                names => words::brief(&names.join(", ")),
            };
            let state = match (model.loaded, model.pinned, model.set_aside_ms) {
                (_, _, Some(ms)) => format!("set aside for {}", words::micros(ms.saturating_mul(1000))),
                (true, true, None) => "pinned".to_owned(),
                (true, false, None) => String::new(),
                (false, _, None) => "not loaded".to_owned(),
            };
            let memory = if model.loaded { words::bytes(model.memory) } else { String::new() };
            let (calls, runs) = (model.calls.to_string(), model.runs.to_string());
            table.row([device.device.clone(), name, model.backend.clone(), memory, calls, runs, state]);
        }
    }
    table.write(out)?;
    Ok(Exit::Ok)
}
