//! `wicket apply FILE`.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::Serialize;
use wicket_config::{ModuleDigest, Problem, Problems};

use super::connect::{Connected, Remote};
use super::definitions::{self, Defined, ModuleFile};
use super::out::{Out, say};
use super::outcome::{self, Complaint, Exit};
use super::progress::Progress;
use super::words;
use crate::client::{self, Client, ClientError};

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
    let width = defined.iter().map(|one| one.definition.name().as_str().len()).max().unwrap_or(0);
    let (mut done, mut failed) = (Vec::new(), None);
    for one in &defined {
        let name = one.definition.name();
        let progress = Progress::spinner(&format!(
            "{name}: {}",
            if one.module.is_some() { "compiling" } else { "getting its image" }
        ));
        match progress.during(client.apply(&one.definition.to_wire())).await {
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
                "{} of {} were not applied",
                defined.len() - done.len(),
                words::count(defined.len(), "service")
            );
            Err(Complaint::new(exit, text).into())
        }
    }
}

/// Uploads what the host lacks. A digest that neither it nor the file has is a mistake in the file.
async fn bring_modules(client: &Client, file: &str, defined: &[Defined]) -> anyhow::Result<()> {
    let (mut asked, mut items) = (HashSet::new(), Vec::new());
    for one in defined {
        let Some(module) = &one.module else { continue };
        if !asked.insert(&module.digest) || client.has_module(&module.digest).await? {
            continue;
        }
        match &module.file {
            Some(file) => upload(client, &module.digest, file).await?,
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

async fn upload(client: &Client, digest: &ModuleDigest, module: &ModuleFile) -> anyhow::Result<()> {
    let shown = module.path.display();
    let progress = Progress::bytes(&format!("uploading {shown}"), Some(module.info.size));
    let counter = progress.clone();
    let opened = client::file(&module.path, move |n| counter.add(n)).await;
    let (body, size) = opened.map_err(|error| outcome::unreadable(&module.path, &error))?;
    match progress.during(client.put_module(digest, body, size)).await {
        Err(error) if error.code() == Some("digest_mismatch") => {
            let text = format!("{shown} was changed while it was uploaded");
            Err(Complaint::new(Exit::BadFile, text).help("apply it again").into())
        }
        sent => Ok(sent?),
    }
}
