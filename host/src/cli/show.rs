//! `wicket show ID`: a receipt.

use std::io;

use wicket_core::{AttemptRecord, Failure, InvocationId, Receipt, Trigger};

use super::connect::Remote;
use super::out::Out;
use super::outcome::Exit;
use super::table::shown;
use super::words;

/// Show the receipt of an invocation: every attempt, what it used, and why it failed
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The invocation
    id: InvocationId,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let receipt = args.remote.connect()?.client.invocation(args.id).await?;
    if args.json {
        out.json(&receipt)?;
    } else {
        write(&receipt, out)?;
    }
    Ok(Exit::Ok)
}

/// Writes a receipt for people.
pub(super) fn write(receipt: &Receipt, out: &mut Out) -> io::Result<()> {
    let trigger = match receipt.trigger {
        Trigger::Event => "event",
        Trigger::Http => "HTTP trigger",
        Trigger::Run => "run",
    };
    out.line(format_args!("invocation  {}", receipt.id))?;
    out.line(format_args!("service     {}", receipt.service))?;
    out.line(format_args!("state       {}", words::state(receipt.state)))?;
    out.line(format_args!("trigger     {trigger}"))?;
    out.line(format_args!("event       {} from {}", shown(&receipt.event.0), shown(&receipt.source)))?;
    if let Some(subject) = &receipt.subject {
        out.line(format_args!("subject     {}", shown(subject)))?;
    }
    if receipt.origin != receipt.event {
        out.line(format_args!("began with  {}", shown(&receipt.origin.0)))?;
    }
    out.line(format_args!("accepted    {}", receipt.accepted))?;
    if let Some(finished) = receipt.finished {
        let took = u64::try_from(finished.0.saturating_sub(receipt.accepted.0)).unwrap_or(0);
        out.line(format_args!("finished    {finished}, after {}", words::micros(took)))?;
    }
    if let Some(due) = receipt.due {
        out.line(format_args!("next try    {due}"))?;
    }
    if let Some(waiting) = &receipt.waiting {
        out.line(format_args!("waits       since {}: {}", waiting.since, shown(&waiting.reason)))?;
    }
    receipt.attempts.iter().try_for_each(|attempt| write_attempt(attempt, out))
}

fn write_attempt(attempt: &AttemptRecord, out: &mut Out) -> io::Result<()> {
    let usage = &attempt.usage;
    let status = attempt.status.map(|status| format!(", status {status}")).unwrap_or_default();
    out.line(format_args!(
        "attempt {:<3} {}, version {} on {}{status}",
        attempt.number, attempt.started, attempt.version, attempt.executor
    ))?;
    for line in attempt.placement.iter().flat_map(words::placement) {
        out.line(format_args!("            {}", shown(&line)))?;
    }
    out.line(format_args!(
        "            queued {}, start-up {}, CPU {}, wall {}",
        words::micros(attempt.queue_us),
        words::micros(usage.startup_us),
        words::micros(usage.cpu_us),
        words::micros(usage.wall_us)
    ))?;
    out.line(format_args!(
        "            memory {}, in {}, out {}",
        words::bytes(usage.peak_memory),
        words::bytes(usage.bytes_in),
        words::bytes(usage.bytes_out)
    ))?;
    for one in &usage.inference {
        let fallback = if one.fallback { ", its fallback" } else { "" };
        let calls = words::count(usize::try_from(one.calls).unwrap_or(usize::MAX), "call");
        out.line(format_args!(
            "            model {} on {}{fallback} by {}: {calls}, queued {}, ran {}, at most {} together",
            one.model,
            one.device,
            one.backend,
            words::micros(one.queue_us),
            words::micros(one.run_us),
            one.batch
        ))?;
    }
    let Some(failure) = &attempt.failure else { return Ok(()) };
    for (idx, line) in failure.to_string().lines().enumerate() {
        let prefix = if idx == 0 { "failed: " } else { "        " };
        out.line(format_args!("            {prefix}{}", shown(line)))?;
    }
    if let Failure::Trap { backtrace, .. } = failure {
        for frame in backtrace {
            out.line(format_args!("              {}", shown(frame)))?;
        }
    }
    Ok(())
}
