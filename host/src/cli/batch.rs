//! `wicket batch`: the machines and the queue of batch jobs, made and taken away.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use anyhow::Context as _;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wicket_batch::BatchConfig;
use wicket_batch::setup::{Action, Setup, Step, Wanted, user_data};
use wicket_buckets::WorkBucket;
use wicket_config::{Given, HostConfig};

use super::out::{Out, say};
use super::outcome::{Complaint, Exit};
use super::table::Table;
use crate::app::{self, NODE_ID_FILE};
use crate::env;

/// Largest supervisor that is sent.
const LARGEST: u64 = 64 << 20;

/// Make and take away the machines and the queue of batch jobs
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Setup(Box<SetupArgs>),
    Teardown(TeardownArgs),
}

/// What both need.
#[derive(Debug, clap::Args)]
struct Common {
    /// The operator's file, whose `[batch]` says where Batch is
    #[arg(long, value_name = "FILE", env = env::CONFIG)]
    config: Option<PathBuf>,
    /// Name of the compute environment
    #[arg(long, value_name = "NAME", default_value = "wicketgate")]
    compute_environment: String,
    /// Name of the queue [default: `queue` of [batch], or wicketgate]
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Do it without a question
    #[arg(long)]
    yes: bool,
    /// Print the plan as JSON; without --yes it is all that is done
    #[arg(long)]
    json: bool,
}

/// Show what a compute environment and a queue would be, and make them
#[derive(Debug, clap::Args)]
struct SetupArgs {
    #[command(flatten)]
    common: Common,
    /// Types or families of machines
    #[arg(long, value_name = "TYPE", value_delimiter = ',', default_value = "optimal")]
    instance_types: Vec<String>,
    /// vCPUs that are there when nothing runs
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_vcpus: u32,
    /// vCPUs to begin with
    #[arg(long, value_name = "N", default_value_t = 0)]
    desired_vcpus: u32,
    /// vCPUs at most
    #[arg(long, value_name = "N", default_value_t = 16)]
    max_vcpus: u32,
    /// Subnets of the machines
    #[arg(long, value_name = "ID", value_delimiter = ',', required = true)]
    subnets: Vec<String>,
    /// Security groups of the machines
    #[arg(long, value_name = "ID", value_delimiter = ',', required = true)]
    security_groups: Vec<String>,
    /// Instance profile of the machines
    #[arg(long, value_name = "ARN", required = true)]
    instance_role: String,
    /// Role of Batch [default: the one that AWS links to the service]
    #[arg(long, value_name = "ARN")]
    service_role: Option<String>,
    /// Launch template with the user data that brings the supervisor
    #[arg(long, value_name = "NAME")]
    launch_template: Option<String>,
    /// The machines have GPUs
    #[arg(long)]
    gpu: bool,
    /// Spare machines, which AWS may take back
    #[arg(long)]
    spot: bool,
    /// Send this supervisor to the work bucket, and print the user data of a launch template that brings it
    #[arg(long, value_name = "FILE")]
    supervisor: Option<PathBuf>,
}

/// Show what `setup` has made and take it away, and this host's job definitions
#[derive(Debug, clap::Args)]
struct TeardownArgs {
    #[command(flatten)]
    common: Common,
    /// The data folder of the host whose job definitions go
    #[arg(long, value_name = "DIR", env = env::DATA)]
    data: Option<PathBuf>,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    match args.command {
        Command::Setup(args) => setup(*args, out).await,
        Command::Teardown(args) => teardown(args, out).await,
    }
}

