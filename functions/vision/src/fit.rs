//! A picture made the size that a model takes, and boxes brought back.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{Rgb, RgbImage, imageops};

use crate::rect::Rect;

/// How a picture gets into the size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fit {
    /// Each side by itself.
    Stretch,
    /// All of it, with this grey beside it.
    Letterbox { grey: u8 },
    /// A share (0 to 1) of its middle, as wide as the size.
    Middle { share: f64 },
}

/// A picture in its size, and the way back.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The picture.
    pub image: RgbImage,
    scale: (f32, f32),
    shift: (f32, f32),
}

impl Fitted {
    /// A box of this picture, in the one that it was made of.
    #[must_use]
    pub fn back(&self, rect: &Rect) -> Rect {
        let x = |x: f32| (x - self.shift.0) * self.scale.0;
        let y = |y: f32| (y - self.shift.1) * self.scale.1;
        Rect { left: x(rect.left), top: y(rect.top), right: x(rect.right), bottom: y(rect.bottom) }
    }
}

/// Makes a picture `width` by `height`; sides of 0 count as 1.
pub fn fit(image: &RgbImage, width: u32, height: u32, how: Fit) -> Fitted {
    let (width, height) = (width.max(1), height.max(1));
    let (from_w, from_h) = (f64::from(image.width().max(1)), f64::from(image.height().max(1)));
    let (to_w, to_h) = (f64::from(width), f64::from(height));
    match how {
        Fit::Stretch => {
            let scale = ((from_w / to_w) as f32, (from_h / to_h) as f32);
            Fitted { image: resized(image, None, width, height), scale, shift: (0.0, 0.0) }
        }
        Fit::Letterbox { grey } => {
            let scale = (from_w / to_w).max(from_h / to_h);
            let small_w = ((from_w / scale).round() as u32).clamp(1, width);
            let small_h = ((from_h / scale).round() as u32).clamp(1, height);
            let small = resized(image, None, small_w, small_h);
            let (left, top) = ((width - small_w) / 2, (height - small_h) / 2);
            let mut whole = RgbImage::from_pixel(width, height, Rgb([grey; 3]));
            imageops::replace(&mut whole, &small, i64::from(left), i64::from(top));
            let scale = ((from_w / f64::from(small_w)) as f32, (from_h / f64::from(small_h)) as f32);
            Fitted { image: whole, scale, shift: (left as f32, top as f32) }
        }
        Fit::Middle { share } => {
            let scale = (from_w / to_w).min(from_h / to_h) * share.clamp(0.01, 1.0);
            let (crop_w, crop_h) = (to_w * scale, to_h * scale);
            let (left, top) = ((from_w - crop_w) / 2.0, (from_h - crop_h) / 2.0);
            let image = resized(image, Some((left, top, crop_w, crop_h)), width, height);
            let shift = ((-left / scale) as f32, (-top / scale) as f32);
            Fitted { image, scale: (scale as f32, scale as f32), shift }
        }
    }
}

/// The part of a picture inside a box, made `width` by `height`; none when there is nothing in it.
pub fn cut(image: &RgbImage, rect: &Rect, width: u32, height: u32) -> Option<RgbImage> {
    let (left, top, wide, high) = rect.pixels(image.width(), image.height())?;
    let part = (f64::from(left), f64::from(top), f64::from(wide), f64::from(high));
    Some(resized(image, Some(part), width.max(1), height.max(1)))
}

fn resized(image: &RgbImage, part: Option<(f64, f64, f64, f64)>, width: u32, height: u32) -> RgbImage {
    let mut small = RgbImage::new(width, height);
    // Bilinear with support, as Pillow has it: a pixel of the small picture is made of all that it covers.
    let mut how = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    if let Some((left, top, width, height)) = part {
        how = how.crop(left, top, width, height);
    }
    let from = ImageRef::new(image.width(), image.height(), image, PixelType::U8x3);
    let into = Image::from_slice_u8(width, height, &mut small, PixelType::U8x3);
    // Both buffers are as long as their sizes say, and a part is inside its picture: what is left is an empty picture.
    if let (Ok(from), Ok(mut into)) = (from, into) {
        let _nothing_to_see = Resizer::new().resize(&from, &mut into, &how);
    }
    small
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red grows to the right, green downwards.
    fn ramp(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x * 255 / (width - 1)) as u8, (y * 255 / (height - 1)) as u8, 7])
        })
    }

    #[test]
    fn boxes_come_back_to_where_they_were() {
        let picture = ramp(640, 360);
        let there = Rect { left: 200.0, top: 90.0, right: 440.0, bottom: 270.0 };
        for (how, seen) in [
            (Fit::Stretch, Rect { left: 100.0, top: 80.0, right: 220.0, bottom: 240.0 }),
            (Fit::Letterbox { grey: 114 }, Rect { left: 100.0, top: 115.0, right: 220.0, bottom: 205.0 }),
        ] {
            let fitted = fit(&picture, 320, 320, how);
            assert_eq!(fitted.image.dimensions(), (320, 320));
            let back = fitted.back(&seen);
            assert!(
                (back.left - there.left).abs() < 0.01 && (back.bottom - there.bottom).abs() < 0.01,
                "{back:?}"
            );
        }
    }

    #[test]
    fn a_letterbox_shows_all_and_a_middle_its_share() {
        let picture = ramp(640, 360);
        let boxed = fit(&picture, 320, 320, Fit::Letterbox { grey: 114 });
        assert_eq!(boxed.image.get_pixel(0, 0).0, [114; 3]);
        assert_eq!(boxed.image.get_pixel(319, 160).0[2], 7);
        assert!(boxed.image.get_pixel(319, 160).0[0] > 250);
        // 7/8 of the height of 360 is a square of 315, from 162.5 to 477.5 across.
        let middle = fit(&picture, 224, 224, Fit::Middle { share: 0.875 });
        let red = |x: f64| (x * 255.0 / 639.0) as i32;
        assert!((i32::from(middle.image.get_pixel(0, 112).0[0]) - red(163.0)).abs() <= 1);
        assert!((i32::from(middle.image.get_pixel(223, 112).0[0]) - red(477.0)).abs() <= 1);
        let corner = middle.back(&Rect { left: 0.0, top: 0.0, right: 224.0, bottom: 224.0 });
        assert!((corner.left - 162.5).abs() < 0.01 && (corner.bottom - 337.5).abs() < 0.01, "{corner:?}");
    }

    #[test]
    fn sizes_without_pixels_are_no_panic() {
        for (width, height) in [(1, 1), (0, 0), (1, 5_000)] {
            for how in [Fit::Stretch, Fit::Letterbox { grey: 0 }, Fit::Middle { share: 0.5 }] {
                assert_eq!(fit(&RgbImage::new(width, height), 8, 8, how).image.dimensions(), (8, 8));
            }
        }
        let nowhere = Rect { left: -9.0, top: -9.0, right: -1.0, bottom: -1.0 };
        assert!(cut(&RgbImage::new(4, 4), &nowhere, 8, 8).is_none());
    }
}
