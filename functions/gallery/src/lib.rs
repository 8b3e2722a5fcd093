//! Shows the contact sheets of a bucket: `GET /gallery` lists them, `GET /gallery/{folder}/sheet.jpg` streams one.
//!
//! `BUCKET` (granted by `read_buckets`) and `FOLDER` say where the sheets are; `ROUTE` is the path of the HTTP trigger,
//! `/gallery` when it is not set.

pub mod page;
#[cfg(target_family = "wasm")]
mod web;
