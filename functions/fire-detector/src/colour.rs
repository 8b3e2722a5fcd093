//! Fire's colours, by two rules of the literature that have to agree. Çelik and Demirel, "Fire detection in video
//! sequences using a generic color model" (Fire Safety Journal 44, 2009), in YCbCr: a flame is lighter and redder than its
//! surroundings, and far from blue (their fourth rule, a polynomial of the CbCr plane, is left out). Chen, Wu and Chiou,
//! "An early fire-detection method based on image processing" (ICIP 2004), in RGB: a flame is bright in red, with less
//! green and least blue, and the less bright, the more saturated.

use image::RgbImage;

/// Red over blue, at least (τ in the paper).
const RED_OVER_BLUE: f32 = 40.0;
/// The least red (R_T), and the saturation at that red (S_T).
const RED: f32 = 190.0;
const SATURATION: f32 = 0.55;
/// By how much the light of a flame changes between two pictures, of 255.
const FLICKERS: f32 = 24.0;

/// Which pixels of a picture could be fire, and how light they are.
#[derive(Clone, Debug)]
pub(crate) struct Fiery {
    /// Of each pixel.
    is_fiery: Vec<bool>,
    light: Vec<f32>,
}

impl Fiery {
    /// Of a small picture.
    pub(crate) fn of(image: &RgbImage) -> Self {
        let pixels: Vec<[f32; 3]> = image.pixels().map(|pixel| ycbcr(pixel.0)).collect();
        let count = pixels.len().max(1) as f32;
        let mean = [0, 1, 2].map(|c| pixels.iter().map(|pixel| pixel[c]).sum::<f32>() / count);
        let stands_out = |&[y, cb, cr]: &[f32; 3]| {
            y > cb && cr > cb && y > mean[0] && cb < mean[1] && cr > mean[2] && cr - cb >= RED_OVER_BLUE
        };
        let both = image.pixels().zip(&pixels);
        Self {
            is_fiery: both.map(|(pixel, ycbcr)| burns(pixel.0) && stands_out(ycbcr)).collect(),
            light: pixels.iter().map(|pixel| pixel[0]).collect(),
        }
    }

    /// The share of pixels that could be fire, 0 to 1.
    pub(crate) fn share(&self) -> f32 {
        let fiery = self.is_fiery.iter().filter(|is| **is).count();
        fiery as f32 / self.is_fiery.len().max(1) as f32
    }

    /// Of the pixels that could be fire now or before, the share whose light changed; none where there are none. Both
    /// pictures are of one size.
    pub(crate) fn flicker(&self, before: &Self) -> Option<f32> {
        let (mut fiery, mut changed) = (0_u32, 0_u32);
        let now = self.is_fiery.iter().zip(&self.light);
        for ((is, light), (was, old)) in now.zip(before.is_fiery.iter().zip(&before.light)) {
            if *is || *was {
                fiery += 1;
                changed += u32::from((light - old).abs() >= FLICKERS);
            }
        }
        (fiery > 0).then(|| changed as f32 / fiery as f32)
    }
}

/// Chen's rule.
fn burns(pixel: [u8; 3]) -> bool {
    let [r, g, b] = pixel.map(f32::from);
    let saturation = (r - g.min(b)) / r.max(1.0);
    r >= RED && r >= g && g > b && saturation >= (255.0 - r) * SATURATION / RED
}

/// ITU-R BT.601, full range.
fn ycbcr(pixel: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = pixel.map(f32::from);
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    [y, 128.0 + (b - y) * 0.564, 128.0 + (r - y) * 0.713]
}
