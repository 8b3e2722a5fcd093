//! The S3 protocol over [`LocalBuckets`](crate::LocalBuckets).
//!
//! Read in this order: `endpoint` (connections), `front` (a request before and after the protocol), `protocol` (which
//! operation is where), then the operations by what they are about.

mod arriving;
mod buckets;
mod convert;
mod endpoint;
mod error;
mod front;
mod keys;
mod listing;
mod parts;
mod preconditions;
mod protocol;
mod read;
mod rechunk;
mod stubs;
mod write;

pub use endpoint::{EndpointLimits, S3Endpoint};
pub use keys::Keys;
