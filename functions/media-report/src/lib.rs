//! Joins what `object-detector` says of the frames of one video and what `speech` says of its sound: a joined event of
//! their JSON in, `report.json` out, with what is seen while something is said. A part that cannot be read is in the
//! report with the reason, for the others should not wait for it.
//!
//! Frames and sound end at different times, and may come in several joins. Where `video.json` of `split` lies beside them,
//! in a bucket that is granted (`grants.read_buckets`), there is one report all the same, when all parts are there.

mod parts;

use std::collections::BTreeMap;
use std::io::Write as _;

use serde::{Deserialize, Serialize};
use wicket_sdk::{Event, Failure, Object, Output, info, warn};

use crate::parts::{MOST_PARTS, Parts, SOUND};

/// Bytes of a part.
const LARGEST_PART: usize = 1 << 20;

/// What `object-detector` says of a frame; the rest of it is for others.
#[derive(Debug, Deserialize)]
struct Frame {
    frame: String,
    time: Option<f64>,
    objects: Vec<Seen>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Seen {
    label: String,
    score: f32,
}

/// What `speech` says of a sound.
#[derive(Debug, Deserialize)]
struct Sound {
    duration: f64,
    segments: Vec<Segment>,
}

#[derive(Debug, Deserialize)]
struct Segment {
    start: f64,
    end: f64,
    text: Option<String>,
}

/// What `report.json` says.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Name of the video.
    video: String,
    /// How many there are.
    frames: usize,
    /// Seconds of sound; none for a video without.
    sound: Option<f64>,
    /// What is seen at all, by its name.
    objects: BTreeMap<String, Sighting>,
    /// In the order of time.
    said: Vec<Said>,
    /// In the order of time.
    timeline: Vec<Moment>,
    /// Parts that could not be read, and why.
    errors: BTreeMap<String, String>,
}

#[derive(Debug, Default, Serialize)]
struct Sighting {
    /// How many frames it is in.
    frames: usize,
    /// Seconds from the beginning of the video.
    first: Option<f64>,
    /// Of its best sighting.
    score: f32,
}

#[derive(Debug, Serialize)]
struct Said {
    /// Seconds from the beginning of the video.
    start: f64,
    /// Seconds from the beginning of the video.
    end: f64,
    text: Option<String>,
    /// What is in the frames of this time.
    seen: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Moment {
    /// Seconds from the beginning of the video.
    time: Option<f64>,
    /// Name of the frame's picture.
    frame: String,
    objects: Vec<Seen>,
}

wicket_sdk::function!(media_report);

/// The function.
pub fn media_report(event: Event) -> Result<String, Failure> {
    let own: Vec<Object> =
        event.objects.into_iter().filter(|object| object.name().ends_with(".json")).collect();
    let Some(first) = own.first() else {
        return Err(Failure::never("a report is made of what others say in JSON, and this event has none"));
    };
    let (bucket, folder) = (first.bucket().to_owned(), first.folder().to_owned());
    // The folder has the video's name.
    let video = folder.rsplit('/').next().unwrap_or_default().to_owned();
    let parts = match Parts::of(own, &bucket, &folder)? {
        Parts::Whole(parts) => parts,
        Parts::Later(why) => {
            let said = format!("{video}: no report by this join: {why}");
            info!("{said}");
            return Ok(said);
        }
    };
    if parts.len() > MOST_PARTS {
        return Err(Failure::never(format!("{} parts are more than {MOST_PARTS}", parts.len())));
    }
    let mut report = Report { video, ..Report::default() };
    let mut sound = None;
    // One part is in memory at a time.
    for part in parts {
        let mut object = part.open(&bucket)?;
        let name = object.name().to_owned();
        let text = object.read_text(LARGEST_PART).map_err(|error| error.to_string());
        let read = text.and_then(|text| {
            match name == SOUND {
                true => serde_json::from_str(&text).map(|heard| sound = Some(heard)),
                false => serde_json::from_str(&text).map(|frame| report.add(frame)),
            }
            .map_err(|error| error.to_string())
        });
        if let Err(error) = read {
            warn!("{}: {error}", object.key());
            report.errors.insert(name, error);
        }
    }
    report.timeline.sort_by(|a, b| a.time.unwrap_or(f64::MAX).total_cmp(&b.time.unwrap_or(f64::MAX)));
    if let Some(sound) = sound {
        report.hear(sound);
    }
    let said = format!(
        "{}: {} frames, {} kinds of objects, {} times somebody speaks",
        report.video,
        report.frames,
        report.objects.len(),
        report.said.len()
    );
    let mut output = Output::create("report.json", Some("application/json"));
    output.write_all(&serde_json::to_vec_pretty(&report).map_err(Failure::never)?)?;
    output.finish()?;
    info!("{said}");
    Ok(said)
}

impl Report {
    fn add(&mut self, Frame { frame, time, objects }: Frame) {
        self.frames += 1;
        let mut counted: Vec<&str> = Vec::new();
        for seen in &objects {
            let sighting = self.objects.entry(seen.label.clone()).or_default();
            // Two cups of one frame are one sighting.
            if !counted.contains(&seen.label.as_str()) {
                counted.push(&seen.label);
                sighting.frames += 1;
            }
            sighting.score = sighting.score.max(seen.score);
            sighting.first = match (sighting.first, time) {
                (Some(first), Some(time)) => Some(first.min(time)),
                (first, time) => first.or(time),
            };
        }
        self.timeline.push(Moment { time, frame, objects });
    }

