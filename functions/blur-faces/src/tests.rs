use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb};
use wicket_sdk::nn::{Code, Error};
use wicket_sdk::{Object, testing};

use super::*;

fn settings(mask_model: Option<&str>) -> Settings {
    let (face_model, mask_model) = ("faces".to_owned(), mask_model.map(str::to_owned));
    Settings { face_model, mask_model, min_score: 0.3, detect_side: 640 }
}

/// A picture of stripes that no blur leaves.
fn stripes(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(
        width,
        height,
        |x, y| if (x / 4 + y / 4) % 2 == 0 { Rgb([250; 3]) } else { Rgb([5; 3]) },
    )
}

fn png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(image.clone()).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A detector that sees one face, at the cell (column, row) of its input, so many pixels wide and high.
fn one_face((column, row): (usize, usize), size: f32) {
    testing::model("faces", move |inputs| {
        let [("input", input)] = inputs else { panic!("{inputs:?}") };
        let [1, 3, height, width] = *input.shape() else { panic!("{:?}", input.shape()) };
        assert!(width % 32 == 0 && height % 32 == 0);
        let cells = (width / 4 * height / 4) as usize;
        let (mut heat, mut scale) = (vec![0.0; cells], vec![0.0; 2 * cells]);
        let at = row * (width / 4) as usize + column;
        heat[at] = 0.9;
        scale[at] = (size / 4.0).ln();
        scale[cells + at] = (size / 4.0).ln();
        let plane = |planes: u32| [1, planes, height / 4, width / 4];
        Ok(vec![
            ("heat".to_owned(), Tensor::from_f32(&plane(1), heat)?),
            ("scale".to_owned(), Tensor::from_f32(&plane(2), scale)?),
            ("offset".to_owned(), Tensor::from_f32(&plane(2), vec![0.0; 2 * cells])?),
        ])
    });
}

fn run(picture: &[u8], mask_model: Option<&str>) -> testing::Ran {
    let event = Event::about([Object::from_bytes("video", "frames/a.avi/00004.5s.png", picture)]);
    testing::run(|event| blur_faces(event, &settings(mask_model)), event)
}

/// How much neighbours differ in a part of a picture, on average.
fn contrast(image: &RgbImage, (left, top): (u32, u32), side: u32) -> u32 {
    let differences = (top..top + side).flat_map(|y| (left..left + side).map(move |x| (x, y)));
    let sum: u32 = differences
        .map(|(x, y)| u32::from(image.get_pixel(x, y).0[0].abs_diff(image.get_pixel(x + 4, y).0[0])))
        .sum();
    sum / (side * side)
}

#[test]
fn a_face_leaves_blurred_with_its_place_and_its_mask() {
    // The picture is twice as large as what the detector gets.
    one_face((40, 30), 80.0);
    testing::model("masks", |inputs| {
        let [("input", input)] = inputs else { panic!("{inputs:?}") };
        assert_eq!(input.shape(), [1, 3, 128, 128]);
        // It sees the face as it is: black and white.
        let numbers = input.f32s()?;
        assert!(numbers.iter().any(|n| *n > 0.9) && numbers.iter().any(|n| *n < -0.9));
        Ok(vec![("probabilities".to_owned(), Tensor::from_f32(&[1, 2], vec![0.97, 0.03])?)])
    });
    let ran = run(&png(&stripes(1280, 960)), Some("masks"));
    assert_eq!(ran.answer(), Ok("00004.5s.png: 1 faces".into()));
    assert_eq!(ran.outputs.len(), 2, "nothing else leaves");
    let about: Faces = serde_json::from_slice(&ran.output("00004.5s.json").unwrap().bytes).unwrap();
    assert_eq!((about.frame.as_str(), about.time), ("00004.5s.jpg", Some(4.5)));
    let face = &about.faces[0];
    // The centre of cell 40, 30 is at 162, 122 of the detector's picture.
    assert!((face.rect.left - 244.0).abs() < 0.1 && (face.rect.bottom - 324.0).abs() < 0.1, "{face:?}");
    assert_eq!(face.mask.map(|mask| mask.worn), Some(true));
    let blurred = picture::decode(&ran.output("00004.5s.jpg").unwrap().bytes).unwrap();
    assert!(contrast(&blurred, (244, 164), 150) < 4);
    assert!(contrast(&blurred, (800, 600), 150) > 100);
}

#[test]
fn without_a_mask_model_only_places_are_told() {
    one_face((10, 10), 40.0);
    let ran = run(&png(&stripes(320, 240)), None);
    let json = String::from_utf8(ran.output("00004.5s.json").unwrap().bytes.clone()).unwrap();
    assert!(!json.contains("mask"), "{json}");
}

#[test]
fn when_the_detector_fails_no_picture_leaves() {
    testing::model("faces", |_| Err(Error::new(Code::RuntimeError, "faces", "out of memory")));
    let ran = run(&png(&stripes(64, 64)), None);
    assert_eq!(ran.result, Err(Failure::Again("model `faces`: runtime error: out of memory".into())));
    assert!(ran.outputs.is_empty());
    // And when the service has no such model, it is said at once.
    let event = Event::about([Object::from_bytes("video", "a.png", png(&stripes(64, 64)))]);
    let other = Settings { face_model: "people".to_owned(), ..settings(None) };
    let ran = testing::run(|event| blur_faces(event, &other), event);
    let why = "model `people`: not found: the service has no model of this name";
    assert_eq!(ran.result, Err(Failure::Never(why.into())));
}

#[test]
fn another_model_than_a_face_detector_is_named() {
    testing::model("faces", |_| {
        let few = || Tensor::from_f32(&[1, 4], vec![0.0; 4]);
        Ok(vec![("heat".to_owned(), few()?), ("scale".to_owned(), few()?), ("offset".to_owned(), few()?)])
    });
    let ran = run(&png(&stripes(64, 64)), None);
    let Err(Failure::Never(why)) = ran.result else { panic!("{:?}", ran.result) };
    assert!(why.contains("`heat` has 4 numbers, not 256"), "{why}");
}

#[test]
fn what_is_no_picture_is_never_tried_again() {
    for (bytes, said) in [(&b""[..], "the picture is empty"), (b"#!/bin/sh", "it is no JPEG, PNG or WebP")] {
        assert_eq!(run(bytes, None).result, Err(Failure::Never(said.into())));
    }
}

#[test]
fn the_detectors_picture_is_in_steps_and_within_its_side() {
    let size = |width, height| input_size(&RgbImage::new(width, height), 640);
    assert_eq!(size(768, 576), (640, 480));
    assert_eq!(size(100, 33), (128, 64));
    assert_eq!(size(12_000, 1), (640, 32));
}
