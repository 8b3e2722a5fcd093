//! The picture before, where an event begins with one.

use vision::fit::{self, Fit};
use vision::picture;
use wicket_sdk::{buckets, debug};

use crate::SIDE;
use crate::colour::Fiery;

/// Keys of one listing, and how many listings: in a fuller folder, nothing is found.
const PAGE: u32 = 1000;
const PAGES: usize = 20;

/// What the picture before a key shows; none where there is none, where the bucket is not granted, or where it cannot be
/// read: then this is a picture that nothing comes before.
pub(crate) fn in_folder(bucket: &str, folder: &str, key: &str) -> Option<Fiery> {
    let found = last_before(bucket, folder, key).and_then(|before| {
        let Some(before) = before else { return Ok(None) };
        let bytes = buckets::open(bucket, &before)?.read_all(picture::MOST_BYTES)?;
        let image = picture::decode(&bytes).map_err(std::io::Error::other)?;
        Ok(Some(Fiery::of(&fit::fit(&image, SIDE, SIDE, Fit::Stretch).image)))
    });
    found.unwrap_or_else(|error| {
        debug!("no picture before {key}: {error}");
        None
    })
}

fn last_before(bucket: &str, folder: &str, key: &str) -> std::io::Result<Option<String>> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut last: Option<String> = None;
    for _ in 0..PAGES {
        let entries = buckets::list(bucket, &prefix, last.as_deref(), PAGE)?;
        let count = entries.len();
        let before = entries.into_iter().map(|entry| entry.key).take_while(|other| other.as_str() < key);
        let before: Vec<String> = before.collect();
        let all = before.len() == count;
        last = before.into_iter().next_back().or(last);
        if !all || count < PAGE as usize {
            return Ok(last);
        }
    }
    Ok(None)
}
