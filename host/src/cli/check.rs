//! `wicket check FILE`: without a host.

use std::path::{Path, PathBuf};

use serde::Serialize;
use wicket_config::{Given, HostConfig};

use super::definitions::{self, Defined};
use super::out::Out;
use super::outcome::Exit;
use super::table::Table;
use super::words;

/// Check a file of services, or a wicket.toml, without a host
///
/// Everything that is wrong is told at once, with line and column. Modules named by path are looked at.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file of services (FDL), or the operator's file (*.toml)
    file: PathBuf,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// A service in the file.
#[derive(Debug, Serialize)]
struct Found {
    service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wasm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<wicket_wasm::ModuleInfo>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> anyhow::Result<Exit> {
    if args.file.extension().is_some_and(|extension| extension == "toml") {
        return operators_file(&args.file, args.json, out);
    }
    let found: Vec<Found> = definitions::load(&args.file)?.into_iter().map(found).collect();
    if args.json {
        out.json(&found)?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(["SERVICE", "SHAPE", ">SIZE", "NEEDS"]);
    for one in &found {
        let (shape, size, needs) = match &one.module {
            Some(info) => (info.shape.to_string(), words::bytes(info.size), info.needs.join("; ")),
            None if one.wasm.is_some() => ("(on the host)".to_owned(), String::new(), String::new()),
            None => ("container".to_owned(), String::new(), one.image.clone().unwrap_or_default()),
        };
        table.row([one.service.clone(), shape, size, needs]);
    }
    table.write(out)?;
    out.line(format_args!(
        "{}: {}, nothing wrong",
        args.file.display(),
        words::count(found.len(), "service")
    ))?;
    Ok(Exit::Ok)
}

fn found(one: Defined) -> Found {
    let Defined { definition, module, .. } = one;
    let wasm = module.as_ref().map(|module| module.digest.to_string());
    let (file, info) = module.and_then(|module| module.file).map(|file| (file.path, file.info)).unzip();
    let image = definition.draft().container.as_ref().map(|container| container.image.to_string());
    Found { service: definition.name().to_string(), wasm, image, file, module: info }
}

fn operators_file(file: &Path, json: bool, out: &mut Out) -> anyhow::Result<Exit> {
    let config = HostConfig::load(Some(file), &Given::default())?;
    if json {
        let top = &config.top;
        out.json(&serde_json::json!({ "listen": top.listen, "s3_listen": top.s3_listen, "data": top.data }))?;
    } else {
        out.line(format_args!("{}: nothing wrong", file.display()))?;
    }
    Ok(Exit::Ok)
}
