//! What is drawn into a cell.

use std::io::Cursor;

use fast_image_resize::{ResizeOptions, Resizer};
use font8x8::UnicodeFonts as _;
use image::{DynamicImage, ImageReader, Rgb, RgbImage, imageops};

const INK: Rgb<u8> = Rgb([210, 210, 210]);
const EMPTY: Rgb<u8> = Rgb([60, 60, 60]);
const GLYPH: u32 = 8;

/// A thumbnail that fits a cell.
pub(crate) fn decode(bytes: &[u8], cell: u32) -> Result<RgbImage, String> {
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(8192);
    limits.max_image_height = Some(8192);
    limits.max_alloc = Some(64 << 20);
    reader.limits(limits);
    let image = reader.decode().map_err(|error| error.to_string())?;
    if image.width() <= cell && image.height() <= cell {
        return Ok(image.into_rgb8());
    }
    let longest = u64::from(image.width().max(image.height()));
    let side = |side: u32| (u64::from(side) * u64::from(cell) / longest).max(1) as u32;
    let (width, height) = (side(image.width()), side(image.height()));
    let mut small = DynamicImage::new(width, height, image.color());
    Resizer::new()
        .resize(&image, &mut small, &ResizeOptions::new())
        .map_err(|error| format!("cannot resize it: {error}"))?;
    Ok(small.into_rgb8())
}

/// Puts a thumbnail into the middle of a cell.
pub(crate) fn paste(sheet: &mut RgbImage, small: &RgbImage, (x, y): (u32, u32), cell: u32) {
    let middle = |start: u32, size: u32| i64::from(start + cell.saturating_sub(size) / 2);
    imageops::replace(sheet, small, middle(x, small.width()), middle(y, small.height()));
}

/// A crossed-out cell, for a part that cannot be shown.
pub(crate) fn cross(sheet: &mut RgbImage, (x, y): (u32, u32), cell: u32) {
    for i in 0..cell {
        for (dx, dy) in [(i, i), (i, cell - 1 - i), (i, 0), (i, cell - 1), (0, i), (cell - 1, i)] {
            sheet.put_pixel(x + dx, y + dy, EMPTY);
        }
    }
}

/// Writes a name in the middle below a cell, cut where there is no room: its end goes, not its beginning.
pub(crate) fn caption(sheet: &mut RgbImage, name: &str, (x, y): (u32, u32), cell: u32) {
    let room = (cell / GLYPH) as usize;
    let mut text: Vec<char> = name.chars().take(room + 1).collect();
    if text.len() > room {
        text.truncate(room);
        for dot in text.iter_mut().rev().take(2) {
            *dot = '.';
        }
    }
    let left = x + (cell - text.len() as u32 * GLYPH) / 2;
    for (index, c) in text.into_iter().enumerate() {
        let glyph = font8x8::BASIC_FONTS.get(c).or_else(|| font8x8::LATIN_FONTS.get(c)).unwrap_or(UNKNOWN);
        for (row, bits) in glyph.iter().enumerate() {
            for column in (0..GLYPH).filter(|column| bits >> column & 1 == 1) {
                sheet.put_pixel(left + index as u32 * GLYPH + column, y + row as u32, INK);
            }
        }
    }
}

/// A box, for a letter that the font lacks.
const UNKNOWN: [u8; 8] = [0x7e, 0x42, 0x42, 0x42, 0x42, 0x42, 0x7e, 0];
