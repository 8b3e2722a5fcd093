//! Boxes and labels, drawn into a picture.

use font8x8::UnicodeFonts as _;
use image::{Rgb, RgbImage};

use crate::rect::Rect;

/// Side of a letter in the font.
const GLYPH: u32 = 8;
const DARK: Rgb<u8> = Rgb([0, 0, 0]);
const LIGHT: Rgb<u8> = Rgb([255, 255, 255]);
/// A box, for a letter that the font lacks.
const UNKNOWN: [u8; 8] = [0x7e, 0x42, 0x42, 0x42, 0x42, 0x42, 0x7e, 0];

/// Draws a box and, on its upper edge, its label; what is outside the picture is left out.
pub fn labelled(image: &mut RgbImage, rect: &Rect, label: &str, colour: [u8; 3]) {
    let Some((left, top, width, height)) = rect.pixels(image.width(), image.height()) else { return };
    // Letters and lines that one can see in a large picture, too.
    let scale = (image.width().min(image.height()) / 360).clamp(1, 4);
    let line = scale * 2;
    fill(image, (left, top), (width, line), colour);
    fill(image, (left, (top + height).saturating_sub(line)), (width, line), colour);
    fill(image, (left, top), (line, height), colour);
    fill(image, ((left + width).saturating_sub(line), top), (line, height), colour);
    if label.is_empty() {
        return;
    }
    let (letters, high) = (label.chars().count() as u32, (GLYPH + 2) * scale);
    let wide = (letters * GLYPH + 2) * scale;
    // Above the box where there is room; and no label ends outside that could be inside.
    let (x, y) = (left.min(image.width().saturating_sub(wide)), top.saturating_sub(high));
    fill(image, (x, y), (wide, high), colour);
    let [r, g, b] = colour.map(u32::from);
    let ink = if r * 299 + g * 587 + b * 114 > 128_000 { DARK } else { LIGHT };
    text(image, label, (x + scale, y + scale), scale, ink);
}

fn text(image: &mut RgbImage, text: &str, (x, y): (u32, u32), scale: u32, ink: Rgb<u8>) {
    for (index, letter) in text.chars().enumerate() {
        let left = x + index as u32 * GLYPH * scale;
        if left >= image.width() {
            return;
        }
        let glyph =
            font8x8::BASIC_FONTS.get(letter).or_else(|| font8x8::LATIN_FONTS.get(letter)).unwrap_or(UNKNOWN);
        for (row, bits) in (0..).zip(glyph) {
            for column in (0..GLYPH).filter(|column| bits >> column & 1 == 1) {
                fill(image, (left + column * scale, y + row * scale), (scale, scale), ink.0);
            }
        }
    }
}

fn fill(image: &mut RgbImage, (x, y): (u32, u32), (width, height): (u32, u32), colour: [u8; 3]) {
    for y in y..y.saturating_add(height).min(image.height()) {
        for x in x..x.saturating_add(width).min(image.width()) {
            image.put_pixel(x, y, Rgb(colour));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREEN: [u8; 3] = [0, 200, 0];

    #[test]
    fn a_box_has_its_edges_and_its_label() {
        let mut image = RgbImage::from_pixel(200, 100, Rgb([9; 3]));
        labelled(&mut image, &Rect { left: 50.0, top: 40.0, right: 150.0, bottom: 90.0 }, "mask 0.98", GREEN);
        for (x, y) in [(50, 60), (149, 60), (100, 40), (100, 89)] {
            assert_eq!(image.get_pixel(x, y).0, GREEN, "{x},{y}");
        }
        assert_eq!(image.get_pixel(100, 60).0, [9; 3]);
        let label = image::imageops::crop_imm(&image, 50, 30, 74, 10).to_image();
        let ink = label.pixels().filter(|pixel| pixel.0 != GREEN).count();
        assert!((50..400).contains(&ink), "{ink} pixels of letters");
    }

    #[test]
    fn whatever_the_box_and_the_label_there_is_no_panic() {
        for rect in [
            Rect { left: -1e9, top: -1e9, right: 1e9, bottom: 1e9 },
            Rect { left: 19.5, top: 9.5, right: 20.0, bottom: 10.0 },
            Rect { left: f32::NAN, top: f32::NAN, right: f32::INFINITY, bottom: 3.0 },
        ] {
            labelled(&mut RgbImage::new(20, 10), &rect, &"文 ünï ".repeat(50), GREEN);
            labelled(&mut RgbImage::new(0, 0), &rect, "", GREEN);
        }
    }
}
