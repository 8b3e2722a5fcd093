//! Joins what `split` made of one video: a joined event of its pictures and its `video.json` in, `preview.gif` (the video
//! in a few seconds) and `index.json` (what there is, and when) out. A picture that cannot be read is in the index with
//! the reason, and not in the preview.

mod animation;

use std::io::Write as _;

use serde::{Deserialize, Serialize};
use wicket_sdk::{Event, Failure, Object, Output, info, warn};

use crate::animation::{Animation, Picture};

/// Pictures of one video.
pub const MOST_FRAMES: usize = 10_000;
/// Pictures of the preview: more are thinned out evenly.
const MOST_SHOWN: usize = 48;
/// Bytes of a picture.
const LARGEST_FRAME: usize = 16 << 20;
/// Bytes of `video.json`.
const LARGEST_ABOUT: usize = 64 << 10;
/// What `split` writes beside the pictures.
const ABOUT: &str = "video.json";

/// What `split` knows of a video.
#[derive(Clone, Debug, Default, Deserialize)]
struct About {
    /// Seconds.
    duration: Option<f64>,
    /// Pictures a second.
    fps: Option<f64>,
    /// Seconds from one frame to the next.
    every: Option<f64>,
    width: Option<u32>,
    height: Option<u32>,
    #[serde(default)]
    has_audio: bool,
}

/// What `index.json` says.
#[derive(Debug, Serialize)]
struct Index {
    /// Name of the video.
    video: String,
    /// Seconds; none where the video does not tell it.
    duration: Option<f64>,
    /// Pictures a second.
    fps: Option<f64>,
    /// Seconds from one frame to the next.
    every: Option<f64>,
    /// Pixels.
    width: Option<u32>,
    /// Pixels.
    height: Option<u32>,
    /// The files beside this one: those that other stages write may come a moment later.
    preview: Option<&'static str>,
    sheet: &'static str,
    audio: Option<&'static str>,
    /// In the order of time.
    frames: Vec<Frame>,
}

#[derive(Debug, Serialize)]
struct Frame {
    bucket: String,
    key: String,
    /// Seconds from the beginning; none for a picture whose name does not tell it.
    time: Option<f64>,
    /// Bytes.
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

wicket_sdk::function!(preview);

/// The function.
pub fn preview(event: Event) -> Result<String, Failure> {
    let (abouts, frames): (Vec<Object>, Vec<Object>) =
        event.objects.into_iter().partition(|object| object.name() == ABOUT);
    if frames.is_empty() {
        return Err(Failure::never("a preview is made of pictures, and this event has none"));
    }
    if frames.len() > MOST_FRAMES {
        return Err(Failure::never(format!("{} pictures are more than {MOST_FRAMES}", frames.len())));
    }
    let about = match abouts.into_iter().next() {
        Some(mut object) => {
            let text = object.read_text(LARGEST_ABOUT)?;
            serde_json::from_str(&text).map_err(|error| Failure::never(format!("{ABOUT}: {error}")))?
        }
        None => {
            warn!("there is no {ABOUT} beside the pictures");
            About::default()
        }
    };
    // The folder has the video's name.
    let video = frames[0].folder().rsplit('/').next().unwrap_or_default().to_owned();
    let n_frames = frames.len();
    let mut animation = Animation::default();
    let mut index = Vec::with_capacity(n_frames);
    for (number, mut object) in frames.into_iter().enumerate() {
        // One picture is in memory at a time.
        let shown = is_shown(number, n_frames).then(|| {
            let bytes = object.read_all(LARGEST_FRAME).map_err(|error| error.to_string())?;
            animation.add(&Picture::decode(&bytes)?)
        });
        let error = shown.and_then(Result::err);
        if let Some(error) = &error {
            warn!("{}: {error}", object.key());
        }
        index.push(Frame {
            time: time(object.name()),
            size: object.size(),
            bucket: object.bucket().to_owned(),
            key: object.key().to_owned(),
            error,
        });
    }
    let gif = animation.finish().map_err(Failure::never)?;
    let shown = gif.as_ref().map_or(0, |(pictures, _)| *pictures);
    let said = format!("{n_frames} pictures, {shown} in the preview");
    if let Some((_, gif)) = &gif {
        write("preview.gif", "image/gif", gif)?;
    }
    let index = Index {
        video,
        duration: about.duration,
        fps: about.fps,
        every: about.every,
        width: about.width,
        height: about.height,
        preview: gif.is_some().then_some("preview.gif"),
        sheet: "sheet.jpg",
        audio: about.has_audio.then_some("audio.wav"),
        frames: index,
    };
    write("index.json", "application/json", &serde_json::to_vec_pretty(&index).map_err(Failure::never)?)?;
    info!("{said}");
    Ok(said)
}

/// Whether the frame of this number is one of those that the preview shows: evenly apart, the first one included.
fn is_shown(number: usize, of: usize) -> bool {
    let shown = of.min(MOST_SHOWN);
    // It is the first whose share of the way passes the next whole number.
    number == 0 || number * shown / of > (number - 1) * shown / of
}

/// The time in the name of a frame: `00004.5s.jpg` is at 4.5 s.
fn time(name: &str) -> Option<f64> {
    let seconds = name.strip_suffix("s.jpg")?;
    let is_plain = seconds.bytes().all(|letter| letter.is_ascii_digit() || letter == b'.');
    seconds.parse().ok().filter(|_| is_plain)
}

fn write(name: &str, content_type: &str, bytes: &[u8]) -> Result<(), Failure> {
    let mut output = Output::create(name, Some(content_type));
    output.write_all(bytes)?;
    Ok(output.finish()?)
}

#[cfg(test)]
mod tests;
