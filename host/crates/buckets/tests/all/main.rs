//! The buckets through the endpoint, over loopback: a real store, real files, a real client.
#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, and not in what only tests use")]

mod conditions;
mod crash;
mod hostile;
mod keys;
mod listing;
mod local;
mod multipart;
mod objects;
mod outside;
mod raw;
mod support;