    /// Puts beside what is said what is seen: in the frame that is on the screen when it begins, and in those that follow.
    fn hear(&mut self, Sound { duration, segments }: Sound) {
        self.sound = Some(duration);
        for Segment { start, end, text } in segments {
            let is_before = |moment: &Moment| moment.time.is_some_and(|time| time <= start);
            let first = self.timeline.partition_point(is_before).saturating_sub(1);
            let during = self.timeline[first..]
                .iter()
                .take_while(|moment| moment.time.is_some_and(|time| time <= end));
            let mut seen: Vec<String> =
                during.flat_map(|moment| &moment.objects).map(|seen| seen.label.clone()).collect();
            seen.sort_unstable();
            seen.dedup();
            self.said.push(Said { start, end, text, seen });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wicket_sdk::testing;

    use super::*;

    fn frame(time: f64, labels: &[&str]) -> Object {
        let objects: Vec<Value> = labels.iter().map(|label| json!({"label": label, "score": 0.5})).collect();
        let about = json!({"frame": format!("{time}.jpg"), "time": time, "width": 1, "height": 1, "objects": objects});
        Object::from_bytes("media", &format!("found/talk.avi/{time:07.1}s.json"), about.to_string())
    }

    fn sound(text: &str) -> Object {
        Object::from_bytes("media", "found/talk.avi/audio.json", text)
    }

    #[test]
    fn what_is_said_has_beside_it_what_is_seen() {
        let heard = json!({"audio": "audio.wav", "duration": 6.0, "speech": 2.0, "segments": [
            {"start": 0.3, "end": 1.2, "text": "Hello world."},
            {"start": 2.5, "end": 4.5, "text": "The quick brown fox."},
        ]});
        let parts = [
            sound(&heard.to_string()),
            frame(4.0, &["person", "person"]),
            frame(0.0, &["motorcycle"]),
            frame(2.0, &["motorcycle", "cup"]),
        ];
        let ran = testing::run(media_report, Event::about(parts));
        let said = "talk.avi: 3 frames, 3 kinds of objects, 2 times somebody speaks";
        assert_eq!(ran.answer(), Ok(said.into()));
        let report: Value = serde_json::from_slice(&ran.output("report.json").unwrap().bytes).unwrap();
        assert_eq!(report["said"][0]["seen"], json!(["motorcycle"]));
        assert_eq!(report["said"][1]["seen"], json!(["cup", "motorcycle", "person"]));
        assert_eq!(report["objects"]["motorcycle"], json!({"frames": 2, "first": 0.0, "score": 0.5}));
        assert_eq!(report["objects"]["person"]["frames"], 1);
        assert_eq!(report["timeline"][1]["time"], 2.0);
    }

    #[test]
    fn of_the_joins_of_a_video_the_last_one_makes_the_report_of_all_parts() {
        let keep = |mut object: Object| {
            let bytes = object.read_all(1 << 16).unwrap();
            testing::put("media", object.key(), bytes);
        };
        let again = |name: &str| {
            wicket_sdk::buckets::open("media", &format!("found/talk.avi/{name}")).expect("it was put there")
        };
        testing::put("media", "found/talk.avi/video.json", r#"{"frames": 2, "has_audio": true, "fps": 8}"#);
        keep(frame(0.0, &["cup"]));
        keep(Object::from_bytes("media", "found/talk.avi/more/00009.0s.json", "{}"));
        let ran = testing::run(media_report, Event::about([again("00000.0s.json"), again("video.json")]));
        let waits = "talk.avi: no report by this join: 1 of 2 frames are there, and no sound yet";
        assert_eq!((ran.answer(), ran.outputs.len()), (Ok(waits.into()), 0));
        keep(sound(r#"{"duration": 3.0, "segments": [{"start": 0.5, "end": 2.5, "text": "Hello."}]}"#));
        keep(frame(2.0, &["person"]));
        // Those that came together have the same time: the last of them by name is the newest.
        let ran = testing::run(media_report, Event::about([again("00002.0s.json")]));
        let other = "talk.avi: no report by this join: all is there, and whoever gets audio.json makes it";
        assert_eq!((ran.answer(), ran.outputs.len()), (Ok(other.into()), 0));
        let ran = testing::run(media_report, Event::about([again("audio.json")]));
        let report: Value = serde_json::from_slice(&ran.output("report.json").unwrap().bytes).unwrap();
        assert_eq!((&report["frames"], &report["said"][0]["seen"]), (&2.into(), &json!(["cup", "person"])));
        assert_eq!(report["errors"], json!({}));
    }

    #[test]
    fn a_part_that_cannot_be_read_is_in_the_report() {
        let ran = testing::run(media_report, Event::about([sound("{"), frame(0.0, &["cup"])]));
        let report: Value = serde_json::from_slice(&ran.output("report.json").unwrap().bytes).unwrap();
        assert!(report["errors"]["audio.json"].is_string() && report["sound"].is_null());
        assert_eq!(report["frames"], 1);
        // Times that are none: JSON has no NaN, and what is behind the end is no panic.
        let wild = json!({"duration": -1.0, "segments": [{"start": 1e300, "end": -1e300, "text": null}]});
        let ran = testing::run(media_report, Event::about([sound(&wild.to_string())]));
        assert_eq!(
            ran.answer(),
            Ok("talk.avi: 0 frames, 0 kinds of objects, 1 times somebody speaks".into())
        );
        assert!(matches!(testing::run(media_report, Event::about([])).result, Err(Failure::Never(_))));
    }
}
