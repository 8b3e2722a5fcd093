//! Whoever uploads a picture chooses its bytes.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use vision::picture::{Refused, decode, to_jpeg};

fn encoded(image: RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(image).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG of that size as its header has it, and no pixels.
fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let body = [&kind[..], data].concat();
        let mut crc = !0_u32;
        for byte in &body {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            }
        }
        [&(data.len() as u32).to_be_bytes()[..], &body, &(!crc).to_be_bytes()].concat()
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    bytes.extend(chunk(b"IHDR", &header));
    bytes.extend(chunk(b"IDAT", &[0x78, 0x9c, 0x63, 0, 0, 0, 1, 0, 1]));
    bytes.extend(chunk(b"IEND", &[]));
    bytes
}

#[test]
fn a_bomb_is_refused_by_its_size_before_it_is_decoded() {
    let refused = decode(&png_that_claims(20_000, 20_000)).unwrap_err();
    assert_eq!(refused, Refused::TooLarge { width: 20_000, height: 20_000 });
    assert_eq!(refused.to_string(), "20000x20000 pixels are more than 12582912");
    assert!(decode(&png_that_claims(u32::MAX >> 1, u32::MAX >> 1)).is_err());
    assert!(decode(&png_that_claims(0, 7)).is_err());
}

#[test]
fn what_is_no_picture_is_named() {
    assert_eq!(decode(b"").unwrap_err(), Refused::Empty);
    for bytes in [&b"#!/bin/sh\nexit 1\n"[..], b"GIF89a", b"RIFF\0\0\0\0AVI LIST", &[0; 4096]] {
        assert_eq!(decode(bytes).unwrap_err(), Refused::Unknown, "{bytes:?}");
    }
}

#[test]
fn a_damaged_picture_is_an_error_wherever_it_ends() {
    let image = RgbImage::from_fn(64, 48, |x, y| Rgb([x as u8 * 3, y as u8 * 5, 99]));
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let whole = encoded(image.clone(), format);
        assert_eq!(decode(&whole).unwrap().dimensions(), (64, 48));
        for length in (1..whole.len()).step_by(7) {
            // One that lacks a few bytes of its end may still show something: what matters is that there is an answer.
            let cut = decode(&whole[..length]);
            assert!(
                cut.is_err() || format == ImageFormat::Jpeg || length > whole.len() / 2,
                "{format:?}, {length} bytes"
            );
            let mut changed = whole.clone();
            changed[length] ^= 0x55;
            let _an_answer = decode(&changed);
        }
    }
}

#[test]
fn a_picture_is_turned_upright() {
    // Red on the left; EXIF says: turn it by 90 degrees.
    let image = RgbImage::from_fn(32, 16, |x, _| if x < 16 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) });
    let plain = encoded(image, ImageFormat::Jpeg);
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let turned = [&plain[..2], &[0xff, 0xe1], &length, exif, &plain[2..]].concat();
    let upright = decode(&turned).unwrap();
    assert_eq!(upright.dimensions(), (16, 32));
    assert!(upright.get_pixel(8, 2).0[0] > 200 && upright.get_pixel(8, 29).0[2] > 200);
    // Nothing of the file but pixels comes out again.
    let again = to_jpeg(&upright, 90).unwrap();
    assert!(!again.windows(4).any(|bytes| bytes == b"Exif"));
}
