//! Tables for people: columns aligned, the last one as wide as it is.

use std::io;

use super::out::Out;

/// Rows below a heading.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
    /// Columns of figures stand at the right.
    right: [bool; N],
}

impl<const N: usize> Table<N> {
    /// An empty table. A heading that begins with `>` is of a column of figures.
    pub(super) fn new(heading: [&str; N]) -> Self {
        let right = heading.map(|name| name.starts_with('>'));
        Self { rows: vec![heading.map(|name| name.trim_start_matches('>').to_owned())], right }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| shown(&cell)));
    }

    /// Writes it; a table without rows is nothing.
    pub(super) fn write(&self, out: &mut Out) -> io::Result<()> {
        if self.rows.len() < 2 {
            return Ok(());
        }
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        for row in &self.rows {
            let mut line = String::new();
            for (idx, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[idx] - cell.chars().count());
                let (before, after) = if self.right[idx] { (pad.as_str(), "") } else { ("", pad.as_str()) };
                line.push_str(before);
                line.push_str(cell);
                line.push_str(after);
                line.push_str("  ");
            }
            out.line(line.trim_end())?;
        }
        Ok(())
    }
}

/// A cell is one line, and does not speak to the terminal: keys and messages come from outside.
pub(super) fn shown(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(table: &Table<3>) -> String {
        let paper = Paper::default();
        table.write(&mut Out::into(paper.clone())).unwrap();
        String::from_utf8(paper.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["NAME", ">COUNT", "SAID"]);
        assert_eq!(written(&table), "");
        table.row(["ä".into(), "12345678".into(), String::new()]);
        table.row(["thumbnail".into(), "1".into(), "\x1b[2J\n".into()]);
        assert_eq!(
            written(&table),
            "NAME          COUNT  SAID\n\
             ä          12345678\n\
             thumbnail         1  \\u{1b}[2J\\n\n"
        );
    }
}
