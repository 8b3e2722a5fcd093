//! Pixels to the numbers that a model takes.

use image::RgbImage;

/// Which numbers, in which order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Format {
    /// Planes of one colour each, or pixel by pixel.
    pub layout: Layout,
    /// Blue first.
    pub bgr: bool,
    /// Subtracted from a byte, by colour as the model orders them.
    pub mean: [f32; 3],
    /// What that is divided by.
    pub std: [f32; 3],
}

/// The order of a picture's dimensions; the batch is before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Colours, height, width.
    Nchw,
    /// Height, width, colours.
    Nhwc,
}

impl Format {
    /// Bytes as they are, 0 to 255.
    pub const fn bytes(layout: Layout) -> Self {
        Self { layout, bgr: false, mean: [0.0; 3], std: [1.0; 3] }
    }

    /// From -1 to 1.
    pub const fn signed(layout: Layout) -> Self {
        Self { layout, bgr: false, mean: [127.5; 3], std: [127.5; 3] }
    }

    /// From 0 to 1.
    pub const fn unit(layout: Layout) -> Self {
        Self { layout, bgr: false, mean: [0.0; 3], std: [255.0; 3] }
    }

    /// The shape of one picture, with a batch of 1.
    pub fn shape(&self, image: &RgbImage) -> [u32; 4] {
        match self.layout {
            Layout::Nchw => [1, 3, image.height(), image.width()],
            Layout::Nhwc => [1, image.height(), image.width(), 3],
        }
    }

    /// The numbers of one picture, behind those that are there.
    pub fn append(&self, image: &RgbImage, numbers: &mut Vec<f32>) {
        let colours: [usize; 3] = if self.bgr { [2, 1, 0] } else { [0, 1, 2] };
        let scale = self.std.map(|std| 1.0 / std);
        let (pixels, _) = image.as_chunks::<3>();
        numbers.reserve(pixels.len() * 3);
        match self.layout {
            Layout::Nchw => {
                for (to, from) in colours.into_iter().enumerate() {
                    let (mean, scale) = (self.mean[to], scale[to]);
                    numbers.extend(pixels.iter().map(|pixel| (f32::from(pixel[from]) - mean) * scale));
                }
            }
            Layout::Nhwc => {
                let number =
                    |pixel: &[u8; 3], to: usize| (f32::from(pixel[colours[to]]) - self.mean[to]) * scale[to];
                numbers.extend(pixels.iter().flat_map(|pixel| [0, 1, 2].map(|to| number(pixel, to))));
            }
        }
    }

    /// The numbers of one picture.
    pub fn numbers(&self, image: &RgbImage) -> Vec<f32> {
        let mut numbers = Vec::new();
        self.append(image, &mut numbers);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn numbers_are_where_a_model_looks_for_them() {
        let mut image = RgbImage::new(2, 1);
        image.put_pixel(0, 0, Rgb([0, 51, 255]));
        image.put_pixel(1, 0, Rgb([255, 102, 0]));
        assert_eq!(Format::bytes(Layout::Nchw).numbers(&image), [0.0, 255.0, 51.0, 102.0, 255.0, 0.0]);
        let unit = Format { bgr: true, ..Format::unit(Layout::Nhwc) }.numbers(&image);
        assert!(
            unit.iter().zip([1.0, 0.2, 0.0, 0.0, 0.4, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6),
            "{unit:?}"
        );
        assert_eq!(Format::signed(Layout::Nchw).numbers(&image)[..2], [-1.0, 1.0]);
        // torchvision's normalisation: of blue first, the mean of blue first.
        let mean = [0.485, 0.456, 0.406].map(|mean: f32| mean * 255.0);
        let std = [0.229, 0.224, 0.225].map(|std: f32| std * 255.0);
        let normal = Format { layout: Layout::Nchw, bgr: false, mean, std }.numbers(&image);
        assert!((normal[0] + 2.117_904).abs() < 1e-4 && (normal[4] - 2.64).abs() < 1e-4, "{normal:?}");
        assert_eq!(Format::bytes(Layout::Nhwc).shape(&image), [1, 1, 2, 3]);
    }

    #[test]
    fn pictures_of_a_batch_follow_each_other() {
        let mut numbers = Vec::new();
        for grey in [1, 2] {
            let image = RgbImage::from_pixel(1, 1, Rgb([grey; 3]));
            Format::bytes(Layout::Nchw).append(&image, &mut numbers);
        }
        assert_eq!(numbers, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    }
}
