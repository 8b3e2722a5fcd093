//! `wicket run NAME`: call a service and wait.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use wicket_config::{ServiceName, Span};

use super::connect::{Remote, Token};
use super::out::{Out, say};
use super::outcome::{Complaint, Exit};
use super::progress::Progress;
use super::transfer::{self, Sink};
use crate::api::view::INVOCATION_HEADER;
use crate::client::{Answer, ClientError, Patience};

/// Run a service on a body, wait, and print what it answers
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The service
    name: ServiceName,
    /// The body: a file, or `-` for standard input; without it the body is empty
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where the answer goes: a file, or `-` for standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Media type of the body
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// How long to wait for the answer; the service's own `limits.timeout` ends it sooner
    #[arg(long, value_name = "TIME", default_value = "1h")]
    timeout: Span,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    token: Token,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let client = args.remote.connect_with(args.token)?.client;
    let (body, size) = transfer::body(args.input.as_deref()).await?;
    // Opened before anything runs: an answer that cannot be kept is not asked for.
    let mut sink = Sink::open(args.output.as_deref(), out)?;
    let patience = Patience::up_to(args.timeout.0);
    let asked = client.run(&args.name, body, size, args.content_type.as_deref(), patience);
    let mut answer = Progress::spinner(&format!("{} runs", args.name)).during(asked).await.map_err(failed)?;
    told(&answer);
    let progress = Progress::bytes("receiving", length(&answer));
    while let Some(piece) = answer.piece().await? {
        sink.write(&piece)?;
        progress.add(piece.len() as u64);
    }
    sink.finish()?;
    Ok(Exit::Ok)
}

/// For the person who may want the receipt.
fn told(answer: &Answer) {
    if let Some(id) = answer.header(INVOCATION_HEADER).filter(|_| std::io::stderr().is_terminal()) {
        say(format_args!("invocation {id}"));
    }
}

fn length(answer: &Answer) -> Option<u64> {
    answer.header("content-length")?.parse().ok()
}

/// An error that names an invocation is that invocation's, unless it was refused before it ran.
fn failed(error: ClientError) -> anyhow::Error {
    match error {
        ClientError::Refused { ref detail, .. } if matches!(detail.code.as_str(), "busy" | "too_large") => {
            error.into()
        }
        ClientError::Refused { invocation: Some(id), detail, .. } => {
            Complaint::new(Exit::InvocationFailed, format!("invocation {id} failed: {}", detail.message))
                .help(format!("`wicket show {id}` and `wicket logs {id}` have more"))
                .into()
        }
        error => error.into(),
    }
}
