//! Where each part goes.

/// Pixels of a sheet: what its memory is made of.
const MOST_PIXELS: u64 = 12 << 20;
const LARGEST_CELL: u32 = 240;
const GAP: u32 = 8;
/// A line of text.
const CAPTION: u32 = 12;
/// Below this a caption has no room for a word.
const SMALLEST_WITH_CAPTION: u32 = 80;

/// A grid of square cells, wider than high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Cells in a row.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
    /// Side of a cell.
    pub cell: u32,
    /// Height of the caption below a cell; 0 where there is no room for one.
    pub caption: u32,
}

impl Layout {
    /// For so many parts: cells as large as the sheet's memory allows.
    pub fn of(parts: usize) -> Self {
        let parts = u32::try_from(parts.max(1)).unwrap_or(u32::MAX);
        let mut columns = f64::from(parts).mul_add(4.0 / 3.0, 0.0).sqrt().ceil() as u32;
        columns = columns.clamp(1, parts);
        let rows = parts.div_ceil(columns);
        let per_cell = MOST_PIXELS / (u64::from(columns) * u64::from(rows));
        let pitch = per_cell.isqrt().saturating_sub(u64::from(CAPTION));
        let cell = u32::try_from(pitch).unwrap_or(LARGEST_CELL).saturating_sub(GAP).clamp(1, LARGEST_CELL);
        let caption = if cell < SMALLEST_WITH_CAPTION { 0 } else { CAPTION };
        Self { columns, rows, cell, caption }
    }

    /// Width of the sheet.
    pub fn width(&self) -> u32 {
        self.columns * (self.cell + GAP) + GAP
    }

    /// Height of the sheet.
    pub fn height(&self) -> u32 {
        self.rows * (self.cell + self.caption + GAP) + GAP
    }

    /// The upper left corner of a cell.
    pub fn place(&self, index: usize) -> (u32, u32) {
        let index = index as u32;
        let (column, row) = (index % self.columns, index / self.columns);
        (GAP + column * (self.cell + GAP), GAP + row * (self.cell + self.caption + GAP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_parts_fits_the_memory_and_the_sheet() {
        for parts in (1..200).chain([500, 1000, 2500, crate::MOST_PARTS]) {
            let layout = Layout::of(parts);
            assert!(
                u64::from(layout.width()) * u64::from(layout.height()) <= MOST_PIXELS,
                "{parts}: {layout:?}"
            );
            assert!(layout.columns * layout.rows >= parts as u32);
            let (x, y) = layout.place(parts - 1);
            assert!(x + layout.cell < layout.width() && y + layout.cell + layout.caption < layout.height());
            assert!(layout.cell >= 30, "{parts}: {layout:?}");
        }
    }

    #[test]
    fn few_parts_get_large_cells_with_captions() {
        let layout = Layout::of(24);
        assert_eq!((layout.columns, layout.rows, layout.cell, layout.caption), (6, 4, 240, 12));
        assert_eq!(Layout::of(4000).caption, 0);
    }
}
