//! A GIF that shows one picture after the other, for ever.

use std::io::Cursor;

use fast_image_resize::{ResizeOptions, Resizer};
use gif::{Encoder, Frame, Repeat};
use image::{DynamicImage, ImageReader, Rgb, RgbImage, imageops};

/// The box that the preview fits.
const WIDTH: u32 = 320;
const HEIGHT: u32 = 320;
/// How long each picture is shown, in hundredths of a second.
const SHOWN: u16 = 20;
/// How carefully colours are chosen: 1 is best, 30 is fastest.
const SPEED: i32 = 15;
const PAPER: Rgb<u8> = Rgb([0, 0, 0]);

/// A picture that fits the box.
#[derive(Debug)]
pub(crate) struct Picture(RgbImage);

impl Picture {
    /// Reads a picture, and makes it small.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut reader =
            ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
        let mut limits = image::Limits::default();
        limits.max_image_width = Some(8192);
        limits.max_image_height = Some(8192);
        limits.max_alloc = Some(64 << 20);
        reader.limits(limits);
        let image = reader.decode().map_err(|error| error.to_string().trim_end().to_owned())?;
        let (width, height) = size(image.width(), image.height());
        let mut small = DynamicImage::new(width, height, image.color());
        Resizer::new()
            .resize(&image, &mut small, &ResizeOptions::new())
            .map_err(|error| format!("cannot resize it: {error}"))?;
        Ok(Self(small.into_rgb8()))
    }
}

/// The size of a picture in the preview: inside the box, and never larger than it was.
fn size(width: u32, height: u32) -> (u32, u32) {
    let (wide, high) = (u64::from(width), u64::from(height));
    let scaled = |side: u64, to: u32, of: u64| ((side * u64::from(to) / of).max(1)) as u32;
    match () {
        () if width <= WIDTH && height <= HEIGHT => (width, height),
        () if wide * u64::from(HEIGHT) >= high * u64::from(WIDTH) => (WIDTH, scaled(high, WIDTH, wide)),
        () => (scaled(wide, HEIGHT, high), HEIGHT),
    }
}

/// The preview as it grows: each picture is written as it comes.
#[derive(Default)]
pub(crate) struct Animation {
    encoder: Option<Encoder<Vec<u8>>>,
    /// Of the first picture, and so of all.
    size: (u32, u32),
    pictures: usize,
}

impl Animation {
    /// Adds a picture. One of another size than the first is put into its middle.
    pub(crate) fn add(&mut self, picture: &Picture) -> Result<(), String> {
        let Picture(small) = picture;
        if self.encoder.is_none() {
            self.size = small.dimensions();
            let side = |side: u32| u16::try_from(side).expect("a preview is smaller than its box");
            let mut encoder = Encoder::new(Vec::new(), side(self.size.0), side(self.size.1), &[])
                .map_err(|error| error.to_string())?;
            encoder.set_repeat(Repeat::Infinite).map_err(|error| error.to_string())?;
            self.encoder = Some(encoder);
        }
        let (width, height) = self.size;
        let mut screen = RgbImage::from_pixel(width, height, PAPER);
        let middle = |room: u32, side: u32| (i64::from(room) - i64::from(side)) / 2;
        imageops::replace(&mut screen, small, middle(width, small.width()), middle(height, small.height()));
        let mut frame = Frame::from_rgb_speed(width as u16, height as u16, &screen, SPEED);
        frame.delay = SHOWN;
        let encoder = self.encoder.as_mut().ok_or("there is no preview to add it to")?;
        encoder.write_frame(&frame).map_err(|error| error.to_string())?;
        self.pictures += 1;
        Ok(())
    }

    /// How many pictures it has, and its bytes; none without a picture.
    pub(crate) fn finish(self) -> Result<Option<(usize, Vec<u8>)>, String> {
        let Some(encoder) = self.encoder else { return Ok(None) };
        let bytes = encoder.into_inner().map_err(|error| error.to_string())?;
        Ok(Some((self.pictures, bytes)))
    }
}
