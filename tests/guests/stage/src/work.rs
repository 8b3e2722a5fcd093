//! The three stages.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::DynamicImage;
use image::codecs::jpeg::JpegEncoder;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The longest side of a thumbnail, pixels.
const THUMBNAIL: u32 = 320;

/// The digest of the input, in hex.
pub(crate) fn sha256(input: &[u8], output: &Path) -> Result<(), Box<dyn Error>> {
    let digest: String = Sha256::digest(input).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(std::fs::write(output, digest)?)
}

/// The document with all its keys in capitals.
pub(crate) fn json(input: &[u8], output: &Path) -> Result<(), Box<dyn Error>> {
    let document = capitals(serde_json::from_slice(input)?);
    let mut file = BufWriter::new(File::create(output)?);
    serde_json::to_writer(&mut file, &document)?;
    Ok(file.flush()?)
}

/// A thumbnail, as `functions/thumbnail` makes it.
pub(crate) fn image(input: &[u8], output: &Path) -> Result<(), Box<dyn Error>> {
    let photo = image::load_from_memory(input)?;
    let longest = photo.width().max(photo.height());
    let side = |side: u32| (u64::from(side) * u64::from(THUMBNAIL.min(longest)) / u64::from(longest)).max(1);
    let (width, height) = (side(photo.width()).try_into()?, side(photo.height()).try_into()?);
    let mut small = DynamicImage::new(width, height, photo.color());
    let how = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&photo, &mut small, &how)?;
    let file = BufWriter::new(File::create(output)?);
    Ok(small.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(file, 82))?)
}

fn capitals(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| (key.to_uppercase(), capitals(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(capitals).collect()),
        other => other,
    }
}
