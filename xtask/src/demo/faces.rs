//! The people of the demo: a video of two, of whom one puts on a mask. Their faces are found and blurred in the first
//! stage, and counted by their masks in the last; all of it in wasm, on models of the host.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::host::Host;
use super::watch::{Progress, waited};
use super::{indent, shown, table};
use crate::{models, run, say};

/// The services, in the order of the workflow.
const STAGES: [&str; 5] = ["mask-split", "blur-faces", "mask-detector", "mask-report", "mask-preview"];
const WORKFLOW: &str = include_str!("../../../functions/mask.yaml");
const VIDEO: &str = "people.avi";
/// What becomes of the video.
const MADE: [&str; 2] = ["report.json", "preview.gif"];

/// The library that runs the models, fetched with them.
pub(super) fn library() -> anyhow::Result<PathBuf> {
    say::step("models, and ONNX Runtime that runs them", || models::ready(models::Options::default()))?;
    Ok(run::root().join("target/onnxruntime/libonnxruntime.so"))
}

/// Runs the workflow, and tells the files that it made.
pub(super) fn shown_on(host: &Host, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let workflow = dir.join("mask.yaml");
    fs::write(&workflow, adapted()).with_context(|| format!("cannot write {}", workflow.display()))?;
    say::step(&format!("wicket apply {}", workflow.display()), || {
        host.wicket(&["apply", shown(&workflow)?]).map(|said| indent(&said))
    })?;
    let video = run::root().join("target/samples").join(VIDEO);
    say::step("a video of people to blurred frames and a report of their masks", || {
        host.wicket(&["bucket", "put", shown(&video)?, &format!("people-private/in/{VIDEO}")])?;
        waited(host, || until_made(host))
    })?;
    let into = dir.join("people");
    host.wicket(&["bucket", "get", "--recursive", "people/out/", shown(&into)?])?;
    let files = MADE.map(|made| into.join(VIDEO).join(made));
    told(&files[0])?;
    let receipts = table::list(&host.wicket(&["invocations", "--limit", "10000", "--json"])?)?;
    say::line("==> what it cost");
    say::line(&table::table(&receipts, &STAGES));
    Ok(files.into())
}

/// The workflow as it stands in functions/, where the demo keeps it. Motion-JPEG needs no engine.
fn adapted() -> String {
    WORKFLOW
        .replace("../target/guests/", "../guests/")
        .replace("../target/models/", "../models/")
        .replace("split/split.sh", "../../functions/split/split.sh")
        .replace("execution: auto", "execution: wasm")
}

fn until_made(host: &Host) -> anyhow::Result<Progress<()>> {
    let receipts = table::list(&host.wicket(&["invocations", "--limit", "10000", "--json"])?)?;
    let ours = |receipt: &&serde_json::Value| STAGES.iter().any(|stage| receipt["service"] == *stage);
    let ended = receipts.iter().filter(ours);
    if let Some(bad) = ended.clone().find(|receipt| table::ended(receipt) == Some(false)) {
        bail!("{} failed: {}", bad["service"], bad["attempts"]);
    }
    let seen = ended.filter(|receipt| table::ended(receipt) == Some(true)).count();
    let listed = table::list(&host.wicket(&["bucket", "ls", "--recursive", "--json", "people/out/"])?);
    // The bucket is there from the start, its folder is not.
    let listed = listed.unwrap_or_default();
    let there = |made: &&str| {
        let key = format!("out/{VIDEO}/{made}");
        listed.iter().any(|object| object["key"] == key.as_str())
    };
    Ok(Progress { seen, done: MADE.iter().all(there).then_some(()) })
}

/// What the report says.
#[derive(Debug, Deserialize)]
struct Report {
    frames: u32,
    faces: u32,
    with_mask: u32,
    without_mask: u32,
}

/// Checks that the report is what it should be, and says so.
fn told(file: &Path) -> anyhow::Result<()> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let Report { frames, faces, with_mask, without_mask } =
        serde_json::from_slice(&text).context("report.json")?;
    if (frames, faces) != (8, 16) {
        bail!("{faces} faces were found in {frames} frames, and there are 16 in 8");
    }
    say::line(&format!(
        "    {VIDEO}: {faces} faces in {frames} frames, {with_mask} with a mask and {without_mask} without; no frame left \
         the first stage unblurred"
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_is_found_from_where_the_demo_keeps_it() {
        let text = adapted();
        assert!(text.contains("execution: wasm") && text.contains("../models/centerface.onnx"), "{text}");
        assert!(!text.contains("../target/"), "{text}");
    }
}
