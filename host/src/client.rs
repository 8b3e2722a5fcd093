//! The client's end of the HTTP API, for the command line.
//!
//! Read in this order: [`target`](find) (where the host is, and who asks), `transport` (one request, one answer, with
//! time-outs), [`Client`] (the routes), [`buckets`] (the S3 endpoint), [`ClientError`] (why it did not work).

mod body;
pub(crate) mod buckets;
mod error;
mod routes;
mod target;
mod transport;

pub(crate) use body::{Body, empty, file, stream};
pub(crate) use error::ClientError;
pub(crate) use routes::{Applied, Client, Kind, Page, state_name};
pub(crate) use target::{Target, TargetError, Wanted, find};
pub(crate) use transport::{Answer, Patience};
