//! Draws into a blurred frame who wears a mask: `NAME.json` of `blur-faces` in; `NAME.jpg` with boxes and labels, and
//! `NAME.json` with the counts out. The frame beside the JSON is read from its bucket, which the service has to be granted
//! (`grants.read_buckets`).
//!
//! The classifier itself runs in `blur-faces`: on a blurred face it would have to guess.

use std::io::Write as _;

use serde::Serialize;
use vision::faces::{Face, Faces};
use vision::{draw, faces, picture};
use wicket_sdk::{Event, Failure, Output, buckets, info};

/// Bytes of the JSON.
const LARGEST_ABOUT: usize = 1 << 20;
const QUALITY: u8 = 85;
const GREEN: [u8; 3] = [0, 170, 60];
const RED: [u8; 3] = [210, 30, 30];
const GREY: [u8; 3] = [130, 130, 130];

/// What is known of one frame.
#[derive(Debug, Serialize)]
struct Frame<'a> {
    with_mask: usize,
    without_mask: usize,
    /// Faces that nobody could tell of.
    unknown: usize,
    #[serde(flatten)]
    faces: &'a Faces,
}

wicket_sdk::function!(mask_detector);

/// The function.
pub fn mask_detector(mut event: Event) -> Result<String, Failure> {
    let object = event.object()?;
    let (bucket, folder) = (object.bucket().to_owned(), object.folder().to_owned());
    let name = object.name().to_owned();
    let text = object.read_text(LARGEST_ABOUT)?;
    let about: Faces =
        serde_json::from_str(&text).map_err(|error| Failure::never(format!("{name}: {error}")))?;
    if about.frame.contains('/') {
        return Err(Failure::never(format!("{name}: the frame `{}` is not beside it", about.frame)));
    }
    let key = if folder.is_empty() { about.frame.clone() } else { format!("{folder}/{}", about.frame) };
    let bytes = buckets::open(&bucket, &key)?.read_all(picture::MOST_BYTES)?;
    let mut image =
        picture::decode(&bytes).map_err(|error| Failure::never(format!("{}: {error}", about.frame)))?;
    // The best is drawn last, on top.
    for face in about.faces.iter().rev() {
        let (label, colour) = told(face);
        draw::labelled(&mut image, &face.rect, &label, colour);
    }
    let counted = |worn| about.faces.iter().filter(|face| face.mask.is_some_and(|m| m.worn == worn)).count();
    let (with_mask, without_mask) = (counted(true), counted(false));
    let unknown = about.faces.len() - with_mask - without_mask;
    let said = format!("{}: {with_mask} with a mask, {without_mask} without, {unknown} unknown", about.frame);

    write(&about.frame, "image/jpeg", &picture::to_jpeg(&image, QUALITY).map_err(Failure::never)?)?;
    let frame = Frame { with_mask, without_mask, unknown, faces: &about };
    let json = serde_json::to_vec(&frame).map_err(Failure::never)?;
    write(&faces::beside(&about.frame, "json"), "application/json", &json)?;
    info!("{said}");
    Ok(said)
}

fn told(face: &Face) -> (String, [u8; 3]) {
    match face.mask {
        Some(mask) if mask.worn => (format!("mask {:.2}", mask.score), GREEN),
        Some(mask) => (format!("no mask {:.2}", mask.score), RED),
        None => (format!("face {:.2}", face.score), GREY),
    }
}

fn write(name: &str, content_type: &str, bytes: &[u8]) -> Result<(), Failure> {
    let mut output = Output::create(name, Some(content_type));
    output.write_all(bytes)?;
    Ok(output.finish()?)
}

#[cfg(test)]
mod tests;
