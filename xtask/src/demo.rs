//! The demo: from a folder of photographs to its contact sheet on the web, from videos to their animated previews, and from
//! a video of people to blurred frames and a report of their masks.

mod faces;
mod gallery;
mod host;
mod photos;
mod slides;
mod table;
mod video;
mod watch;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};

use crate::{guests, run, say};
use host::Host;
use photos::Folder;

/// How.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Photographs of your own (JPEG, PNG, WebP): each folder inside becomes a contact sheet.
    #[arg(long, value_name = "DIR")]
    photos: Option<PathBuf>,
    /// Leave the host running until Ctrl-C, to look at the gallery in a browser.
    #[arg(long)]
    keep: bool,
    /// A `wicket` that was built before (with `cargo build --release`, say), instead of one that is built now.
    #[arg(long, value_name = "FILE")]
    wicket: Option<PathBuf>,
}

/// The services, in the order of the workflow.
const STAGES: [&str; 3] = ["thumbnail", "contact-sheet", "gallery"];
const WORKFLOW: &str = include_str!("demo/workflow.yaml");
/// Bucket and folder of the uploads.
const UPLOADS: &str = "photos/in";
/// A photograph that broke off before its first pixel, and how much of it there is.
const BROKEN: &str = "broken/cut-off.jpg";
const CUT_OFF: usize = 200;

/// Runs it.
pub(crate) fn demo(options: &Options) -> anyhow::Result<()> {
    let start = Instant::now();
    let own = options.photos.as_deref().map(std::path::absolute).transpose()?;
    let dir = run::root().join("target/demo");
    let _lock = cleared(&dir)?;
    let folders = photos::ready(own.as_deref())?;
    let n_photos: usize = folders.iter().map(|folder| folder.photos.len()).sum();
    say::step("functions", || guests::build(&guests::Options::default()))?;
    let program = match &options.wicket {
        Some(program) => std::path::absolute(program)?,
        None => say::step(
            "the host (the first build takes 10 to 20 minutes on two cores, later ones seconds)",
            build,
        )?,
    };
    let engine = video::engine();
    let library = faces::library()?;
    let socket = engine.as_ref().map(|engine| engine.socket.as_path());
    let mut host = Host::start(&program, &dir, socket, &library)?;
    say::line(&format!("==> a host with an empty folder: HTTP on {}, S3 on {}", host.http, host.s3));
    let workflow = dir.join("photos.yaml");
    fs::write(&workflow, WORKFLOW).with_context(|| format!("cannot write {}", workflow.display()))?;
    say::step(&format!("wicket apply {}", workflow.display()), || {
        host.wicket(&["apply", shown(&workflow)?]).map(|said| indent(&said))
    })?;
    say::step(&format!("uploading {n_photos} photographs in {} folders over S3", folders.len()), || {
        watch::upload(&host, &folders, UPLOADS)
    })?;
    say::step("thumbnails, and when a folder is quiet for 8 s its contact sheet", || {
        watch::until_done(&host, &folders)
    })?;
    let saved =
        say::step("fetching the sheets through the gallery's HTTP trigger", || save(&host, &folders, &dir))?;
    let receipts = table::list(&host.wicket(&["invocations", "--limit", "10000", "--json"])?)?;
    say::line("==> what it cost, from the receipts");
    say::line(&table::table(&receipts, &STAGES));
    broken(&host, &folders, &dir)?;
    let mut made = video::shown_on(&host, engine.as_ref(), &dir)?;
    made.extend(faces::shown_on(&host, &dir)?);
    say::line(&format!("\nWhat was made, {:.0} s after the start:", start.elapsed().as_secs_f64()));
    for file in saved.iter().chain(&made) {
        say::out(&file.display().to_string());
    }
    if options.keep {
        say::line(&format!("\nThe gallery: {}/gallery", host.http));
        say::line(&format!("The host keeps its things in {}; Ctrl-C ends it.", dir.join("data").display()));
        return host.wait();
    }
    say::line("In a browser: cargo xtask demo --keep. With your own: cargo xtask demo --photos DIR");
    host.stop()?;
    // What is worth a look is outside of it.
    fs::remove_dir_all(dir.join("data")).context("cannot remove the demo's data folder")
}

/// The demo's folder, without what an earlier one left there; held as long as the file lives.
fn cleared(dir: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let lock =
        File::create(dir.join("lock")).with_context(|| format!("cannot write to {}", dir.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!("another demo runs in {}: end it first", dir.display()),
        Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the demo's folder"),
    }
    for old in dir.read_dir()? {
        let old = old?;
        let removed = match old.file_type()?.is_dir() {
            true => fs::remove_dir_all(old.path()),
            false if old.file_name() == "lock" => Ok(()),
            false => fs::remove_file(old.path()),
        };
        removed.with_context(|| format!("cannot remove {}", old.path().display()))?;
    }
    Ok(lock)
}

/// Builds `wicket`, and tells where it is.
fn build() -> anyhow::Result<PathBuf> {
    // Guests run as fast as in a release: they are compiled by the host, with its own optimiser.
    let mut cargo = run::cargo(run::root());
    let made = run::made(cargo.args(["build", "--locked", "--package", "wicket", "--bin", "wicket"]))
        .context("the host could not be built: a C compiler and 3 GB of disk are needed")?;
    let program = made.into_iter().rfind(|file| file.file_stem().is_some_and(|name| name == "wicket"));
    program.context("cargo built no program called `wicket`")
}

/// Fetches each folder's sheet, checks that it is a picture of all its photographs, and keeps it.
fn save(host: &Host, folders: &[Folder], dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let sheets = dir.join("sheets");
    fs::create_dir_all(&sheets).with_context(|| format!("cannot make {}", sheets.display()))?;
    let mut saved = Vec::new();
    for folder in folders {
        let url = gallery::url(&host.http, &folder.name, "sheet.jpg");
        let file = sheets.join(format!("{}.jpg", folder.name.replace('/', "-")));
        let Some(sheet) = gallery::sheet(&host.http, &folder.name)? else {
            say::line(&format!("    {}: no sheet, for none of its photographs could be read", folder.name));
            continue;
        };
        let size = gallery::save(&url, &file)?;
        say::line(&format!(
            "    GET {url}: {}x{} pixels, {} photographs, {} KB",
            sheet.width,
            sheet.height,
            sheet.parts.len(),
            size / 1000
        ));
        saved.push(file);
    }
    Ok(saved)
}

/// Uploads the beginning of a photograph, and shows what became of it.
fn broken(host: &Host, folders: &[Folder], dir: &Path) -> anyhow::Result<()> {
    let photo =
        folders.iter().flat_map(|folder| folder.photos.values()).next().context("there are photographs")?;
    let bytes = fs::read(photo).with_context(|| format!("cannot read {}", photo.display()))?;
    let file = dir.join("cut-off.jpg");
    fs::write(&file, &bytes[..bytes.len().min(CUT_OFF)])?;
    let object = format!("{UPLOADS}/{BROKEN}");
    let what = format!("a broken photograph: {object}, of which {CUT_OFF} bytes arrived");
    let id = say::step(&what, || {
        host.wicket(&["bucket", "put", shown(&file)?, &object])?;
        watch::until_given_up(host, &object)
    })?;
    for args in [&["dead-letters"][..], &["logs", &id], &["explain", &object]] {
        say::line(&format!("$ wicket {}", args.join(" ")));
        indent(&host.wicket(args)?);
    }
    Ok(())
}

fn shown(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is no text", path.display()))
}

fn indent(text: &str) {
    for line in text.lines() {
        say::line(&format!("    {line}"));
    }
}
