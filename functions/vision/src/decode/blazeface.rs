//! BlazeFace: 896 anchors on two grids, each with a raw score and a box around it.

use super::{WrongOutput, check};
use crate::rect::{Found, Rect, nms};
use crate::scores::sigmoid;

/// Numbers of one anchor: centre, size, and six landmarks.
const NUMBERS: usize = 16;
const IOU: f32 = 0.3;
/// Cells across and down, and anchors in each cell.
const GRIDS: [(usize, usize); 2] = [(16, 2), (8, 6)];

/// The faces with a score over `threshold`, of a square picture of `side` pixels (128 or 256). One slice of scores and one
/// of boxes for each grid, the finer first.
pub fn faces(
    scores: [&[f32]; 2],
    boxes: [&[f32]; 2],
    side: u32,
    threshold: f32,
) -> Result<Vec<Found>, WrongOutput> {
    let side = side as f32;
    let mut found = Vec::new();
    for (grid, (cells, anchors)) in GRIDS.into_iter().enumerate() {
        let n_anchors = cells * cells * anchors;
        check("scores", scores[grid], n_anchors)?;
        check("boxes", boxes[grid], n_anchors * NUMBERS)?;
        for (index, (raw, numbers)) in scores[grid].iter().zip(boxes[grid].chunks_exact(NUMBERS)).enumerate()
        {
            let score = sigmoid(*raw);
            // A NaN is over nothing.
            if score > threshold {
                let (column, row) = (index / anchors % cells, index / anchors / cells);
                let middle = |cell: usize| (cell as f32 + 0.5) / cells as f32 * side;
                let centre = (middle(column) + numbers[0], middle(row) + numbers[1]);
                found.push(Found { class: 0, score, rect: Rect::around(centre, numbers[2], numbers[3]) });
            }
        }
    }
    Ok(nms(found, IOU))
}
