//! Motion-JPEG in AVI: a RIFF file of chunks, in which each picture is a JPEG of its own.

use std::fs::File;
use std::io::{Cursor, Read as _, Seek as _, SeekFrom};

use image::codecs::jpeg::JpegDecoder;
use image::{DynamicImage, ImageDecoder as _, RgbImage};

use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::video::{About, fits};

/// Pictures of one video.
const MOST: usize = 1 << 20;
/// Bytes of one picture.
const LARGEST: u32 = 16 << 20;
/// Lists whose chunks we look at; others are skipped whole.
const LISTS: [&[u8; 4]; 4] = [b"hdrl", b"strl", b"movi", b"rec "];
/// What Motion-JPEG is called in a stream's format.
const CODECS: [&[u8; 4]; 2] = [b"MJPG", b"JPEG"];

/// Where a picture's bytes are.
#[derive(Clone, Copy, Debug)]
struct Picture {
    at: u64,
    size: u32,
}

/// A video whose chunks are all there, of Motion-JPEG.
#[derive(Debug)]
pub(crate) struct Avi {
    file: File,
    about: About,
    pictures: Vec<Picture>,
    rate: Rate,
}

/// So many pictures in so many seconds.
#[derive(Clone, Copy, Debug)]
struct Rate {
    pictures: u32,
    seconds: u32,
}

impl Rate {
    /// Microseconds that so many pictures take.
    fn micros(self, pictures: usize) -> u64 {
        let micros = pictures as u128 * u128::from(self.seconds) * 1_000_000 / u128::from(self.pictures);
        u64::try_from(micros).unwrap_or(u64::MAX)
    }
}

/// The first video stream, as its headers are read.
#[derive(Debug)]
struct Stream {
    number: usize,
    rate: Rate,
    /// Width, height and codec, once they were told.
    format: Option<(u32, u32, [u8; 4])>,
}

/// What was found on the way through the chunks.
#[derive(Debug, Default)]
struct Found {
    streams: usize,
    video: Option<Stream>,
    has_audio: bool,
    pictures: Vec<Picture>,
}

fn broken(why: impl std::fmt::Display) -> Refusal {
    Refusal::Broken(format!("this AVI is damaged: {why}"))
}

impl Avi {
    /// Reads the headers, and finds every picture.
    pub(crate) fn open(mut file: File) -> Result<Self, Refusal> {
        let Found { video, has_audio, pictures, .. } = walk(&mut file)?;
        let video = video.ok_or_else(|| broken("there is no video stream in it"))?;
        let (width, height, codec) = video.format.ok_or_else(|| broken("its video stream has no format"))?;
        if !CODECS.contains(&&codec.map(|letter| letter.to_ascii_uppercase())) {
            let codec: String = codec.iter().map(|letter| char::from(*letter)).collect();
            return Err(Refusal::declined(format!(
                "this is AVI with `{}` video, not Motion-JPEG",
                codec.escape_debug()
            )));
        }
        fits(width, height)?;
        if pictures.is_empty() {
            return Err(broken("there is no picture in it"));
        }
        let rate = video.rate;
        let micros = rate.micros(pictures.len());
        let (duration, fps) = (micros as f64 / 1e6, f64::from(rate.pictures) / f64::from(rate.seconds));
        let about = About { width, height, duration, fps, has_audio, micros, ..About::default() };
        Ok(Self { file, about, pictures, rate })
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// See [`Video::pictures`](crate::video::Video::pictures).
    pub(crate) fn pictures(
        &mut self,
        plan: &Plan,
        mut put: impl FnMut(u64, RgbImage) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let (mut index, mut damaged, mut last) = (0, 0, String::new());
        for moment in 0..plan.pictures {
            while index + 1 < self.pictures.len() && self.rate.micros(index + 1) <= plan.moment(moment) {
                index += 1;
            }
            let Picture { at, size } = self.pictures[index];
            let mut jpeg = Vec::with_capacity(size as usize);
            self.file.seek(SeekFrom::Start(at))?;
            self.file.by_ref().take(u64::from(size)).read_to_end(&mut jpeg)?;
            match decoded(&jpeg) {
                Ok(picture) => put(moment, picture)?,
                Err(error) => {
                    eprintln!("split: picture {index}: {error}");
                    (damaged, last) = (damaged + 1, error);
                }
            }
        }
        match damaged == plan.pictures {
            true => Err(broken(format!("none of {damaged} pictures can be decoded; the last one: {last}"))),
            false => Ok(()),
        }
    }
}

fn decoded(jpeg: &[u8]) -> Result<RgbImage, String> {
    let error = |error: image::ImageError| error.to_string().trim_end().to_owned();
    let decoder = JpegDecoder::new(Cursor::new(jpeg)).map_err(error)?;
    let (width, height) = decoder.dimensions();
    fits(width, height).map_err(|refusal| refusal.to_string())?;
    Ok(DynamicImage::from_decoder(decoder).map_err(error)?.into_rgb8())
}

/// Goes through all chunks. A list's own are read as if they stood beside it: where they end is where it ends.
fn walk(file: &mut File) -> Result<Found, Refusal> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut found = Found::default();
    let (mut at, mut segment) = (0, 0);
    // Large files are several segments, one behind the other. What else stands behind one is not of the video.
    while at < segment || segment == 0 || is_segment(file, at, end)? {
        let Some(head) = bytes::<8>(file, at, end)? else {
            return Err(broken(format!("it breaks off in the middle of a chunk, at byte {at}")));
        };
        let id = [head[0], head[1], head[2], head[3]];
        let size = word(&head, 4);
        let next = at + 8 + u64::from(size);
        if next > end {
            let there = end - at - 8;
            let name = id.escape_ascii();
            return Err(broken(format!(
                "it breaks off: `{name}` at byte {at} has {size} bytes, {there} are there"
            )));
        }
        match &id {
            b"RIFF" => {
                segment = next;
                at += 12;
            }
            b"LIST" if bytes::<4>(file, at + 8, end)?.is_some_and(|kind| LISTS.contains(&&kind)) => at += 12,
            _ => {
                found.chunk(file, id, at + 8, size, end)?;
                // Chunks begin at even bytes.
                at = next + u64::from(size % 2);
            }
        }
    }
    Ok(found)
}

