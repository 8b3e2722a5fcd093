//! Outputs of detectors to boxes, in pixels of the model's input. What comes out of a model is checked: another model than
//! the expected one is an error, never a panic.

pub mod blazeface;
pub mod centerface;
pub mod centernet;

use std::fmt;

/// An output that is none of this detector's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongOutput {
    /// Which output.
    pub name: &'static str,
    /// How many numbers it should have.
    pub expected: usize,
    /// How many it has.
    pub got: usize,
}

impl fmt::Display for WrongOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, expected, got } = self;
        write!(f, "the model's output `{name}` has {got} numbers, not {expected}: is it another model?")
    }
}

impl std::error::Error for WrongOutput {}

fn check(name: &'static str, numbers: &[f32], expected: usize) -> Result<(), WrongOutput> {
    let got = numbers.len();
    if got == expected { Ok(()) } else { Err(WrongOutput { name, expected, got }) }
}

#[cfg(test)]
mod tests;
