//! `wicket apply FILE`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use wicket_config::{Problem, Problems};
use wicket_core::Fetch;

use super::connect::{Connected, Remote};
use super::definitions::{self, Defined};
use super::out::{Out, say};
use super::outcome::{self, Complaint, Exit};
use super::progress::Progress;
use super::words;
use crate::client::{self, Client, ClientError, Kind};

/// Create or update the services of a file
///
/// Modules that the file names by path are uploaded when the host lacks them. Applying a file again changes nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file of services (FDL, YAML or JSON)
    file: PathBuf,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What became of a service.
#[derive(Debug, Serialize)]
struct Done {
    service: String,
    change: String,
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let defined = definitions::load(&args.file)?;
    let Connected { client, .. } = args.remote.connect()?;
    bring_modules(&client, &args.file.display().to_string(), &defined).await?;
    bring_models(&client, &defined).await?;
    let width = defined.iter().map(|one| one.definition.name().as_str().len()).max().unwrap_or(0);
    let (mut done, mut failed) = (Vec::new(), None);
    for one in &defined {
        let name = one.definition.name();
        let progress = Progress::spinner(&format!(
            "{name}: {}",
            if one.module.is_some() { "compiling" } else { "getting its image" }
        ));
        let ask = async || Some(format!("{name}: {}", on_its_way(&client.fetches().await.ok()?)?));
        match progress.telling(client.apply(&one.definition.to_wire()), ask).await {
            Ok(applied) => {
                if !args.json {
                    let version =
                        applied.version.map(|version| format!("  version {version}")).unwrap_or_default();
                    out.line(format_args!("{:width$}  {:9}{version}", name.as_str(), applied.change))?;
                    if let Some(note) = &applied.note {
                        out.line(format_args!("{:width$}  {note}", ""))?;
                    }
                    out.flush()?;
                }
                let client::Applied { change, version, note } = applied;
                done.push(Done { service: name.to_string(), change, version, note });
            }
            // What is wrong with one service says nothing of the others.
            Err(error @ ClientError::Refused { .. }) => {
                let (text, whose) = (error.to_string(), format!("service `{name}`"));
                let whose = if text.contains(&whose) { String::new() } else { format!("{whose}: ") };
                let (exit, help) = outcome::of_client(&error);
                let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
                say(format_args!("error: {whose}{text}{help}"));
                failed.get_or_insert(exit);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if args.json {
        out.json(&done)?;
    }
    match failed {
        None => Ok(Exit::Ok),
        // Each was told why.
        Some(exit) => {
            let text = format!(
                "not applied: {} of {}",
                defined.len() - done.len(),
                words::count(defined.len(), "service")
            );
            Err(Complaint::new(exit, text).into())
        }
    }
}

/// What the host fetches just now; none: nothing.
fn on_its_way(fetches: &[Fetch]) -> Option<String> {
    let one = |fetch: &Fetch| {
        let here = words::bytes(fetch.here);
        let whole = fetch.whole.map(|whole| format!(" of {}", words::bytes(whole))).unwrap_or_default();
        format!("{} {here}{whole}", fetch.what)
    };
    let all: Vec<String> = fetches.iter().map(one).collect();
    (!all.is_empty()).then(|| format!("the host fetches {}", all.join(", ")))
}

/// Uploads what the host lacks. A digest that neither it nor the file has is a mistake in the file.
async fn bring_modules(client: &Client, file: &str, defined: &[Defined]) -> anyhow::Result<()> {
    let (mut asked, mut items) = (HashSet::new(), Vec::new());
    for one in defined {
        let Some(module) = &one.module else { continue };
        if !asked.insert(&module.digest) || client.has(Kind::Module, module.digest.as_str()).await? {
            continue;
        }
        match &module.file {
            Some(file) => {
                upload(client, Kind::Module, module.digest.as_str(), &file.path, file.info.size).await?;
            }
            None => {
                let (line, column) = one.definition.place;
                let message = format!("the host has no module {}", module.digest);
                let help = Some("name the module's file instead".to_owned());
                items.push(Problem { line, column, path: one.definition.name().to_string(), message, help });
            }
        }
    }
    if items.is_empty() { Ok(()) } else { Err(Problems { file: file.to_owned(), items }.into()) }
}

/// Uploads the models that the host lacks.
async fn bring_models(client: &Client, defined: &[Defined]) -> anyhow::Result<()> {
    let mut asked = HashSet::new();
    for model in defined.iter().flat_map(|one| &one.models) {
        let digest = model.digest.as_str();
        if asked.insert(digest) && !client.has(Kind::Model, digest).await? {
            upload(client, Kind::Model, digest, &model.path, model.size).await?;
        }
    }
    Ok(())
}

async fn upload(client: &Client, kind: Kind, digest: &str, path: &Path, size: u64) -> anyhow::Result<()> {
    let shown = path.display();
    let progress = Progress::bytes(&format!("uploading {shown}"), Some(size));
    let counter = progress.clone();
    let opened = client::file(path, move |n| counter.add(n)).await;
    let (body, size) = opened.map_err(|error| outcome::unreadable(path, &error))?;
    match progress.during(client.upload(kind, digest, body, size)).await {
        Err(error) if error.code() == Some("digest_mismatch") => {
            let text = format!("{shown} was changed while it was uploaded");
            Err(Complaint::new(Exit::BadFile, text).help("apply it again").into())
        }
        sent => Ok(sent?),
    }
}
