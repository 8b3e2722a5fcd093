//! CenterFace: a heat map of faces' centres in cells of 4 pixels, with the face's size and the centre's offset in each.

use super::{WrongOutput, check};
use crate::rect::{Found, Rect, nms};

/// Pixels of a cell.
const STRIDE: f32 = 4.0;
/// What a picture's sides have to be multiples of.
pub const STEP: u32 = 32;
const IOU: f32 = 0.3;

/// The model's outputs, each row by row, in planes: `heat` 1, `scale` 2 (height, width), `offset` 2 (down, right).
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "said above")]
pub struct Outputs<'a> {
    pub heat: &'a [f32],
    pub scale: &'a [f32],
    pub offset: &'a [f32],
}

/// The faces with a score over `threshold`, of a picture of `width` by `height`, multiples of [`STEP`].
pub fn faces(
    outputs: Outputs<'_>,
    (width, height): (u32, u32),
    threshold: f32,
) -> Result<Vec<Found>, WrongOutput> {
    let (columns, rows) = ((width / 4) as usize, (height / 4) as usize);
    let cells = columns * rows;
    check("heat", outputs.heat, cells)?;
    check("scale", outputs.scale, 2 * cells)?;
    check("offset", outputs.offset, 2 * cells)?;
    let (scale_h, scale_w) = outputs.scale.split_at(cells);
    let (offset_y, offset_x) = outputs.offset.split_at(cells);
    let hot = outputs.heat.iter().enumerate().filter(|(_, score)| **score > threshold);
    let found = hot.map(|(cell, &score)| {
        let (column, row) = ((cell % columns) as f32, (cell / columns) as f32);
        let centre = ((column + offset_x[cell] + 0.5) * STRIDE, (row + offset_y[cell] + 0.5) * STRIDE);
        let rect = Rect::around(centre, scale_w[cell].exp() * STRIDE, scale_h[cell].exp() * STRIDE);
        Found { class: 0, score, rect: rect.inside(width, height) }
    });
    Ok(nms(found.collect(), IOU))
}
