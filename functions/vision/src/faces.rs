//! What is known of the faces of one frame, in JSON: what travels from stage to stage beside the blurred picture.

use serde::{Deserialize, Serialize};

use crate::rect::Rect;

/// Faces of one frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Faces {
    /// Name of the frame's picture, beside this.
    pub frame: String,
    /// Seconds from the beginning of the video, where the name tells it.
    pub time: Option<f64>,
    /// Pixels of the picture.
    pub width: u32,
    /// Pixels of the picture.
    pub height: u32,
    /// The best first.
    pub faces: Vec<Face>,
}

/// One face.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Face {
    /// Where, in pixels of the picture.
    pub rect: Rect,
    /// How sure the detector is, 0 to 1.
    pub score: f32,
    /// Whether a mask is worn; none where no classifier was granted, or the face is too small to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
}

/// What the classifier says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mask {
    /// Whether one is worn.
    pub worn: bool,
    /// How sure it is, 0.5 to 1.
    pub score: f32,
}

/// The time in the name of a frame: `00004.5s.jpg` is at 4.5 s.
pub fn time(name: &str) -> Option<f64> {
    let (seconds, _) = name.rsplit_once("s.")?;
    let is_plain = seconds.bytes().all(|letter| letter.is_ascii_digit() || letter == b'.');
    seconds.parse().ok().filter(|_| is_plain)
}

/// The name of the file beside another: `a.jpg` and `json` give `a.json`.
pub fn beside(name: &str, extension: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    format!("{stem}.{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_time_and_what_is_beside() {
        assert_eq!(time("00004.5s.jpg"), Some(4.5));
        assert_eq!(time("00004.5s.json"), Some(4.5));
        for name in ["holiday.jpg", "s.jpg", "infs.jpg", "-1s.jpg", ""] {
            assert_eq!(time(name), None, "{name}");
        }
        assert_eq!(beside("00004.5s.jpg", "json"), "00004.5s.json");
        assert_eq!(beside("photo", "json"), "photo.json");
    }
}
