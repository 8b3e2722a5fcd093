//! A video of either format.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;

use image::RgbImage;
use serde::Serialize;

use crate::avi::Avi;
use crate::gif::Gif;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::sniff;

/// Pixels of a picture: a few of them have to fit a function's memory.
const MOST_PIXELS: u64 = 8 << 20;
/// First bytes that tell the format.
const HEAD: u64 = 192;

/// What `video.json` says.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct About {
    /// Pixels.
    pub(crate) width: u32,
    /// Pixels.
    pub(crate) height: u32,
    /// Seconds.
    pub(crate) duration: f64,
    /// Pictures a second, in the video; the mean where they differ.
    pub(crate) fps: f64,
    /// Whether there is an `audio.wav` of it.
    pub(crate) has_audio: bool,
    /// Seconds from one of our pictures to the next.
    pub(crate) every: f64,
    /// How many pictures we made.
    pub(crate) frames: u64,
    /// Duration in microseconds.
    #[serde(skip)]
    pub(crate) micros: u64,
}

/// An opened video: its headers and its index are sound.
#[derive(Debug)]
pub(crate) enum Video {
    Avi(Avi),
    Gif(Gif),
}

impl Video {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> Result<Self, Refusal> {
        let mut file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(Refusal::Misused("one video at a time: the input is a folder".to_owned()));
        }
        let mut head = Vec::new();
        file.by_ref().take(HEAD).read_to_end(&mut head)?;
        file.rewind()?;
        match sniff::format(&head) {
            _ if head.is_empty() => Err(Refusal::Broken("the file is empty".to_owned())),
            Some("AVI") => Avi::open(file).map(Self::Avi),
            Some("GIF") => Gif::open(file).map(Self::Gif),
            Some(other) => Err(Refusal::declined(format!("this is {other}, neither Motion-JPEG nor GIF"))),
            None => {
                Err(Refusal::declined("this is neither Motion-JPEG (AVI) nor GIF, nor a video known here"))
            }
        }
    }

    /// What its headers say.
    pub(crate) fn about(&self) -> &About {
        match self {
            Self::Avi(avi) => avi.about(),
            Self::Gif(gif) => gif.about(),
        }
    }

    /// Hands over what is on the screen at each moment of a plan, in order. A moment whose picture is damaged is left
    /// out; a video without any sound one is broken.
    pub(crate) fn pictures(
        &mut self,
        plan: &Plan,
        put: impl FnMut(u64, RgbImage) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        match self {
            Self::Avi(avi) => avi.pictures(plan, put),
            Self::Gif(gif) => gif.pictures(plan, put),
        }
    }
}

/// Refuses pictures that nobody should decode.
pub(crate) fn fits(width: u32, height: u32) -> Result<(), Refusal> {
    match u64::from(width) * u64::from(height) {
        0 => Err(Refusal::Broken(format!("a picture of {width}x{height} pixels is none"))),
        1..=MOST_PIXELS => Ok(()),
        _ => Err(Refusal::Broken(format!("{width}x{height} pixels are more than {MOST_PIXELS}"))),
    }
}
