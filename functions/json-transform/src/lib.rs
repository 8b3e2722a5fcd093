//! POST a JSON document, get it back with all its keys in `snake_case`. Order, numbers and repeated keys stay as they
//! are. It knows nothing of Wicketgate: any host of `wasi:http` runs it.

mod transform;
#[cfg(target_family = "wasm")]
mod web;

pub use transform::{LARGEST, Refusal, snake_case, transform};
