//! `wicket serve`.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;
use wicket_config::{Given, HostConfig};

use super::outcome::{Complaint, Exit};
use crate::app::{self, ServeOptions};
use crate::env;

/// Run a host on this machine
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The operator's file (docs/wicket-toml.md); flags go before what it says
    #[arg(long, value_name = "FILE", env = env::CONFIG)]
    config: Option<PathBuf>,
    /// Folder in which the host keeps everything
    #[arg(long, value_name = "DIR", env = env::DATA)]
    data: Option<PathBuf>,
    /// Address of the API and the HTTP triggers; port 0 is a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Address of the buckets [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDR")]
    s3_listen: Option<SocketAddr>,
    /// Listen elsewhere than on loopback
    #[arg(long)]
    allow_remote: bool,
    /// Print the addresses as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let given = Given { listen: args.listen, s3_listen: args.s3_listen, allow_remote: args.allow_remote };
    let config = HostConfig::load(args.config.as_deref(), &given)?;
    let data = args.data.or_else(|| config.top.data.clone()).or_else(env::default_data).ok_or_else(|| {
        Complaint::new(Exit::Usage, "there is no data folder, and no home to make one in")
            .help("choose one with --data")
    })?;
    log()?;
    app::serve(config, data, ServeOptions { json: args.json })?;
    Ok(Exit::Ok)
}

/// From now on what the host does is told on standard error.
fn log() -> Result<(), Complaint> {
    let wanted = env::log_filter();
    // The S3 protocol crate tells every refusal as an error, and requests with all their headers; the engine's client
    // tells what it sends, the secrets of a container included; AWS's clients tell links that they have signed. The last
    // word counts.
    let directives = format!(
        "{},s3s=off,bollard=off,aws_smithy_runtime=warn,aws_smithy_runtime_api=warn,aws_smithy_http_client=warn,\
         aws_sdk_batch=warn,aws_sdk_s3=warn,aws_runtime=warn,aws_sigv4=warn,hyper_util=info",
        wanted.as_deref().unwrap_or("info")
    );
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        Complaint::new(Exit::Usage, format!("{} is no log filter: {error}", env::LOG))
            .help("as in `info` or `wicket=debug`")
    })?;
    let colours = std::io::stderr().is_terminal() && !env::no_color();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    Ok(())
}
