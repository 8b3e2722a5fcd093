//! `wicket explain`: which services an event starts, and why the others not.

use std::io::Read as _;
use std::path::Path;

use wicket_config::ByteSize;
use wicket_core::{InvocationId, executor_of};

use super::connect::Remote;
use super::invocations;
use super::out::Out;
use super::outcome::{Complaint, Exit, unreadable};
use super::table::shown;
use super::words;
use crate::api::view::{ExplainObject, ExplainView};

/// Largest event that is sent.
const MAX_EVENT: u64 = 1 << 20;

/// Say which services an object or an event starts, why the others not, and what became of it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An object (BUCKET/KEY, it need not exist), an invocation's id, or a file with a CloudEvent in JSON (`-`:
    /// standard input)
    #[arg(value_name = "BUCKET/KEY|ID|FILE")]
    what: String,
    /// Whose bucket it is
    #[arg(long, value_name = "PROVIDER")]
    storage_provider: Option<String>,
    /// How large it is: says where it would run (of an object that is there its own size)
    #[arg(long, value_name = "SIZE")]
    size: Option<ByteSize>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What is asked about.
#[derive(Debug)]
enum Question {
    Invocation(InvocationId),
    Event(Vec<u8>),
    Object { bucket: String, key: String },
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let question = question(&args.what)?;
    let client = args.remote.connect()?.client;
    let view = match question {
        Question::Invocation(id) => client.explain_invocation(id).await?,
        Question::Event(event) => client.explain_event(event).await?,
        Question::Object { bucket, key } => {
            let storage_provider = args.storage_provider;
            let size = args.size.map(|size| size.0);
            client.explain_object(&ExplainObject { bucket, key, storage_provider, size }).await?
        }
    };
    if args.json {
        out.json(&view)?;
    } else {
        write(&view, out)?;
    }
    Ok(Exit::Ok)
}

fn question(what: &str) -> anyhow::Result<Question> {
    if let Ok(id) = what.parse() {
        return Ok(Question::Invocation(id));
    }
    let path = Path::new(what);
    if what == "-" {
        return Ok(Question::Event(read(std::io::stdin(), path)?));
    }
    // An object is often called as a file here is: only one that holds an event is meant as one.
    if path.is_file() {
        let event = read(std::fs::File::open(path).map_err(|error| unreadable(path, &error))?, path)?;
        if is_event(&event) {
            return Ok(Question::Event(event));
        }
    }
    match what.split_once('/') {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
            Ok(Question::Object { bucket: bucket.to_owned(), key: key.to_owned() })
        }
        _ if path.is_file() => {
            let text = format!("{what} holds no CloudEvent: it is no JSON with `specversion`");
            Err(Complaint::new(Exit::BadFile, text).into())
        }
        _ => {
            let text = format!("`{}` is no object, no invocation and no file", shown(what));
            let help = "write BUCKET/KEY, 32 hex digits, or the name of a file with a CloudEvent";
            Err(Complaint::new(Exit::Usage, text).help(help).into())
        }
    }
}

fn read(from: impl std::io::Read, path: &Path) -> Result<Vec<u8>, Complaint> {
    let mut bytes = Vec::new();
    // What is longer is no event; the host would say so of standard input.
    from.take(MAX_EVENT + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    Ok(bytes)
}

fn is_event(bytes: &[u8]) -> bool {
    let json: Result<serde_json::Value, _> = serde_json::from_slice(bytes);
    json.is_ok_and(|json| json.get("specversion").is_some())
}

fn write(view: &ExplainView, out: &mut Out) -> std::io::Result<()> {
    let event = &view.event;
    let subject =
        event.subject.as_deref().map(|subject| format!(" about {}", shown(subject))).unwrap_or_default();
    out.line(format_args!("{} from {}{subject}", shown(&event.kind), shown(&event.source)))?;
    if view.routes.is_empty() {
        out.line("there are no services")?;
    }
    for route in &view.routes {
        let verdict = if route.matches { "is started" } else { "is not started" };
        out.line(format_args!("{} {verdict}", route.service))?;
        for reason in &route.reasons {
            out.line(format_args!("  {}", shown(reason)))?;
        }
        for placed in view.placements.iter().filter(|placed| placed.service == route.service) {
            out.line(format_args!("  would run on {}", executor_of(placed.variant)))?;
            words::placement(&placed.placement)
                .iter()
                .try_for_each(|line| out.line(format_args!("    {}", shown(line))))?;
            if let Some(what) = &placed.waits_for {
                out.line(format_args!("    it would wait: {}", shown(what)))?;
            }
        }
    }
    if !view.way.is_empty() {
        out.line("\nits way, oldest first:")?;
        invocations::write(&view.way, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_told_from_how_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let ask = |what: &str| question(what).unwrap();
        assert!(matches!(ask(&"a1".repeat(16)), Question::Invocation(_)));
        assert!(
            matches!(ask("photos/in/a.jpg"), Question::Object { bucket, key } if bucket == "photos" && key == "in/a.jpg")
        );
        assert!(matches!(ask(&file("e.json", r#"{"specversion":"1.0"}"#)), Question::Event(_)));
        assert!(question(&file("a.jpg", "\u{fffd}")).is_err());
        for bad in ["", "photos", "photos/", "/key"] {
            assert!(question(bad).is_err(), "{bad}");
        }
    }
}
