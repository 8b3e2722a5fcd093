//! Tells whether a camera's pictures look like fire. One picture in, or several of one camera that came close together (a
//! joined event); `<last picture>.json` with what was seen in each out, and, where fire is suspected,
//! `<last picture>.alert.json`: a CloudEvent, which is also posted to `ALERT_URL` where that is set and granted.
//!
//! This is a smoke detector's helper, not a smoke detector: an orange lamp has the colours of fire, one that is carried
//! past flickers, and the public model (`FIRE_MODEL`) takes a cup of coffee for a fire. So all that is there has to
//! agree: the colours, the change since the picture before, and the model where the service has one. A picture that
//! nothing comes before is suspected, but makes no alert by itself: of 27 photographs without a fire, 8 would have.
//!
//! The picture before is the one before it in the event, or, where the bucket is granted (`grants.read_buckets`), in its
//! folder. Settings are environment variables: `FIRE_MODEL` (none), `MIN_COLOUR` (0.02: the share of a picture that has
//! fire's colours), `MIN_FLICKER` (0.1: the share of those pixels that changed), `MIN_MODEL` (0.5), `ALERT_ALONE` (none;
//! `yes` lets a picture without one before it make an alert), `ALERT_URL` (none).

mod alert;
mod before;
mod colour;

use std::io::Write as _;

use serde::Serialize;
use vision::fit::{self, Fit};
use vision::tensor::{Format, Layout};
use vision::{faces, picture, settings};
use wicket_sdk::nn::{Model, Tensor};
use wicket_sdk::{Event, Failure, Output, info, warn};

use crate::colour::Fiery;

/// Pictures of one event.
const MOST_PICTURES: usize = 100;
/// Sides of what the model takes, and of what colours are counted in.
const SIDE: u32 = 224;
const PIXELS: Format = Format::unit(Layout::Nchw);

/// What one may ask for.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "said above")]
pub struct Settings {
    pub fire_model: Option<String>,
    pub min_colour: f32,
    pub min_flicker: f32,
    pub min_model: f32,
    pub alert_alone: bool,
    pub alert_url: Option<String>,
}

impl Settings {
    /// From the environment.
    pub fn read() -> Result<Self, String> {
        Ok(Self {
            fire_model: settings::text("FIRE_MODEL"),
            min_colour: settings::number("MIN_COLOUR", 0.0..=1.0, 0.02)?,
            min_flicker: settings::number("MIN_FLICKER", 0.0..=1.0, 0.1)?,
            min_model: settings::number("MIN_MODEL", 0.0..=1.0, 0.5)?,
            alert_alone: match settings::text("ALERT_ALONE").as_deref() {
                None | Some("no") => false,
                Some("yes") => true,
                Some(other) => return Err(format!("ALERT_ALONE `{other}`: yes or no")),
            },
            alert_url: settings::text("ALERT_URL"),
        })
    }

    fn suspects(&self, seen: &Seen) -> bool {
        seen.error.is_none()
            && seen.colour >= self.min_colour
            && seen.flicker.is_none_or(|flicker| flicker >= self.min_flicker)
            && seen.model.is_none_or(|model| model >= self.min_model)
    }
}

/// What was seen in one picture.
#[derive(Clone, Debug, Default, Serialize)]
struct Seen {
    key: String,
    /// The share of its pixels that have fire's colours, 0 to 1.
    colour: f32,
    /// The share of those that changed since the picture before; none without one, or where neither has any.
    flicker: Option<f32>,
    /// What the model says, 0 to 1; none where there is no model, or no colour that it could be asked about.
    model: Option<f32>,
    /// Whether all of these agree.
    suspected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Judgement<'a> {
    /// The folder of the pictures.
    camera: &'a str,
    /// Whether there is an alert about one of them.
    alert: bool,
    pictures: &'a [Seen],
}

wicket_sdk::function!(|event| fire_detector(event, &Settings::read().map_err(Failure::never)?));

