//! Uploads with progress, and waiting for what follows.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::host::Host;
use super::photos::Folder;
use super::{gallery, table};
use crate::{run, say};

/// Uploads at once.
const AT_ONCE: usize = 4;
/// Without any progress for so long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

/// Puts all photographs into the bucket.
pub(super) fn upload(host: &Host, folders: &[Folder], into: &str) -> anyhow::Result<()> {
    let mut uploads = Vec::new();
    for (folder, name, photo) in
        folders.iter().flat_map(|folder| folder.photos.iter().map(move |(name, photo)| (folder, name, photo)))
    {
        let size = fs::metadata(photo).with_context(|| format!("cannot read {}", photo.display()))?.len();
        uploads.push((photo, format!("{}/{name}", folder.name), size));
    }
    let bar = ProgressBar::new(uploads.iter().map(|(.., size)| size).sum());
    let style = "    {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}  {msg}";
    bar.set_style(ProgressStyle::with_template(style).context("the progress bar")?);
    let start = Instant::now();
    let uploads = Mutex::new(uploads.into_iter());
    let worker = || -> anyhow::Result<()> {
        loop {
            let next = uploads.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((photo, name, size)) = next else { return Ok(()) };
            bar.set_message(name.clone());
            let from = photo.to_str().with_context(|| format!("{} is no text", photo.display()))?;
            host.wicket(&["bucket", "put", from, &format!("{into}/{name}")])?;
            bar.inc(size);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("an upload panicked"))?)
    })?;
    bar.finish_and_clear();
    let (mb, s) = (bar.position() as f64 / 1e6, start.elapsed().as_secs_f64());
    say::line(&format!("    {mb:.1} MB, {:.1} MB/s, each acknowledged when it was on disk", mb / s));
    Ok(())
}

/// Waits until each photograph has its end, and each folder the sheet of all that ended well.
pub(super) fn until_done(host: &Host, folders: &[Folder]) -> anyhow::Result<()> {
    let n_photos: usize = folders.iter().map(|folder| folder.photos.len()).sum();
    let bar = ProgressBar::new(n_photos as u64 + folders.len() as u64);
    bar.set_style(ProgressStyle::with_template("    {bar:30} {msg}").context("the progress bar")?);
    let done = waited(host, || {
        let receipts =
            table::list(&host.wicket(&["invocations", "thumbnail", "--limit", "10000", "--json"])?)?;
        let ends: Vec<(bool, &str)> = receipts
            .iter()
            .filter_map(|receipt| Some((table::ended(receipt)?, receipt["subject"].as_str()?)))
            .collect();
        // Asked before the sheets: what is idle now has made all of them.
        let idle = ends.len() == n_photos && is_idle(host, "contact-sheet")?;
        let mut short = Vec::new();
        for folder in folders {
            let good = ends.iter().filter(|(good, subject)| *good && is_in(subject, folder)).count();
            let parts = match good {
                // A folder without any has no sheet to wait for.
                0 => 0,
                _ => gallery::sheet(&host.http, &folder.name)?.map_or(0, |sheet| sheet.parts.len()),
            };
            if parts < good {
                short.push(format!("{}: {parts} of {good} are on its last sheet", folder.name));
            }
        }
        let sheets = folders.len() - short.len();
        bar.set_position((ends.len() + sheets) as u64);
        bar.set_message(format!(
            "{} of {n_photos} photographs, {sheets} of {} sheets",
            ends.len(),
            folders.len()
        ));
        let failed = ends.iter().filter(|(good, _)| !good).count();
        let done = ends.len() == n_photos && (short.is_empty() || idle);
        Ok(Progress { seen: ends.len() + sheets, done: done.then_some((failed, short)) })
    });
    bar.finish_and_clear();
    let (failed, short) = done.context("waiting for the contact sheets")?;
    let not = if failed > 0 { format!("; {failed} could not be read (dead letters)") } else { String::new() };
    say::line(&format!("    {} thumbnails of {} folders{not}", n_photos - failed, folders.len()));
    for short in short {
        say::line(&format!("    {short}: the machine was so busy that the folder fell quiet in between"));
    }
    Ok(())
}

/// Whether nothing of a service waits, runs, or is collected.
fn is_idle(host: &Host, service: &str) -> anyhow::Result<bool> {
    let services = table::list(&host.wicket(&["services", "--json"])?)?;
    let depth = services.iter().find(|one| one["name"] == service).map(|one| &one["depth"]);
    let depth = depth.with_context(|| format!("`wicket services` does not list {service}"))?;
    Ok(["queued", "running", "waiting_parts"].iter().all(|name| depth[*name] == 0))
}

/// Waits until the invocation on this object is a dead letter; its id.
pub(super) fn until_given_up(host: &Host, object: &str) -> anyhow::Result<String> {
    let key = object.split_once('/').map_or(object, |(_, key)| key);
    let (failed, id) = waited(host, || {
        let receipts = table::list(&host.wicket(&["invocations", "thumbnail", "--json"])?)?;
        let about =
            |receipt: &&Value| receipt["subject"].as_str().is_some_and(|subject| subject.ends_with(key));
        let ours = receipts.iter().find(about);
        let attempts = ours.and_then(|receipt| receipt["attempts"].as_array()).map_or(0, Vec::len);
        let end = |receipt| Some((!table::ended(receipt)?, receipt["id"].as_str()?.to_owned()));
        Ok(Progress { seen: attempts, done: ours.and_then(end) })
    })?;
    anyhow::ensure!(failed, "a thumbnail was made of {object}, though most of it is missing");
    Ok(id)
}

/// A receipt's subject is of a photograph of this folder.
fn is_in(subject: &str, folder: &Folder) -> bool {
    let path = Path::new(subject);
    let named =
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| folder.photos.contains_key(name));
    named && path.parent().is_some_and(|parent| parent.ends_with(&folder.name))
}

/// How far it is.
pub(super) struct Progress<T> {
    /// Grows.
    pub(super) seen: usize,
    /// What was waited for.
    pub(super) done: Option<T>,
}

/// Looks until it is done; not longer than [`PATIENCE`] without progress.
pub(super) fn waited<T>(
    host: &Host,
    mut look: impl FnMut() -> anyhow::Result<Progress<T>>,
) -> anyhow::Result<T> {
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        let progress = look()?;
        if let Some(done) = progress.done {
            return Ok(done);
        }
        if progress.seen != seen {
            (seen, since) = (progress.seen, Instant::now());
        }
        if since.elapsed() > PATIENCE {
            bail!("nothing happened for {} s; the host said:\n{}", PATIENCE.as_secs(), host.last_words());
        }
        run::pause(Duration::from_millis(250));
    }
}
