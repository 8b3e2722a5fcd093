//! Boxes in pixels, and which of them tell something new.

use serde::{Deserialize, Serialize};

/// A box. Its right and bottom edges are behind its last pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Rect {
    pub left: f32,
    pub top: f32,
    pub right: f32,
    pub bottom: f32,
}

/// What a model found, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Index of its class; 0 where there is one only.
    pub class: usize,
    /// 0 to 1.
    pub score: f32,
    /// Where.
    pub rect: Rect,
}

/// Candidates that are looked at, the best: a model gone wrong finds something everywhere.
const MOST_CANDIDATES: usize = 2_000;

impl Rect {
    /// A box around a centre.
    pub fn around((x, y): (f32, f32), width: f32, height: f32) -> Self {
        let (half_w, half_h) = (width / 2.0, height / 2.0);
        Self { left: x - half_w, top: y - half_h, right: x + half_w, bottom: y + half_h }
    }

    /// Pixels across; 0 for a box that is turned inside out.
    pub fn width(&self) -> f32 {
        (self.right - self.left).max(0.0)
    }

    /// Pixels down; 0 for a box that is turned inside out.
    pub fn height(&self) -> f32 {
        (self.bottom - self.top).max(0.0)
    }

    /// Pixels in it.
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// The part of it inside a picture.
    #[must_use]
    pub fn inside(&self, width: u32, height: u32) -> Self {
        let (width, height) = (width as f32, height as f32);
        Self {
            left: self.left.clamp(0.0, width),
            top: self.top.clamp(0.0, height),
            right: self.right.clamp(0.0, width),
            bottom: self.bottom.clamp(0.0, height),
        }
    }

    /// Larger on each side by a share of its own size.
    #[must_use]
    pub fn grown(&self, by: f32) -> Self {
        let (x, y) = (self.width() * by, self.height() * by);
        Self { left: self.left - x, top: self.top - y, right: self.right + x, bottom: self.bottom + y }
    }

    /// Intersection over union, 0 to 1.
    pub fn iou(&self, other: &Self) -> f32 {
        let both = Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        let union = self.area() + other.area() - both.area();
        if union > 0.0 { both.area() / union } else { 0.0 }
    }

    /// The pixels that it touches, `(left, top, width, height)`, inside a picture; none when it touches none.
    pub fn pixels(&self, width: u32, height: u32) -> Option<(u32, u32, u32, u32)> {
        let rect = self.inside(width, height);
        let (left, top) = (rect.left.floor() as u32, rect.top.floor() as u32);
        let (right, bottom) = (rect.right.ceil() as u32, rect.bottom.ceil() as u32);
        (right > left && bottom > top).then(|| (left, top, right - left, bottom - top))
    }

    fn is_sound(&self) -> bool {
        [self.left, self.top, self.right, self.bottom].iter().all(|side| side.is_finite())
            && self.area() > 0.0
    }
}

/// Non-maximum suppression: the best first, and none that shares more than `iou` with a better one of its class.
/// Boxes of NaN or of no size are dropped.
pub fn nms(mut found: Vec<Found>, iou: f32) -> Vec<Found> {
    found.retain(|one| one.score.is_finite() && one.rect.is_sound());
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MOST_CANDIDATES);
    let mut kept: Vec<Found> = Vec::new();
    for one in found {
        let is_new = |other: &Found| other.class != one.class || other.rect.iou(&one.rect) < iou;
        if kept.iter().all(is_new) {
            kept.push(one);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(class: usize, score: f32, left: f32) -> Found {
        Found { class, score, rect: Rect { left, top: 0.0, right: left + 10.0, bottom: 10.0 } }
    }

    #[test]
    fn overlap_is_measured_and_the_best_box_stays() {
        let (a, b) = (found(0, 0.9, 0.0), found(0, 0.8, 5.0));
        assert!((a.rect.iou(&b.rect) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(nms(vec![b, a], 0.3), [a]);
        assert_eq!(nms(vec![b, a], 0.4), [a, b]);
        // Of another class, it says something else.
        let c = found(1, 0.7, 0.0);
        assert_eq!(nms(vec![a, b, c], 0.3), [a, c]);
    }

    #[test]
    fn nonsense_of_a_model_is_dropped_and_bounded() {
        let mut wild = found(0, 0.5, 0.0);
        wild.rect.right = f32::NAN;
        let inside_out = Rect { left: 9.0, top: 9.0, right: 1.0, bottom: 1.0 };
        let inside_out = Found { rect: inside_out, ..found(0, 0.9, 0.0) };
        assert_eq!(nms(vec![wild, inside_out, found(0, f32::NAN, 0.0)], 0.5), []);
        let many = (0..100_000).map(|i| found(0, 0.5, 20.0 * i as f32)).collect();
        assert_eq!(nms(many, 0.5).len(), MOST_CANDIDATES);
    }

    #[test]
    fn a_box_touches_pixels_inside_its_picture_only() {
        let rect = Rect { left: -5.0, top: 3.2, right: 4.1, bottom: 1e9 };
        assert_eq!(rect.pixels(10, 8), Some((0, 3, 5, 5)));
        assert_eq!(Rect { left: 50.0, right: 60.0, ..rect }.pixels(10, 8), None);
        assert_eq!(Rect { left: f32::NAN, ..rect }.pixels(10, 8), Some((0, 3, 5, 5)));
    }
}
