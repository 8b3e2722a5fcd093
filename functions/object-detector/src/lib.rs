//! Finds objects of COCO's 80 classes: `NAME.jpg` in (or PNG, WebP); `NAME.jpg` with boxes and labels, and `NAME.json` with
//! what is where out. Settings are environment variables: `OBJECT_MODEL` (`objects`), the service's CenterNet, and
//! `MIN_SCORE` (0.3), from which score on an object is told.

use std::io::Write as _;

use serde::Serialize;
use vision::decode::centernet;
use vision::fit::{self, Fit};
use vision::rect::Rect;
use vision::tensor::{Format, Layout};
use vision::{draw, faces, labels, picture, settings};
use wicket_sdk::nn::{Model, Tensor};
use wicket_sdk::{Event, Failure, Output, info};

const QUALITY: u8 = 85;
const PIXELS: Format = Format::bytes(Layout::Nhwc);
/// Neighbouring classes get different ones.
const COLOURS: [[u8; 3]; 6] =
    [[230, 80, 40], [60, 170, 220], [90, 190, 60], [200, 80, 200], [240, 190, 40], [120, 120, 240]];

/// What one may ask for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the detector.
    pub model: String,
    /// Of an object, 0 to 1.
    pub min_score: f32,
}

impl Settings {
    /// From the environment.
    pub fn read() -> Result<Self, String> {
        let model = settings::text("OBJECT_MODEL").unwrap_or_else(|| "objects".to_owned());
        Ok(Self { model, min_score: settings::number("MIN_SCORE", 0.05..=0.95, 0.3)? })
    }
}

#[derive(Debug, Serialize)]
struct Frame {
    /// Name of the picture, beside this.
    frame: String,
    /// Seconds from the beginning of the video, where the name tells it.
    time: Option<f64>,
    /// Pixels.
    width: u32,
    /// Pixels.
    height: u32,
    /// The surest first.
    objects: Vec<Object>,
}

#[derive(Debug, Serialize)]
struct Object {
    label: String,
    /// 0 to 1.
    score: f32,
    /// In pixels of the picture.
    rect: Rect,
}

wicket_sdk::function!(|event| object_detector(event, &Settings::read().map_err(Failure::never)?));

/// The function.
pub fn object_detector(mut event: Event, settings: &Settings) -> Result<String, Failure> {
    let object = event.object()?;
    let name = object.name().to_owned();
    let mut image = picture::decode(&object.read_all(picture::MOST_BYTES)?).map_err(Failure::never)?;
    let model = Model::load(&settings.model)?;
    let fitted = fit::fit(&image, centernet::SIDE, centernet::SIDE, Fit::Stretch);
    let input = Tensor::from_f32(&PIXELS.shape(&fitted.image), PIXELS.numbers(&fitted.image))?;
    let output = model.run(&[("images", &input)])?.get("detections")?;
    let found = centernet::objects(&output.f32s()?, settings.min_score).map_err(Failure::never)?;

    let names = labels::names(labels::COCO);
    let mut objects = Vec::with_capacity(found.len());
    for one in found {
        let label = names.get(one.class).copied().unwrap_or("unknown").to_owned();
        let rect = fitted.back(&one.rect).inside(image.width(), image.height());
        objects.push((one.class, Object { label, score: one.score, rect }));
    }
    // The surest is drawn last, on top.
    for (class, object) in objects.iter().rev() {
        let label = format!("{} {:.2}", object.label, object.score);
        draw::labelled(&mut image, &object.rect, &label, COLOURS[class % COLOURS.len()]);
    }
    let said = format!("{name}: {} objects", objects.len());
    let jpg = faces::beside(&name, "jpg");
    write(&jpg, "image/jpeg", &picture::to_jpeg(&image, QUALITY).map_err(Failure::never)?)?;
    let frame = Frame {
        time: faces::time(&name),
        frame: jpg,
        width: image.width(),
        height: image.height(),
        objects: objects.into_iter().map(|(_, object)| object).collect(),
    };
    let json = serde_json::to_vec(&frame).map_err(Failure::never)?;
    write(&faces::beside(&name, "json"), "application/json", &json)?;
    info!("{said}");
    Ok(said)
}

fn write(name: &str, content_type: &str, bytes: &[u8]) -> Result<(), Failure> {
    let mut output = Output::create(name, Some(content_type));
    output.write_all(bytes)?;
    Ok(output.finish()?)
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};
    use serde_json::Value;
    use wicket_sdk::testing;

    use super::*;

    fn run(picture: &[u8]) -> testing::Ran {
        let event = Event::about([wicket_sdk::Object::from_bytes("video", "frames/00002.0s.jpg", picture)]);
        let settings = Settings { model: "objects".to_owned(), min_score: 0.3 };
        testing::run(|event| object_detector(event, &settings), event)
    }

    fn photo() -> Vec<u8> {
        picture::to_jpeg(&RgbImage::from_pixel(1024, 256, Rgb([40; 3])), 90).unwrap()
    }

    /// A model that found these: left, top, right, bottom, score, class; and nothing else.
    fn found(rows: &'static [[f32; 6]]) {
        testing::model("objects", move |inputs| {
            let [("images", input)] = inputs else { panic!("{inputs:?}") };
            assert_eq!(input.shape(), [1, 512, 512, 3]);
            let mut numbers = rows.concat();
            numbers.resize(600, 0.0);
            Ok(vec![("detections".to_owned(), Tensor::from_f32(&[1, 100, 6], numbers)?)])
        });
    }

    #[test]
    fn objects_are_told_in_pixels_of_the_picture() {
        found(&[[256.0, 128.0, 384.0, 512.0, 0.8, 41.0], [0.0, 0.0, 512.0, 512.0, 0.29, 60.0]]);
        let ran = run(&photo());
        assert_eq!(ran.answer(), Ok("00002.0s.jpg: 1 objects".into()));
        let json: Value = serde_json::from_slice(&ran.output("00002.0s.json").unwrap().bytes).unwrap();
        let cup = &json["objects"][0];
        assert_eq!(
            (&cup["label"], &cup["rect"]["left"], &cup["rect"]["top"]),
            (&"cup".into(), &512.0.into(), &64.0.into())
        );
        assert_eq!((&json["time"], &json["width"]), (&2.0.into(), &1024.into()));
        let image = picture::decode(&ran.output("00002.0s.jpg").unwrap().bytes).unwrap();
        assert!(image.get_pixel(512, 160).0.iter().any(|c| *c > 150) && image.get_pixel(640, 160).0[0] < 60);
    }

    #[test]
    fn classes_that_coco_has_not_are_no_panic() {
        found(&[
            [0.0, 0.0, 9.0, 9.0, 0.9, 80.0],
            [0.0, 0.0, 9.0, 9.0, 0.9, -1.0],
            [9.0, 9.0, f32::NAN, 99.0, 0.9, 2.0],
        ]);
        assert_eq!(run(&photo()).answer(), Ok("00002.0s.jpg: 0 objects".into()));
    }

    #[test]
    fn another_model_is_named() {
        testing::model("objects", |_| {
            Ok(vec![("probabilities".to_owned(), Tensor::from_f32(&[1, 2], vec![0.5; 2])?)])
        });
        let why = "model `objects`: not found: it has no output `detections`, but probabilities";
        assert_eq!(run(&photo()).result, Err(Failure::Never(why.into())));
    }
}
