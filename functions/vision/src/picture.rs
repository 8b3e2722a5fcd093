//! Bytes to pixels and back. Whoever uploads a picture chooses its bytes: what it would cost is known before it is decoded.

use std::fmt;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder as _, ImageFormat, ImageReader, RgbImage,
};

/// Bytes of a picture's file.
pub const MOST_BYTES: usize = 32 << 20;
/// Pixels of a picture. Decoders hold up to 9 bytes for each, so that a function does with 128 MiB.
pub const MOST_PIXELS: u64 = 12 << 20;

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No bytes at all.
    Empty,
    /// Another format, or no picture.
    Unknown,
    /// More pixels than [`MOST_PIXELS`].
    TooLarge { width: u32, height: u32 },
    /// It begins like one, and is broken: what the decoder says.
    Damaged(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the picture is empty"),
            Self::Unknown => f.write_str("it is no JPEG, PNG or WebP"),
            Self::TooLarge { width, height } => {
                write!(f, "{width}x{height} pixels are more than {MOST_PIXELS}")
            }
            Self::Damaged(why) => write!(f, "the picture cannot be decoded: {why}"),
        }
    }
}

impl std::error::Error for Refused {}

/// Decodes JPEG, PNG or WebP, and turns it upright.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, Refused> {
    if bytes.is_empty() {
        return Err(Refused::Empty);
    }
    // Some of its words end a line.
    let damaged = |error: image::ImageError| Refused::Damaged(error.to_string().trim_end().to_owned());
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| Refused::Unknown)?;
    if !matches!(reader.format(), Some(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) {
        return Err(Refused::Unknown);
    }
    // The size is judged below, by name; this is for what a decoder wants beside the pixels.
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(MOST_PIXELS * 8);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(Refused::TooLarge { width, height });
    }
    // Damaged metadata is no reason to refuse a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

/// Encodes a JPEG of pixels alone: what else was in a file (a thumbnail, a place) does not come along.
pub fn to_jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8)
        .map_err(|error| Refused::Damaged(error.to_string()))?;
    Ok(bytes)
}
