//! Faces made unknowable.
//!
//! A blur alone can be undone: convolution keeps almost everything, and networks put back the rest. Here a face becomes
//! the means of at most 4 × 4 blocks, each colour of 16 levels: 192 bits at most, whatever the camera. What is drawn is
//! made of these alone, softly, so that two faces of the same means are the same picture afterwards.

use image::{Rgb, RgbImage};

use crate::rect::Rect;

/// Blocks of a face, across and down.
pub const BLOCKS: u32 = 4;
/// Pixels of a block's side, at least: a small face gets fewer blocks.
const SMALLEST_BLOCK: u32 = 8;
/// Steps of a colour.
const LEVEL: u32 = 16;
/// What is hidden around the box of a face, as a share of its size on each side: ears, hair, and a detector's error.
pub const MARGIN: f32 = 0.25;

/// Hides what is in a face's box and around it. Of a box outside the picture, nothing.
pub fn blur(image: &mut RgbImage, face: &Rect) {
    let Some((left, top, width, height)) = face.grown(MARGIN).pixels(image.width(), image.height()) else {
        return;
    };
    let (columns, rows) = (blocks(width), blocks(height));
    let mut means = Vec::with_capacity((columns * rows) as usize);
    for row in 0..rows {
        for column in 0..columns {
            let (x0, x1) = (width * column / columns, width * (column + 1) / columns);
            let (y0, y1) = (height * row / rows, height * (row + 1) / rows);
            means.push(mean(image, (left + x0, top + y0), (left + x1, top + y1)));
        }
    }
    let at = |column: u32, row: u32| means[(row * columns + column) as usize];
    for y in 0..height {
        let (row, next_row, down) = between(y, height, rows);
        for x in 0..width {
            let (column, next_column, right) = between(x, width, columns);
            let corners =
                [at(column, row), at(next_column, row), at(column, next_row), at(next_column, next_row)];
            let colour = [0, 1, 2].map(|c| {
                let [a, b, c, d] = corners.map(|corner| corner[c]);
                let above = a * (ONE - right) + b * right;
                let below = c * (ONE - right) + d * right;
                ((above * (ONE - down) + below * down) / (ONE * ONE)) as u8
            });
            image.put_pixel(left + x, top + y, Rgb(colour));
        }
    }
}

/// A whole, in the fractions of [`between`]: whole numbers give the same picture on every machine.
const ONE: u32 = 256;

fn blocks(side: u32) -> u32 {
    (side / SMALLEST_BLOCK).clamp(1, BLOCKS)
}

/// The mean of a block, to the nearest level.
fn mean(image: &RgbImage, (x0, y0): (u32, u32), (x1, y1): (u32, u32)) -> [u32; 3] {
    let mut sums = [0_u64; 3];
    for y in y0..y1 {
        for x in x0..x1 {
            for (sum, colour) in sums.iter_mut().zip(image.get_pixel(x, y).0) {
                *sum += u64::from(colour);
            }
        }
    }
    let count = u64::from((x1 - x0) * (y1 - y0)).max(1);
    sums.map(|sum| (sum / count) as u32 / LEVEL * LEVEL + LEVEL / 2)
}