async fn setup(args: SetupArgs, out: &mut Out) -> anyhow::Result<Exit> {
    let (config, queue) = config(&args.common)?;
    let wanted = Wanted {
        compute_environment: args.common.compute_environment.clone(),
        queue,
        instance_types: args.instance_types,
        vcpus: (args.min_vcpus, args.desired_vcpus, args.max_vcpus),
        subnets: args.subnets,
        security_groups: args.security_groups,
        instance_role: args.instance_role,
        service_role: args.service_role,
        launch_template: args.launch_template,
        gpu: args.gpu,
        spot: args.spot,
    };
    let setup = Setup::new(&config, None);
    let plan = setup.plan(&wanted).await?;
    if !agreed(&args.common, &plan, out)? {
        return Ok(Exit::Ok);
    }
    if let Some(file) = &args.supervisor {
        let text = bring(&config, file).await?;
        match args.common.json {
            true => say(text),
            false => out.line(text)?,
        }
    }
    setup.carry_out(&wanted, &plan).await?;
    say(format_args!("jobs of the queue `{}` can run", wanted.queue));
    Ok(Exit::Ok)
}

async fn teardown(args: TeardownArgs, out: &mut Out) -> anyhow::Result<Exit> {
    let (config, queue) = config(&args.common)?;
    let data = args.data.or_else(env::default_data);
    // A host that has never run has no definitions.
    let node = data.and_then(|data| std::fs::read_to_string(data.join(NODE_ID_FILE)).ok());
    let setup = Setup::new(&config, node.map(|node| node.trim().to_owned()));
    let plan = setup.plan_teardown(&args.common.compute_environment, &queue).await?;
    if agreed(&args.common, &plan, out)? {
        setup.tear_down(&plan).await?;
        say("done");
    }
    Ok(Exit::Ok)
}

/// Where Batch is, and the queue that is meant.
fn config(common: &Common) -> anyhow::Result<(BatchConfig, String)> {
    let host = HostConfig::load(common.config.as_deref(), &Given::default())?;
    let config = app::batch::config(&host.batch, "")?.ok_or_else(|| {
        Complaint::new(Exit::BadFile, "[batch] of wicket.toml has no `bucket`")
            .help("name the file with --config, and the bucket in it; docs/wicket-toml.md says what else")
    })?;
    let queue = common.queue.clone().or_else(|| config.queue.clone());
    Ok((config, queue.unwrap_or_else(|| "wicketgate".to_owned())))
}

/// Shows what would be done, and whether it shall be.
fn agreed(common: &Common, plan: &[Step], out: &mut Out) -> anyhow::Result<bool> {
    if common.json {
        out.json(&plan)?;
    } else {
        let mut table = Table::new(["", "WHAT", "NAME", "ABOUT"]);
        for step in plan {
            let action = match step.action {
                Action::Create => "create",
                Action::Keep => "keep",
                Action::Remove => "remove",
            };
            table.row([action.to_owned(), step.kind.to_owned(), step.name.clone(), step.about.clone()]);
        }
        table.write(out)?;
    }
    out.flush()?;
    if common.yes {
        return Ok(true);
    }
    if plan.iter().all(|step| step.action == Action::Keep) {
        say("there is nothing to do");
        return Ok(false);
    }
    if common.json || !std::io::stdin().is_terminal() {
        say("this is the plan: --yes does it");
        return Ok(false);
    }
    say("do this? [y/N]");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Sends a supervisor to the work bucket; the user data by which machines fetch it.
async fn bring(config: &BatchConfig, file: &PathBuf) -> anyhow::Result<String> {
    let about = || format!("the supervisor {}", file.display());
    let size = std::fs::metadata(file).with_context(about)?.len();
    if size > LARGEST {
        anyhow::bail!("{} has {size} bytes, which no supervisor has", file.display());
    }
    let program = std::fs::read(file).with_context(about)?;
    let digest = hex::encode(Sha256::digest(&program));
    let key = format!("{}/supervisor/{digest}", config.prefix);
    let work = WorkBucket::new(&config.storage, config.storage_token.as_ref(), config.bucket.clone());
    work.put(&key, Bytes::from(program)).await.context("the work bucket")?;
    Ok(user_data(&config.supervisor, config.bucket.as_str(), &key, &digest))
}
