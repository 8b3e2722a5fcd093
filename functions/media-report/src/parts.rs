//! The parts of one video, and whether they are all there.
//!
//! A join by window is closed by every pause: that of a long transcription has what is seen in one join, and what is said
//! in the next. So each join looks into the folder that its parts are of, and `video.json` in it tells what there will be.
//! Of all joins of a video one makes the report: the one that has the newest part when none is missing any more.

use std::io;

use serde::Deserialize;
use wicket_sdk::buckets::{self, Entry};
use wicket_sdk::{Failure, Object, debug};

/// Frames of one video, and its sound.
pub(crate) const MOST_PARTS: usize = 10_000;
/// What `split` says of the video.
const ABOUT: &str = "video.json";
/// Bytes of it.
const LARGEST_ABOUT: usize = 1 << 16;
/// What `speech` says of `audio.wav`.
pub(crate) const SOUND: &str = "audio.json";
/// Keys of one listing.
const PAGE: u32 = 1000;

/// How many parts there will be.
#[derive(Clone, Copy, Debug, Deserialize)]
struct About {
    frames: usize,
    has_audio: bool,
}

/// What became of looking for the parts.
#[derive(Debug)]
pub(crate) enum Parts {
    /// They are all there.
    Whole(Vec<Part>),
    /// Another join makes the report: why.
    Later(String),
}

/// A part, before it is read.
#[derive(Debug)]
pub(crate) enum Part {
    /// Of the event.
    Own(Object),
    /// The key of one that may have come in another.
    Kept(String),
}

impl Part {
    /// Opens it: what is open counts, and there may be thousands.
    pub(crate) fn open(self, bucket: &str) -> io::Result<Object> {
        match self {
            Self::Own(object) => Ok(object),
            Self::Kept(key) => buckets::open(bucket, &key),
        }
    }
}

impl Parts {
    /// Of the video that these objects of a join are about. Where nobody says how many there will be, or the bucket is not
    /// granted, they are all.
    pub(crate) fn of(own: Vec<Object>, bucket: &str, folder: &str) -> Result<Self, Failure> {
        let listed = match listed(bucket, folder) {
            Ok(listed) => listed,
            Err(error) => {
                debug!("the report is of this join alone: {error}");
                Vec::new()
            }
        };
        let is_about = |entry: &&Entry| name(entry) == ABOUT;
        let Some(about) = listed.iter().find(is_about) else {
            let parts = own.into_iter().filter(|object| object.name() != ABOUT);
            return Ok(Self::Whole(parts.map(Part::Own).collect()));
        };
        let told = buckets::open(bucket, &about.key)?.read_all(LARGEST_ABOUT)?;
        let told: About =
            serde_json::from_slice(&told).map_err(|error| Failure::never(format!("{ABOUT}: {error}")))?;
        // What is older is of a video that had this name before.
        let parts: Vec<&Entry> =
            listed.iter().filter(|entry| !is_about(entry) && time(entry) >= time(about)).collect();
        let has_sound = parts.iter().any(|entry| name(entry) == SOUND);
        let frames = parts.len() - usize::from(has_sound);
        if frames < told.frames || told.has_audio && !has_sound {
            let sound = if told.has_audio && !has_sound { ", and no sound yet" } else { "" };
            return Ok(Self::Later(format!("{frames} of {} frames are there{sound}", told.frames)));
        }
        let newest = parts.iter().max_by_key(|entry| (time(entry), &entry.key));
        if let Some(newest) = newest.filter(|newest| !own.iter().any(|object| object.key() == newest.key)) {
            return Ok(Self::Later(format!("all is there, and whoever gets {} makes it", name(newest))));
        }
        Ok(Self::Whole(parts.into_iter().map(|entry| Part::Kept(entry.key.clone())).collect()))
    }
}

/// The JSON of a folder.
fn listed(bucket: &str, folder: &str) -> io::Result<Vec<Entry>> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut all = Vec::new();
    let mut last: Option<String> = None;
    loop {
        let page = buckets::list(bucket, &prefix, last.as_deref(), PAGE)?;
        let is_last = page.len() < PAGE as usize;
        last = page.last().map(|entry| entry.key.clone());
        let is_part =
            |entry: &Entry| entry.key.ends_with(".json") && !entry.key[prefix.len()..].contains('/');
        all.extend(page.into_iter().filter(is_part));
        // The report says that they are too many.
        if is_last || all.len() > MOST_PARTS + 1 {
            return Ok(all);
        }
    }
}

fn name(entry: &Entry) -> &str {
    entry.key.rsplit('/').next().unwrap_or_default()
}

/// When it became visible, in an order of its own: RFC 3339 leaves out zeros at the end of a second's parts.
fn time(entry: &Entry) -> &str {
    entry.modified.trim_end_matches('Z')
}