/// Whether another segment begins here.
fn is_segment(file: &mut File, at: u64, end: u64) -> Result<bool, Refusal> {
    let head = bytes::<12>(file, at, end)?;
    Ok(head.is_some_and(|head| head.starts_with(b"RIFF") && head.ends_with(b"AVIX")))
}

impl Found {
    /// Takes what a chunk says. `at` is where its bytes begin, and they are all there.
    fn chunk(&mut self, file: &mut File, id: [u8; 4], at: u64, size: u32, end: u64) -> Result<(), Refusal> {
        match &id {
            b"strh" => {
                let head = bytes::<32>(file, at, end)?.filter(|_| size >= 32);
                let head = head.ok_or_else(|| broken("the header of a stream is too short"))?;
                self.has_audio |= head.starts_with(b"auds");
                if head.starts_with(b"vids") && self.video.is_none() {
                    let rate = Rate { seconds: word(&head, 20), pictures: word(&head, 24) };
                    if rate.pictures == 0 || rate.seconds == 0 {
                        return Err(broken("it does not say how many pictures a second has"));
                    }
                    self.video = Some(Stream { number: self.streams, rate, format: None });
                }
                self.streams += 1;
            }
            b"strf" => {
                let ours = self.video.as_mut().filter(|video| video.number + 1 == self.streams);
                let head = bytes::<20>(file, at, end)?.filter(|_| size >= 20);
                if let (Some(video), Some(head)) = (ours, head) {
                    // A negative height says that rows go from top to bottom.
                    let side = |offset| word(&head, offset).cast_signed().unsigned_abs();
                    video.format = Some((side(4), side(8), [head[16], head[17], head[18], head[19]]));
                }
            }
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'd', b'b' | b'c'] => {
                let number = usize::from(tens - b'0') * 10 + usize::from(ones - b'0');
                if self.video.as_ref().is_some_and(|video| video.number == number) {
                    self.picture(Picture { at, size })?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn picture(&mut self, picture: Picture) -> Result<(), Refusal> {
        if picture.size > LARGEST {
            return Err(broken(format!("a picture of {} bytes is more than {LARGEST}", picture.size)));
        }
        if self.pictures.len() >= MOST {
            return Err(broken(format!("more than {MOST} pictures")));
        }
        // An empty one stands for the one before: the camera had nothing new to say.
        let shown = if picture.size == 0 { self.pictures.last().copied() } else { Some(picture) };
        self.pictures.extend(shown);
        Ok(())
    }
}

/// Bytes of the file, when it has so many there.
fn bytes<const N: usize>(file: &mut File, at: u64, end: u64) -> Result<Option<[u8; N]>, Refusal> {
    if at.checked_add(N as u64).is_none_or(|last| last > end) {
        return Ok(None);
    }
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

/// A number of a header.
fn word(head: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&head[at..at + 4]);
    u32::from_le_bytes(word)
}