/// Between which centres of blocks a pixel is, and how far on the way, in parts of [`ONE`].
fn between(at: u32, side: u32, blocks: u32) -> (u32, u32, u32) {
    // In half blocks from the first centre.
    let place = (u64::from(at) * 2 + 1) * u64::from(blocks) * u64::from(ONE) / (u64::from(side) * 2);
    let place = (place as u32).saturating_sub(ONE / 2);
    let first = (place / ONE).min(blocks - 1);
    (first, (first + 1).min(blocks - 1), place % ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACE: Rect = Rect { left: 40.0, top: 30.0, right: 104.0, bottom: 110.0 };

    /// Noise that no two calls share.
    fn noise(seed: u32) -> RgbImage {
        let mut state = seed;
        RgbImage::from_fn(160, 160, |_, _| {
            Rgb([0, 1, 2].map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            }))
        })
    }

    fn colours(image: &RgbImage) -> Vec<[u8; 3]> {
        let mut all: Vec<[u8; 3]> = image.pixels().map(|pixel| pixel.0).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn faces_of_the_same_means_are_the_same_afterwards() {
        let one = noise(1);
        let (left, top, width, height) = FACE.grown(MARGIN).pixels(160, 160).unwrap();
        // Another face: in each block, every pixel somewhere else.
        let mut other = one.clone();
        for row in 0..BLOCKS {
            for column in 0..BLOCKS {
                let (x0, x1) = (width * column / BLOCKS, width * (column + 1) / BLOCKS);
                let (y0, y1) = (height * row / BLOCKS, height * (row + 1) / BLOCKS);
                for y in y0..y1 {
                    for x in x0..x1 {
                        let from = one.get_pixel(left + x0 + x1 - 1 - x, top + y0 + y1 - 1 - y);
                        other.put_pixel(left + x, top + y, *from);
                    }
                }
            }
        }
        assert_ne!(one, other);
        let (mut a, mut b) = (one, other);
        blur(&mut a, &FACE);
        blur(&mut b, &FACE);
        assert!(a == b, "the blur shows more than the means of its blocks");
    }

    #[test]
    fn no_more_than_sixteen_colours_of_sixteen_levels_survive() {
        // Any two pictures whose means agree to a level are one: a whole level of each colour makes no difference.
        let dark = RgbImage::from_pixel(160, 160, Rgb([16, 32, 48]));
        let light = RgbImage::from_pixel(160, 160, Rgb([31, 47, 63]));
        let [dark, light] = [dark, light].map(|mut face| {
            blur(&mut face, &Rect { left: 0.0, top: 0.0, right: 160.0, bottom: 160.0 });
            face
        });
        assert!(dark == light);
        assert_eq!(colours(&dark), [[24, 40, 56]]);
        // With noise, all that the picture shows is made of the levels of 4 × 4 blocks.
        let mut face = noise(2);
        blur(&mut face, &Rect { left: 0.0, top: 0.0, right: 160.0, bottom: 160.0 });
        for x in [20, 60, 100, 140] {
            for y in [20, 60, 100, 140] {
                assert!(face.get_pixel(x, y).0.iter().all(|c| (96..160).contains(c)));
            }
        }
    }

    #[test]
    fn a_small_face_keeps_fewer_blocks() {
        let mut image = noise(3);
        blur(&mut image, &Rect { left: 70.0, top: 70.0, right: 78.0, bottom: 78.0 });
        let hidden = image::imageops::crop_imm(&image, 68, 68, 12, 12).to_image();
        assert_eq!(colours(&hidden).len(), 1);
    }

    #[test]
    fn all_of_the_face_and_its_margin_is_hidden_and_nothing_else() {
        let before = noise(4);
        let mut after = before.clone();
        blur(&mut after, &FACE);
        let (left, top, width, height) = FACE.grown(MARGIN).pixels(160, 160).unwrap();
        assert!(left < 40 && top < 30 && left + width > 104 && top + height > 110);
        for (x, y, pixel) in after.enumerate_pixels() {
            let inside = (left..left + width).contains(&x) && (top..top + height).contains(&y);
            assert!(inside || pixel == before.get_pixel(x, y), "{x},{y}");
        }
        // Its neighbours in there differ by little: the noise is gone.
        for y in top..top + height {
            for x in left + 1..left + width {
                let (a, b) = (after.get_pixel(x - 1, y).0, after.get_pixel(x, y).0);
                assert!(a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 8), "{x},{y}: {a:?} {b:?}");
            }
        }
    }

    #[test]
    fn boxes_across_and_beyond_the_edges_are_no_panic() {
        for (left, top, right, bottom) in [
            (-50.0, -50.0, 30.0, 20.0),
            (150.0, 150.0, 900.0, 900.0),
            (-9.0, -9.0, -5.0, -5.0),
            (f32::NAN, 0.0, 5.0, 5.0),
        ] {
            blur(&mut noise(5), &Rect { left, top, right, bottom });
        }
        blur(&mut RgbImage::new(0, 0), &FACE);
        blur(&mut RgbImage::new(1, 1), &FACE);
    }
}
