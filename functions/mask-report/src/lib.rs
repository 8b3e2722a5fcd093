//! Joins what `mask-detector` says of the frames of one video: a joined event of their JSON in, `report.json` out. A frame
//! that cannot be read is in the report with the reason, for the others should not wait for it.

use std::io::Write as _;

use serde::{Deserialize, Serialize};
use vision::faces::{self, Face};
use wicket_sdk::{Event, Failure, Object, Output, info, warn};

/// Frames of one video.
pub const MOST_FRAMES: usize = 10_000;
/// Bytes of a frame's JSON.
const LARGEST_PART: usize = 1 << 20;

/// What `mask-detector` says of a frame; the rest of it is for others.
#[derive(Debug, Deserialize)]
struct Part {
    with_mask: usize,
    without_mask: usize,
    unknown: usize,
    time: Option<f64>,
    faces: Vec<Face>,
}

/// What `report.json` says.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Name of the video.
    video: String,
    /// How many there are.
    frames: usize,
    /// Frames with a face in them.
    frames_with_faces: usize,
    /// Sums over all frames: one who is seen in ten frames counts ten times.
    faces: usize,
    with_mask: usize,
    without_mask: usize,
    unknown: usize,
    /// Of the faces that could be told, how many wear a mask, 0 to 1; none where nothing could.
    share_with_mask: Option<f64>,
    /// In the order of time.
    timeline: Vec<Moment>,
}

#[derive(Debug, Default, Serialize)]
struct Moment {
    /// Name of the frame's picture.
    frame: String,
    /// Seconds from the beginning of the video.
    time: Option<f64>,
    with_mask: usize,
    without_mask: usize,
    unknown: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

wicket_sdk::function!(mask_report);

/// The function.
pub fn mask_report(event: Event) -> Result<String, Failure> {
    let parts: Vec<Object> =
        event.objects.into_iter().filter(|object| object.name().ends_with(".json")).collect();
    if parts.is_empty() {
        return Err(Failure::never("a report is made of frames' JSON, and this event has none"));
    }
    if parts.len() > MOST_FRAMES {
        return Err(Failure::never(format!("{} frames are more than {MOST_FRAMES}", parts.len())));
    }
    // The folder has the video's name.
    let video = parts[0].folder().rsplit('/').next().unwrap_or_default().to_owned();
    let mut report = Report { video, frames: parts.len(), ..Report::default() };
    // One part is in memory at a time.
    for object in parts {
        report.add(object);
    }
    let told = report.with_mask.saturating_add(report.without_mask);
    report.share_with_mask = (told > 0).then(|| report.with_mask as f64 / told as f64);
    let said = format!(
        "{}: {} frames, {} faces, {} with a mask, {} without, {} unknown",
        report.video, report.frames, report.faces, report.with_mask, report.without_mask, report.unknown
    );
    let mut output = Output::create("report.json", Some("application/json"));
    output.write_all(&serde_json::to_vec_pretty(&report).map_err(Failure::never)?)?;
    output.finish()?;
    info!("{said}");
    Ok(said)
}

impl Report {
    fn add(&mut self, mut object: Object) {
        let part = object.read_text(LARGEST_PART).map_err(|error| error.to_string());
        let part = part.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
        let mut moment = Moment { frame: faces::beside(object.name(), "jpg"), ..Moment::default() };
        match part {
            Ok(Part { with_mask, without_mask, unknown, time, faces }) => {
                moment = Moment { time, with_mask, without_mask, unknown, ..moment };
                self.frames_with_faces += usize::from(!faces.is_empty());
                self.faces = self.faces.saturating_add(faces.len());
                self.with_mask = self.with_mask.saturating_add(with_mask);
                self.without_mask = self.without_mask.saturating_add(without_mask);
                self.unknown = self.unknown.saturating_add(unknown);
            }
            Err(error) => {
                warn!("{}: {error}", object.key());
                moment = Moment { time: faces::time(object.name()), error: Some(error), ..moment };
            }
        }
        self.timeline.push(moment);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wicket_sdk::testing;

    use super::*;

    fn part(time: f64, with_mask: usize, without_mask: usize) -> String {
        let face = json!({"rect": {"left": 1, "top": 1, "right": 9, "bottom": 9}, "score": 0.9});
        let faces = vec![face; with_mask + without_mask];
        json!({"with_mask": with_mask, "without_mask": without_mask, "unknown": 0, "time": time, "frame": "x",
            "faces": faces})
        .to_string()
    }

    #[test]
    fn frames_are_summed_in_the_order_of_time() {
        let key = |name: &str| format!("masks/frames/street.avi/{name}");
        let ran = testing::run(
            mask_report,
            Event::about([
                Object::from_bytes("video", &key("00000.0s.json"), part(0.0, 1, 0)),
                Object::from_bytes("video", &key("00002.0s.json"), part(2.0, 0, 0)),
                Object::from_bytes("video", &key("00002.0s.jpg"), "a picture"),
                Object::from_bytes("video", &key("00004.0s.json"), part(4.0, 1, 2)),
                Object::from_bytes("video", &key("00006.0s.json"), "{"),
            ]),
        );
        let said = "street.avi: 4 frames, 4 faces, 2 with a mask, 2 without, 0 unknown";
        assert_eq!(ran.answer(), Ok(said.into()));
        let report: Value = serde_json::from_slice(&ran.output("report.json").unwrap().bytes).unwrap();
        assert_eq!((&report["frames_with_faces"], &report["share_with_mask"]), (&json!(2), &json!(0.5)));
        assert_eq!(report["timeline"][2]["frame"], "00004.0s.jpg");
        assert_eq!(report["timeline"][3]["time"], 6.0);
        assert!(report["timeline"][3]["error"].is_string());
    }

    #[test]
    fn an_event_without_frames_will_never_do() {
        let ran = testing::run(mask_report, Event::about([Object::from_bytes("video", "a.jpg", "a")]));
        assert!(matches!(ran.result, Err(Failure::Never(_))));
        let many = (0..=MOST_FRAMES).map(|_| Object::from_bytes("video", "a.json", "{}"));
        let ran = testing::run(mask_report, Event::about(many));
        assert_eq!(ran.result, Err(Failure::Never("10001 frames are more than 10000".into())));
    }

    #[test]
    fn counts_that_nobody_has_do_not_overflow() {
        let wild =
            json!({"with_mask": usize::MAX, "without_mask": 1, "unknown": 0, "time": null, "faces": []});
        let parts = [0, 1].map(|_| Object::from_bytes("video", "a.json", wild.to_string()));
        assert!(matches!(
            testing::run(mask_report, Event::about(parts)).result,
            Ok(_) | Err(Failure::Never(_))
        ));
    }
}
