//! CenterNet of COCO's 80 classes: a heat map of each class in cells of 4 pixels, and the four sides' distance.

use super::{WrongOutput, check};
use crate::rect::{Found, Rect, nms};

/// Sides of the picture that the model takes.
pub const SIDE: u32 = 512;
/// Classes of COCO.
pub const CLASSES: usize = 80;
/// Cells across and down.
const CELLS: usize = 128;
const STRIDE: f32 = 4.0;
const IOU: f32 = 0.5;

/// What has a score over `threshold`. `heat` is rows × columns × classes, `sides` rows × columns × 4.
pub fn objects(heat: &[f32], sides: &[f32], threshold: f32) -> Result<Vec<Found>, WrongOutput> {
    check("heat", heat, CELLS * CELLS * CLASSES)?;
    check("sides", sides, CELLS * CELLS * 4)?;
    let mut found = Vec::new();
    for (index, &score) in heat.iter().enumerate().filter(|(_, score)| **score > threshold) {
        let (cell, class) = (index / CLASSES, index % CLASSES);
        let (row, column) = (cell / CELLS, cell % CELLS);
        if is_peak(heat, (row, column), class, score) {
            let [left, top, right, bottom] = [0, 1, 2, 3].map(|side| sides[cell * 4 + side]);
            let (x, y) = (column as f32 * STRIDE, row as f32 * STRIDE);
            let rect = Rect { left: x - left, top: y - top, right: x + right, bottom: y + bottom };
            found.push(Found { class, score, rect });
        }
    }
    Ok(nms(found, IOU))
}

/// Whether no cell around it is hotter.
fn is_peak(heat: &[f32], (row, column): (usize, usize), class: usize, score: f32) -> bool {
    let around = |at: usize| at.saturating_sub(1)..=(at + 1).min(CELLS - 1);
    let hottest =
        |row: usize| around(column).all(|column| heat[(row * CELLS + column) * CLASSES + class] <= score);
    around(row).all(hottest)
}
