//! Tasks, as the bench asks for them.

use serde::Deserialize;

/// What to do.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Runs a model, and tells how long each run took.
    Infer(Infer),
    /// The same, and tells how long the parts of each run took.
    Parts(Infer),
    /// Makes tensors of a frame.
    Frames(Frames),
}

/// Runs of a model.
#[derive(Clone, Debug, Deserialize)]
pub struct Infer {
    /// Its name in the service.
    pub model: String,
    /// Most runs.
    pub runs: usize,
    /// No run begins later than this, from the first; 0: whenever.
    #[serde(default)]
    pub for_ms: u64,
    /// What it is fed.
    pub inputs: Vec<Input>,
}

/// An input that is told by a recipe: the same numbers wherever they are made.
#[derive(Clone, Debug, Deserialize)]
pub struct Input {
    /// Its name in the model.
    pub name: String,
    /// Its sides.
    pub shape: Vec<u32>,
    /// Element i is ((i * 7919) mod 256) / 255 * scale + offset.
    pub pattern: Option<Pattern>,
    /// Or whole numbers.
    pub values: Option<Vec<i64>>,
}

/// Numbers from `offset` to `offset + scale`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Pattern {
    /// From the least to the most.
    pub scale: f32,
    /// The least.
    pub offset: f32,
}

impl Pattern {
    /// So many numbers.
    pub fn numbers(self, count: usize) -> Vec<f32> {
        let number = |i: usize| (i * 7919 % 256) as f32 / 255.0 * self.scale + self.offset;
        (0..count).map(number).collect()
    }
}

/// The way of a frame.
#[derive(Clone, Debug, Deserialize)]
pub struct Frames {
    /// How often.
    pub runs: usize,
    /// Pixels of the square that the model takes.
    pub side: u32,
}
