//! Blurs the faces of a picture: `NAME.jpg` in (or PNG, WebP); `NAME.jpg` with its faces blurred irrecoverably, and
//! `NAME.json` that tells where they were ([`vision::faces::Faces`]) out. Nothing else of the picture leaves.
//!
//! Whether a mask is worn has to be told from a face that is not blurred (on the 128 faces of the sample video the
//! classifier is right on 126, and on 88 when they are blurred), so that this stage tells it as well, where the service
//! names a model for it. Settings are environment variables:
//!
//! | variable | default | |
//! |---|---|---|
//! | `FACE_MODEL` | `faces` | the service's CenterFace |
//! | `MASK_MODEL` | none | the service's mask classifier; without it nobody is asked for one |
//! | `MIN_SCORE` | 0.3 | a face is blurred from this score on: rather one too many than one too few |
//! | `DETECT_SIDE` | 640 | pixels of the longer side in which faces are looked for |

mod mask;

use std::io::Write as _;

use image::RgbImage;
use vision::decode::centerface;
use vision::faces::{Face, Faces};
use vision::fit::{self, Fit};
use vision::rect::Found;
use vision::tensor::{Format, Layout};
use vision::{blur, faces, picture, settings};
use wicket_sdk::nn::{Model, Tensor};
use wicket_sdk::{Event, Failure, Output, info};

const QUALITY: u8 = 88;
const PIXELS: Format = Format::bytes(Layout::Nchw);

/// What one may ask for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the face detector.
    pub face_model: String,
    /// Name of the mask classifier.
    pub mask_model: Option<String>,
    /// Of a face, 0 to 1.
    pub min_score: f32,
    /// Pixels.
    pub detect_side: u32,
}

impl Settings {
    /// From the environment.
    pub fn read() -> Result<Self, String> {
        Ok(Self {
            face_model: settings::text("FACE_MODEL").unwrap_or_else(|| "faces".to_owned()),
            mask_model: settings::text("MASK_MODEL"),
            min_score: settings::number("MIN_SCORE", 0.05..=0.95, 0.3)?,
            detect_side: settings::number("DETECT_SIDE", 64..=2048, 640)?,
        })
    }
}

wicket_sdk::function!(|event| blur_faces(event, &Settings::read().map_err(Failure::never)?));

/// The function.
pub fn blur_faces(mut event: Event, settings: &Settings) -> Result<String, Failure> {
    let object = event.object()?;
    let name = object.name().to_owned();
    let mut image = picture::decode(&object.read_all(picture::MOST_BYTES)?).map_err(Failure::never)?;
    let found = find(&image, settings)?;
    let masks = match &settings.mask_model {
        Some(model) => mask::classify(&Model::load(model)?, &image, &found)?,
        None => vec![None; found.len()],
    };
    let faces: Vec<Face> =
        found.iter().zip(masks).map(|(one, mask)| Face { rect: one.rect, score: one.score, mask }).collect();
    for face in &faces {
        blur::blur(&mut image, &face.rect);
    }
    let said = format!("{name}: {} faces", faces.len());
    let jpg = faces::beside(&name, "jpg");
    let about = Faces {
        time: faces::time(&name),
        frame: jpg.clone(),
        width: image.width(),
        height: image.height(),
        faces,
    };
    write(&jpg, "image/jpeg", &picture::to_jpeg(&image, QUALITY).map_err(Failure::never)?)?;
    let json = serde_json::to_vec(&about).map_err(Failure::never)?;
    write(&faces::beside(&name, "json"), "application/json", &json)?;
    info!("{said}");
    Ok(said)
}

/// The faces of a picture, in its pixels.
fn find(image: &RgbImage, settings: &Settings) -> Result<Vec<Found>, Failure> {
    let model = Model::load(&settings.face_model)?;
    let (width, height) = input_size(image, settings.detect_side);
    let fitted = fit::fit(image, width, height, Fit::Stretch);
    let input = Tensor::from_f32(&PIXELS.shape(&fitted.image), PIXELS.numbers(&fitted.image))?;
    let outputs = model.run(&[("input", &input)])?;
    let (heat, scale, offset) = (outputs.get("heat")?, outputs.get("scale")?, outputs.get("offset")?);
    let outputs = centerface::Outputs { heat: &heat.f32s()?, scale: &scale.f32s()?, offset: &offset.f32s()? };
    let mut found =
        centerface::faces(outputs, (width, height), settings.min_score).map_err(Failure::never)?;
    for one in &mut found {
        one.rect = fitted.back(&one.rect).inside(image.width(), image.height());
    }
    Ok(found)
}

/// What the detector gets: multiples of its step, no larger than the picture needs, so that the frames of a video are of
/// one size and can share a batch.
fn input_size(image: &RgbImage, most: u32) -> (u32, u32) {
    let longest = image.width().max(image.height()).max(1);
    let scaled = |side: u32| u64::from(side) * u64::from(most.min(longest)) / u64::from(longest);
    let step = |side: u32| (scaled(side) as u32).div_ceil(centerface::STEP).max(1) * centerface::STEP;
    (step(image.width()), step(image.height()))
}

fn write(name: &str, content_type: &str, bytes: &[u8]) -> Result<(), Failure> {
    let mut output = Output::create(name, Some(content_type));
    output.write_all(bytes)?;
    Ok(output.finish()?)
}

#[cfg(test)]
mod tests;
