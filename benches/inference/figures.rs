//! Figures of both sides.

use serde_json::Value;
use wicket_benches::median;

/// Whether a goal is met, in a word.
pub(crate) fn verdict(met: bool) -> String {
    (if met { "met" } else { "missed" }).to_owned()
}

/// A list of nanoseconds in an answer, as milliseconds.
///
/// # Panics
///
/// When there is none.
#[track_caller]
pub(crate) fn millis(list: &Value) -> Vec<f64> {
    let list = list.as_array().unwrap_or_else(|| panic!("a list of figures, not {list}"));
    list.iter().map(|ns| ns.as_f64().expect("a number") / 1e6).collect()
}

/// The median of figures without the first few, which find caches cold.
pub(crate) fn steady(mut figures: Vec<f64>) -> f64 {
    let cold = (figures.len() / 10).clamp(1, 5).min(figures.len().saturating_sub(1));
    median(figures.split_off(cold))
}

/// A figure of two sides, round by round.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    pub(crate) ours: Vec<f64>,
    pub(crate) theirs: Vec<f64>,
}

impl Pairs {
    pub(crate) fn ours(&self) -> f64 {
        median(self.ours.clone())
    }

    pub(crate) fn theirs(&self) -> f64 {
        median(self.theirs.clone())
    }

    /// Ours by theirs: the middle of the rounds' own ratios, since a round sees the same machine on both sides.
    pub(crate) fn ratio(&self) -> f64 {
        median(self.ours.iter().zip(&self.theirs).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// Ours less theirs, likewise.
    pub(crate) fn added(&self) -> f64 {
        median(self.ours.iter().zip(&self.theirs).map(|(ours, theirs)| ours - theirs).collect())
    }
}
