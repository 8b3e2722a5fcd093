//! The sheets as a browser sees them.

use std::path::Path;

use anyhow::{Context, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// Largest answer.
const LARGEST: u64 = 64 << 20;

/// What is left as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What `sheet.json` says.
#[derive(Debug, Deserialize)]
pub(super) struct Sheet {
    /// Pixels.
    pub(super) width: u32,
    /// Pixels.
    pub(super) height: u32,
    /// What is in its cells.
    pub(super) parts: Vec<serde_json::Value>,
}

/// The URL of a file of a folder's sheet.
pub(super) fn url(base: &str, folder: &str, file: &str) -> String {
    format!("{base}/gallery/{}/{file}", utf8_percent_encode(folder, PATH))
}

/// What is in a folder's sheet; none as long as there is no sheet.
pub(super) fn sheet(base: &str, folder: &str) -> anyhow::Result<Option<Sheet>> {
    let url = url(base, folder, "sheet.json");
    match get(&url)? {
        Some(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .with_context(|| format!("{url} is not what a sheet's is")),
        None => Ok(None),
    }
}

/// Fetches a picture and keeps it, when it is one.
pub(super) fn save(url: &str, file: &Path) -> anyhow::Result<usize> {
    let bytes = get(url)?.with_context(|| format!("{url}: there is no such picture"))?;
    if !bytes.starts_with(b"\xff\xd8\xff") || !bytes.ends_with(b"\xff\xd9") {
        bail!("{url}: {} bytes that are no JPEG", bytes.len());
    }
    std::fs::write(file, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(bytes.len())
}

/// GET; none for 404.
fn get(url: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .proxy(None)
        .timeout_global(Some(std::time::Duration::from_secs(60)))
        .build()
        .into();
    match agent.get(url).call() {
        Ok(mut answer) => {
            let read = answer.body_mut().with_config().limit(LARGEST).read_to_vec();
            read.map(Some).with_context(|| format!("{url}: the answer broke off"))
        }
        Err(ureq::Error::StatusCode(404)) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot fetch {url}")),
    }
}
