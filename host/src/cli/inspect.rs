//! `wicket inspect FILE.wasm`: without a host.

use std::path::PathBuf;

use serde::Serialize;
use wicket_config::ModuleDigest;
use wicket_wasm::ModuleInfo;

use super::definitions;
use super::out::Out;
use super::outcome::{Complaint, Exit};
use super::table::shown;
use super::words;

/// Say what a module is, what it imports, and what a service must grant it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A component, or a preview-1 core module
    file: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Inspected {
    file: PathBuf,
    digest: ModuleDigest,
    #[serde(flatten)]
    info: ModuleInfo,
}

pub(super) fn run(args: &Args, out: &mut Out) -> anyhow::Result<Exit> {
    let (digest, info) = definitions::read_module(&args.file)
        .map_err(|error| Complaint::new(Exit::BadFile, format!("{error:#}")))?;
    let found = Inspected { file: args.file.clone(), digest, info };
    if args.json {
        out.json(&found)?;
        return Ok(Exit::Ok);
    }
    let Inspected { file, digest, info } = found;
    out.line(format_args!("file     {}", shown(&file.display().to_string())))?;
    out.line(format_args!("shape    {}", info.shape))?;
    out.line(format_args!("size     {}", words::bytes(info.size)))?;
    out.line(format_args!("digest   sha256:{digest}"))?;
    list(out, "imports", &info.imports)?;
    list(out, "exports", &info.exports)?;
    list(out, "needs", &info.needs)?;
    Ok(Exit::Ok)
}

fn list(out: &mut Out, name: &str, entries: &[String]) -> std::io::Result<()> {
    if entries.is_empty() {
        return out.line(format_args!("{name:8} nothing"));
    }
    for (idx, entry) in entries.iter().enumerate() {
        let name = if idx == 0 { name } else { "" };
        out.line(format_args!("{name:8} {}", shown(entry)))?;
    }
    Ok(())
}
