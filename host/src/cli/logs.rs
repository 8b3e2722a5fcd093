//! `wicket logs ID`.

use wicket_core::{InvocationId, LogStream};

use super::connect::Remote;
use super::out::Out;
use super::outcome::{Complaint, Exit};
use super::table::shown;
use crate::api::view::LogLineView;

/// Longest line that is taken from a host.
const LONGEST: usize = 16 << 20;

/// Print the log of an invocation
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The invocation
    id: InvocationId,
    /// Stay, and print each line when it is written, until the invocation has ended
    #[arg(long, short)]
    follow: bool,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let mut answer = args.remote.connect()?.client.logs(args.id, args.follow).await?;
    let mut rest = Vec::new();
    let mut attempt = 1;
    while let Some(piece) = answer.piece().await? {
        rest.extend_from_slice(&piece);
        let mut from = 0;
        while let Some(length) = rest[from..].iter().position(|byte| *byte == b'\n') {
            let line = &rest[from..from + length];
            from += length + 1;
            if args.json {
                out.bytes(line)?;
                out.bytes(b"\n")?;
            } else if !line.is_empty() {
                write(line, &mut attempt, out)?;
            }
        }
        rest.drain(..from);
        if rest.len() > LONGEST {
            return Err(
                Complaint::new(Exit::Failed, "the host sent a line of a log that does not end").into()
            );
        }
        // Whoever follows reads now.
        out.flush()?;
    }
    Ok(Exit::Ok)
}

fn write(line: &[u8], attempt: &mut u32, out: &mut Out) -> anyhow::Result<()> {
    let line: LogLineView = serde_json::from_slice(line).map_err(|error| {
        Complaint::new(Exit::Failed, format!("the host sent a line that is no log line: {error}"))
    })?;
    if line.attempt != *attempt {
        *attempt = line.attempt;
        out.line(format_args!("-- attempt {attempt}"))?;
    }
    let stream = match line.stream {
        LogStream::Stdout => "out ",
        LogStream::Stderr => "err ",
        LogStream::Host => "host",
    };
    out.line(format_args!("{} {stream} {}", line.time, shown(&line.text)))?;
    Ok(())
}
