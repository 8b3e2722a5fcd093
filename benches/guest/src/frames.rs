//! The way of a frame from its JPEG to a tensor, as the detectors of `functions/` have it.

use std::time::Instant;

use serde::Serialize;
use vision::fit::{self, Fit};
use vision::picture;
use vision::tensor::{Format, Layout};

use crate::task::Frames;

/// What a step of each run took, ns.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Took {
    /// JPEG to pixels.
    pub decode: Vec<u64>,
    /// Pixels to the square that the model takes.
    pub resize: Vec<u64>,
    /// Pixels to numbers.
    pub normalise: Vec<u64>,
    /// Of the numbers: the same wherever it is made, but for rounding.
    pub sum: f64,
}

/// Goes the way so often.
pub fn frames(jpeg: &[u8], task: &Frames) -> Result<Took, String> {
    let mut took = Took::default();
    let format = Format::unit(Layout::Nchw);
    for _ in 0..task.runs {
        let begin = Instant::now();
        let image = picture::decode(jpeg).map_err(|error| error.to_string())?;
        let decoded = Instant::now();
        let fitted = fit::fit(&image, task.side, task.side, Fit::Letterbox { grey: 114 });
        let resized = Instant::now();
        let numbers = format.numbers(&fitted.image);
        let end = Instant::now();
        took.sum = numbers.iter().map(|number| f64::from(*number)).sum();
        took.decode.push(nanos(decoded - begin));
        took.resize.push(nanos(resized - decoded));
        took.normalise.push(nanos(end - resized));
    }
    Ok(took)
}

pub(crate) fn nanos(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
