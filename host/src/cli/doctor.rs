//! `wicket doctor`.

use std::path::PathBuf;

use wicket_config::{Given, HostConfig};

use super::out::Out;
use super::outcome::Exit;
use super::table::Table;
use crate::doctor::{self, Verdict};
use crate::env;

/// Say what this machine offers to a host, and what will be slower or missing
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The operator's file that a host will use
    #[arg(long, value_name = "FILE", env = env::CONFIG)]
    config: Option<PathBuf>,
    /// The data folder that a host will use
    #[arg(long, value_name = "DIR", env = env::DATA)]
    data: Option<PathBuf>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut Out) -> anyhow::Result<Exit> {
    let config = HostConfig::load(args.config.as_deref(), &Given::default())?;
    let data = args.data.clone().or_else(|| config.top.data.clone()).or_else(env::default_data);
    let findings = doctor::examine(&config, data.as_deref());
    let impossible = findings.iter().any(|finding| finding.verdict == Verdict::Impossible);
    if args.json {
        out.json(&findings)?;
    } else {
        let mut table = Table::new(["CHECK", "", "FOUND", "MEANS"]);
        for finding in &findings {
            let verdict = finding.verdict.to_string();
            table.row([finding.check.to_owned(), verdict, finding.found.clone(), finding.means.clone()]);
        }
        table.write(out)?;
    }
    Ok(if impossible { Exit::Failed } else { Exit::Ok })
}
