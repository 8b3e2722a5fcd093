//! GIF: a screen on which pictures are drawn one after the other.

use std::fs::File;
use std::io::{BufReader, Seek as _};

use gif::{DecodeOptions, DecodingError};
use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder as _, RgbImage, RgbaImage};

use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::video::{About, fits};

/// A hundredth of a second, the unit of GIF's times.
const HUNDREDTH: u64 = 10_000;
/// How long a picture is shown that says 0 or 1 hundredths: what browsers make of it.
const UNTOLD: u64 = 10 * HUNDREDTH;
/// Pictures of one file.
const MOST: usize = 100_000;

/// A GIF whose blocks are all there.
#[derive(Debug)]
pub(crate) struct Gif {
    file: File,
    about: About,
    /// Microseconds that each picture is shown.
    shown: Vec<u64>,
}

fn broken(error: impl std::fmt::Display) -> Refusal {
    Refusal::Broken(format!("this GIF is damaged: {error}"))
}

impl Gif {
    /// Reads all blocks, without decoding a pixel.
    pub(crate) fn open(mut file: File) -> Result<Self, Refusal> {
        let mut options = DecodeOptions::new();
        options.skip_frame_decoding(true);
        let mut blocks = options.read_info(BufReader::new(&file)).map_err(broken)?;
        let (width, height) = (u32::from(blocks.width()), u32::from(blocks.height()));
        fits(width, height)?;
        let mut shown = Vec::new();
        loop {
            match blocks.next_frame_info() {
                Ok(Some(picture)) => {
                    fits(u32::from(picture.width), u32::from(picture.height))?;
                    let hundredths = u64::from(picture.delay);
                    shown.push(if hundredths < 2 { UNTOLD } else { hundredths * HUNDREDTH });
                }
                Ok(None) => break,
                Err(DecodingError::UnexpectedEof) => {
                    return Err(broken(format!("it breaks off after {} pictures", shown.len())));
                }
                Err(error) => return Err(broken(error)),
            }
            if shown.len() > MOST {
                return Err(broken(format!("more than {MOST} pictures")));
            }
        }
        if shown.is_empty() {
            return Err(broken("there is no picture in it"));
        }
        drop(blocks);
        file.rewind()?;
        let micros: u64 = shown.iter().sum();
        let duration = micros as f64 / 1e6;
        let fps = shown.len() as f64 / duration;
        Ok(Self { file, about: About { width, height, duration, fps, micros, ..About::default() }, shown })
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
        self.file.rewind()?;
        let screens = GifDecoder::new(BufReader::new(&self.file)).map_err(broken)?.into_frames();
        let (mut next, mut until) = (0, 0);
        for (screen, shown) in screens.zip(&self.shown) {
            let screen = screen.map_err(broken)?;
            until += shown;
            while next < plan.pictures && plan.moment(next) < until {
                put(next, on_white(screen.buffer()))?;
                next += 1;
            }
            if next == plan.pictures {
                break;
            }
        }
        match next {
            0 => Err(broken("no picture of it can be decoded")),
            _ => Ok(()),
        }
    }
}

/// A pixel of a GIF is there or it is not.
fn on_white(screen: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(screen.width(), screen.height(), |x, y| {
        let [r, g, b, a] = screen.get_pixel(x, y).0;
        image::Rgb(if a == 0 { [255; 3] } else { [r, g, b] })
    })
}
