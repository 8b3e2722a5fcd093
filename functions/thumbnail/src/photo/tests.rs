use std::path::PathBuf;

use image::{Rgba, RgbaImage};

use super::*;

fn options(args: &[&str]) -> Options {
    Options::read(args.iter().map(|arg| (*arg).to_owned()), |_| None).unwrap()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn photo(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn thumbnail(&self, photo: &Path, args: &[&str]) -> Result<DynamicImage, String> {
        let options = options(args);
        let out = self.0.path().join("out");
        std::fs::create_dir_all(&out).unwrap();
        thumbnail(photo, &out, &options)?;
        let made = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
        assert_eq!(made.extension().unwrap(), options.extension());
        Ok(image::open(made).unwrap())
    }
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Left half red, right half blue.
fn halves(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) })
        .into()
}

/// A JPEG that says how it has to be turned.
fn turned(image: &DynamicImage, orientation: u8) -> Vec<u8> {
    let jpeg = encoded(image, ImageFormat::Jpeg);
    let mut tiff = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    tiff.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe1];
    bytes.extend((tiff.len() as u16 + 2).to_be_bytes());
    bytes.extend(tiff);
    bytes.extend(&jpeg[2..]);
    bytes
}

#[test]
fn a_thumbnail_fits_the_box_and_keeps_the_shape() {
    let size = |w, h, fit| {
        let s = target(Size { width: w, height: h }, Size { width: 320, height: 240 }, fit);
        (s.width, s.height)
    };
    assert_eq!(size(6400, 2400, Fit::Contain), (320, 120));
    assert_eq!(size(1000, 3000, Fit::Contain), (80, 240));
    assert_eq!(size(30_000, 1, Fit::Contain), (320, 1));
    assert_eq!(size(100, 50, Fit::Contain), (100, 50));
    assert_eq!(size(6400, 2400, Fit::Cover), (320, 240));
    assert_eq!(size(100, 5000, Fit::Cover), (100, 240));
}

#[test]
fn all_formats_come_in_and_go_out() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        for out in ["jpg", "png", "webp"] {
            let folder = Folder::new();
            // The extension is not believed.
            let photo = folder.photo("photo.v1.dat", &encoded(&halves(800, 600), format));
            let small = folder.thumbnail(&photo, &["--size", "160x160", "--format", out]).unwrap();
            assert_eq!((small.width(), small.height()), (160, 120));
            let left = small.to_rgb8().get_pixel(20, 60).0;
            assert!(left[0] > 200 && left[2] < 50, "{format:?} → {out}: {left:?}");
        }
    }
}

#[test]
fn the_camera_was_held_upright() {
    let folder = Folder::new();
    // 6: to be turned clockwise, so that left becomes top.
    let photo = folder.photo("a.jpg", &turned(&halves(400, 200), 6));
    let small = folder.thumbnail(&photo, &["--size", "100x300"]).unwrap().to_rgb8();
    assert_eq!((small.width(), small.height()), (100, 200));
    assert!(small.get_pixel(50, 20).0[0] > 200 && small.get_pixel(50, 180).0[2] > 200);
}

#[test]
fn transparency_becomes_white() {
    let folder = Folder::new();
    let clear = DynamicImage::from(RgbaImage::from_pixel(50, 50, Rgba([0, 0, 0, 0])));
    let photo = folder.photo("a.png", &encoded(&clear, ImageFormat::Png));
    let small = folder.thumbnail(&photo, &[]).unwrap().to_rgb8();
    assert!(small.get_pixel(25, 25).0.iter().all(|c| *c > 250));
}

#[test]
fn a_bomb_is_refused_before_it_is_decoded() {
    let folder = Folder::new();
    let mut bomb = encoded(&halves(10, 10), ImageFormat::Png);
    // The header says 30,000 × 30,000; its checksum is made right.
    bomb[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    let mut crc = u32::MAX;
    for byte in &bomb[12..29] {
        crc ^= u32::from(*byte);
        (0..8).for_each(|_| crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 });
    }
    bomb[29..33].copy_from_slice(&(!crc).to_be_bytes());
    let error = folder.thumbnail(&folder.photo("bomb.png", &bomb), &[]).unwrap_err();
    assert!(error.contains("30000x30000") || error.contains("limit"), "{error}");
}

#[test]
fn what_is_no_photograph_is_refused_with_a_reason() {
    let folder = Folder::new();
    let whole = encoded(&halves(400, 400), ImageFormat::Png);
    for (bytes, reason) in [
        (&b"Hello"[..], "no JPEG"),
        (b"", "no JPEG"),
        (b"GIF89a.......", "no JPEG"),
        (&whole[..200], "cannot decode"),
    ] {
        let error = folder.thumbnail(&folder.photo("a.jpg", bytes), &[]).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
    assert!(folder.thumbnail(&folder.photo("b.jpg", &[0xff, 0xd8, 0xff, 0xe0, 1]), &[]).is_err());
}
