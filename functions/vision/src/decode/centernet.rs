//! CenterNet of COCO's 80 classes: the hundred hottest peaks, each with its box.

use super::{WrongOutput, check};
use crate::rect::{Found, Rect, nms};

/// Sides of the picture that the model takes.
pub const SIDE: u32 = 512;
/// Classes of COCO.
pub const CLASSES: usize = 80;
const DETECTIONS: usize = 100;
/// Numbers of one: left, top, right, bottom, score, class.
const NUMBERS: usize = 6;
const IOU: f32 = 0.5;

/// What has a score over `threshold`, inside the picture.
pub fn objects(detections: &[f32], threshold: f32) -> Result<Vec<Found>, WrongOutput> {
    check("detections", detections, DETECTIONS * NUMBERS)?;
    let (detections, _) = detections.as_chunks::<NUMBERS>();
    let found = detections.iter().filter(|[.., score, class]| {
        // A NaN is over nothing, and in no range.
        *score > threshold && (0.0..CLASSES as f32).contains(class)
    });
    let found = found.map(|&[left, top, right, bottom, score, class]| {
        let rect = Rect { left, top, right, bottom }.inside(SIDE, SIDE);
        Found { class: class as usize, score, rect }
    });
    Ok(nms(found.collect(), IOU))
}
