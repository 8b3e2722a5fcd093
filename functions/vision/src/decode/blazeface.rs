//! BlazeFace: 896 anchors on two grids, each with a raw score and a box around it.

use super::{WrongOutput, check};
use crate::rect::{Found, Rect, nms};
use crate::scores::sigmoid;

/// Numbers of one anchor: centre, size, and six landmarks.
const NUMBERS: usize = 16;
const IOU: f32 = 0.3;
/// Cells across and down, and anchors in each cell: those of the finer grid come first.
const GRIDS: [(usize, usize); 2] = [(16, 2), (8, 6)];
const ANCHORS: usize = 16 * 16 * 2 + 8 * 8 * 6;

/// The faces with a score over `threshold`, of a square picture of `side` pixels (128 or 256).
pub fn faces(scores: &[f32], boxes: &[f32], side: u32, threshold: f32) -> Result<Vec<Found>, WrongOutput> {
    check("scores", scores, ANCHORS)?;
    check("boxes", boxes, ANCHORS * NUMBERS)?;
    let (boxes, _) = boxes.as_chunks::<NUMBERS>();
    let centres = GRIDS.into_iter().flat_map(|(cells, anchors)| {
        let middle = move |cell: usize| (cell as f32 + 0.5) / cells as f32 * side as f32;
        (0..cells * cells * anchors).map(move |n| (middle(n / anchors % cells), middle(n / anchors / cells)))
    });
    let all = scores.iter().zip(boxes).zip(centres).map(|((raw, numbers), (x, y))| {
        let rect = Rect::around((x + numbers[0], y + numbers[1]), numbers[2], numbers[3]);
        Found { class: 0, score: sigmoid(*raw), rect }
    });
    // A NaN is over nothing.
    Ok(nms(all.filter(|one| one.score > threshold).collect(), IOU))
}
