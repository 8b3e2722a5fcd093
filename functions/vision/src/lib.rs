//! What the functions that look at pictures share, in the order of a frame's way: a [`picture`] is decoded within bounds,
//! [`fit`]ted to what a model takes, made a [`tensor`]; the model's outputs are [`decode`]d into boxes ([`rect`]); faces are
//! [`blur`]red, boxes and labels [`draw`]n, and [`faces`] says it in JSON. [`settings`] are environment variables.
//!
//! Nothing here knows a host: the same code runs natively in tests and benches, and in wasm with SIMD.

pub mod blur;
pub mod decode;
pub mod draw;
pub mod faces;
pub mod fit;
pub mod labels;
pub mod picture;
pub mod rect;
pub mod scores;
pub mod settings;
pub mod tensor;
