//! Results as Markdown.

/// A table that grows row by row and is printed at the end.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these columns.
    pub fn new(columns: &[&str]) -> Self {
        let head = columns.iter().map(|&column| column.to_owned()).collect();
        let rule = columns.iter().map(|_| "---".to_owned()).collect();
        Self { rows: vec![head, rule] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[String]) {
        self.rows.push(cells.to_vec());
    }

    /// Prints it, as it goes into `RESULTS.md`.
    #[expect(clippy::print_stdout, reason = "the table is what a bench is run for")]
    pub fn print(&self, title: &str) {
        println!("\n## {title}\n");
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}

/// The middle of some figures; 0 of none.
pub fn median(figures: Vec<f64>) -> f64 {
    percentile(figures, 0.5)
}

/// The figure below which `share` of all figures are; 0 of none.
pub fn percentile(mut figures: Vec<f64>, share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let idx = (figures.len() as f64 * share) as usize;
    figures.get(idx.min(figures.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// A folder on the disk that is measured: below `target/`, since `/tmp` may be memory.
///
/// # Panics
///
/// When none can be made.
pub fn scratch() -> tempfile::TempDir {
    let target = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    tempfile::tempdir_in(target).expect("a folder below target/")
}