/// The function.
pub fn fire_detector(event: Event, settings: &Settings) -> Result<String, Failure> {
    let Event { mut objects, attempt, time, .. } = event;
    objects.sort_by(|a, b| a.key().cmp(b.key()));
    let Some(last) = objects.last() else {
        return Err(Failure::never("fire is looked for in pictures, and this event has none"));
    };
    if objects.len() > MOST_PICTURES {
        return Err(Failure::never(format!("{} pictures are more than {MOST_PICTURES}", objects.len())));
    }
    let (name, camera, bucket) = (last.name().to_owned(), last.folder().to_owned(), last.bucket().to_owned());
    let model = settings.fire_model.as_deref().map(Model::load).transpose()?;
    let mut before: Option<Fiery> = None;
    let mut pictures = Vec::with_capacity(objects.len());
    // One picture is in memory at a time.
    for mut object in objects {
        let mut seen = Seen { key: object.key().to_owned(), ..Seen::default() };
        let bytes = object.read_all(picture::MOST_BYTES)?;
        match picture::decode(&bytes) {
            Ok(image) => {
                let small = fit::fit(&image, SIDE, SIDE, Fit::Stretch).image;
                let fiery = Fiery::of(&small);
                seen.colour = fiery.share();
                // The first of an event has one before it in its folder. It is looked for where it matters.
                if before.is_none() && seen.colour >= settings.min_colour {
                    before = before::in_folder(object.bucket(), object.folder(), object.key());
                }
                seen.flicker = before.as_ref().and_then(|before| fiery.flicker(before));
                // Where nothing has the colour, its answer would change nothing.
                if let Some(model) = model.as_ref().filter(|_| seen.colour >= settings.min_colour) {
                    seen.model = Some(ask(model, PIXELS.numbers(&small))?);
                }
                before = Some(fiery);
            }
            // A camera that once sends half a picture should not silence the others.
            Err(error) => {
                warn!("{}: {error}", seen.key);
                seen.error = Some(error.to_string());
            }
        }
        seen.suspected = settings.suspects(&seen);
        pictures.push(seen);
    }
    if let [Seen { error: Some(error), .. }] = &pictures[..] {
        return Err(Failure::never(error));
    }
    let alarms = |seen: &&Seen| seen.suspected && (seen.flicker.is_some() || settings.alert_alone);
    let suspect = pictures.iter().filter(alarms).max_by(|a, b| a.colour.total_cmp(&b.colour));
    let judgement = Judgement { camera: &camera, alert: suspect.is_some(), pictures: &pictures };
    let json = serde_json::to_vec(&judgement).map_err(Failure::never)?;
    write(&faces::beside(&name, "json"), &json)?;
    let said = match suspect {
        Some(seen) => {
            let alert = alert::event(&attempt.invocation, &time, &bucket, &camera, seen)?;
            write(&faces::beside(&name, "alert.json"), &alert)?;
            if let Some(url) = &settings.alert_url {
                alert::post(url, &alert)?;
            }
            format!("{camera}: fire suspected in {}", seen.key)
        }
        None => {
            let suspected = pictures.iter().filter(|seen| seen.suspected).count();
            format!("{camera}: no alert, {suspected} of {} pictures suspected", pictures.len())
        }
    };
    info!("{said}");
    Ok(said)
}

/// What the model says of a picture: how likely fire is.
fn ask(model: &Model, numbers: Vec<f32>) -> Result<f32, Failure> {
    let input = Tensor::from_f32(&[1, 3, SIDE, SIDE], numbers)?;
    let output = model.run(&[("input", &input)])?.get("probabilities")?;
    match output.f32s()?[..] {
        [fire, _none] => Ok(fire),
        ref other => Err(Failure::never(format!(
            "model `{}` answers with {} numbers, not 2",
            model.name(),
            other.len()
        ))),
    }
}

fn write(name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let mut output = Output::create(name, Some("application/json"));
    output.write_all(bytes)?;
    Ok(output.finish()?)
}

#[cfg(test)]
mod tests;
