//! From a file to its thumbnail.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Rgb, RgbImage,
};

use crate::options::{Fit, Options, Size};

/// Sides of a photograph.
const LONGEST: u32 = 32_768;
/// Bytes of a decoded photograph: 64 megapixels of RGB. More is a bomb, or needs more memory than a function has.
const LARGEST: u64 = 192 << 20;

/// Makes the thumbnail of a photograph, and says what it did.
pub(crate) fn thumbnail(photo: &Path, folder: &Path, options: &Options) -> Result<String, String> {
    let (image, orientation, profile) = decode(photo)?;
    let (from, alpha) = ((image.width(), image.height()), image.color().has_alpha());
    let small = upright(image, orientation, options)?;
    let stem = photo.file_stem().ok_or("it has no name")?;
    let target = folder.join(stem).with_added_extension(options.extension());
    let written = write(&small, alpha, profile, &target, options)
        .map_err(|error| format!("cannot write {}: {error}", target.display()))?;
    Ok(format!("{}x{} → {}x{}, {written} bytes", from.0, from.1, small.width(), small.height()))
}

fn decode(photo: &Path) -> Result<(DynamicImage, Orientation, Option<Vec<u8>>), String> {
    let file = File::open(photo).map_err(|error| error.to_string())?;
    let mut reader =
        ImageReader::new(BufReader::new(file)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(LONGEST);
    limits.max_image_height = Some(LONGEST);
    limits.max_alloc = Some(LARGEST);
    reader.limits(limits);
    if !matches!(reader.format(), Some(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) {
        return Err("it is no JPEG, PNG or WebP".to_owned());
    }
    // Some of its words end a line.
    let broken = |error: image::ImageError| format!("cannot decode it: {}", error.to_string().trim_end());
    let mut decoder = reader.into_decoder().map_err(broken)?;
    if decoder.total_bytes() > LARGEST {
        let (width, height) = decoder.dimensions();
        return Err(format!("{width}x{height} pixels are more than {} MiB decoded", LARGEST >> 20));
    }
    // Damaged metadata is no reason to refuse a photograph.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().unwrap_or_default();
    Ok((DynamicImage::from_decoder(decoder).map_err(broken)?, orientation, profile))
}

/// Resizes first and turns then: turning the small one costs nothing.
fn upright(image: DynamicImage, orientation: Orientation, options: &Options) -> Result<DynamicImage, String> {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let turned = matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH);
    let Size { width, height } = options.size;
    let inside = if turned { Size { width: height, height: width } } else { options.size };
    let from = Size { width: image.width(), height: image.height() };
    let to = target(from, inside, options.fit);
    let mut small = DynamicImage::new(to.width, to.height, image.color());
    let mut how = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    if options.fit == Fit::Cover {
        how = how.fit_into_destination(Some((0.5, 0.5)));
    }
    Resizer::new().resize(&image, &mut small, &how).map_err(|error| format!("cannot resize it: {error}"))?;
    drop(image);
    small.apply_orientation(orientation);
    debug_assert!(small.width() <= width && small.height() <= height);
    Ok(small)
}

/// The size of the thumbnail: never larger than the photograph.
fn target(from: Size, inside: Size, fit: Fit) -> Size {
    let scale = |side: u32, to: u32, of: u32| {
        let scaled = (u64::from(side) * u64::from(to) + u64::from(of) / 2) / u64::from(of.max(1));
        u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
    };
    match fit {
        Fit::Cover => Size { width: inside.width.min(from.width), height: inside.height.min(from.height) },
        Fit::Contain if from.width <= inside.width && from.height <= inside.height => from,
        // Which side is the tight one: w/W against h/H, without fractions.
        Fit::Contain
            if u64::from(from.width) * u64::from(inside.height)
                >= u64::from(from.height) * u64::from(inside.width) =>
        {
            Size {
                width: inside.width,
                height: scale(from.height, inside.width, from.width).min(inside.height),
            }
        }
        Fit::Contain => Size {
            width: scale(from.width, inside.height, from.height).min(inside.width),
            height: inside.height,
        },
    }
}

fn write(
    image: &DynamicImage,
    alpha: bool,
    profile: Option<Vec<u8>>,
    target: &Path,
    options: &Options,
) -> Result<u64, Box<dyn std::error::Error>> {
    let mut file = BufWriter::new(File::create(target)?);
    match options.format {
        ImageFormat::Jpeg => {
            let rgb = if alpha { on_white(image) } else { image.to_rgb8() };
            let mut encoder = JpegEncoder::new_with_quality(&mut file, options.quality);
            if let Some(profile) = profile {
                encoder.set_icc_profile(profile)?;
            }
            encoder.write_image(&rgb, rgb.width(), rgb.height(), ExtendedColorType::Rgb8)?;
        }
        format => {
            // The encoder wants to seek.
            let mut bytes = std::io::Cursor::new(Vec::new());
            DynamicImage::ImageRgba8(image.to_rgba8()).write_to(&mut bytes, format)?;
            file.write_all(bytes.get_ref())?;
        }
    }
    file.flush()?;
    Ok(file.get_ref().metadata()?.len())
}

/// JPEG has no transparency.
fn on_white(image: &DynamicImage) -> RgbImage {
    let rgba = image.to_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0.map(u16::from);
        Rgb([r, g, b].map(|c| ((c * a + 255 * (255 - a) + 127) / 255) as u8))
    })
}

#[cfg(test)]
mod tests;
