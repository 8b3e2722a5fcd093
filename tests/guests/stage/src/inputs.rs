//! Inputs of a size, the same in every run.

use std::error::Error;
use std::io::{BufWriter, Write as _};

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;

/// The side of the picture that tells how many bytes a pixel takes.
const SAMPLE: u32 = 256;
/// As a camera writes it.
const QUALITY: u8 = 90;

/// Bytes without a pattern.
pub(crate) fn noise(bytes: usize) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut seed = 1;
    for _ in 0..bytes {
        out.write_all(&[next(&mut seed)])?;
    }
    Ok(out.flush()?)
}

/// A list of what sensors said.
pub(crate) fn readings(bytes: usize) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (mut seed, mut written, mut idx) = (1, 2, 0u32);
    out.write_all(b"[")?;
    while written < bytes {
        let comma = if idx == 0 { "" } else { "," };
        let reading = format!(
            "{comma}{{\"sensor\":\"s-{}\",\"at\":{},\"place\":{{\"hall\":{},\"row\":{}}},\"values\":[{}.5,{},null,true]}}",
            next(&mut seed),
            1_700_000_000 + idx,
            next(&mut seed) % 8,
            next(&mut seed) % 32,
            next(&mut seed),
            next(&mut seed),
        );
        out.write_all(reading.as_bytes())?;
        written += reading.len();
        idx += 1;
    }
    out.write_all(b"]")?;
    Ok(out.flush()?)
}

/// A JPEG of waves and grain.
pub(crate) fn photo(bytes: usize) -> Result<(), Box<dyn Error>> {
    let sample = jpeg(SAMPLE)?.len();
    let pixels = bytes as f64 * f64::from(SAMPLE * SAMPLE) / sample as f64;
    Ok(std::io::stdout().write_all(&jpeg((pixels.sqrt() as u32).max(16))?)?)
}

fn jpeg(side: u32) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut seed = 1;
    let picture = RgbImage::from_fn(side, side, |x, y| {
        let wave = |n: u32, length: f32| (n as f32 / length).sin() * 50.0 + 100.0;
        let grain = f32::from(next(&mut seed) % 32);
        image::Rgb([wave(x, 40.0), wave(y, 60.0), wave(x + y, 90.0)].map(|c| (c + grain) as u8))
    });
    let mut bytes = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY))?;
    Ok(bytes)
}

/// The next byte of a linear congruential generator.
fn next(seed: &mut u64) -> u8 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 56) as u8
}
