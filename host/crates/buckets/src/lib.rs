//! Buckets: those of this host, behind an S3 endpoint, and those of any S3 outside.
//!
//! Read in this order: [`ObjectInfo`] and [`ObjectMeta`] (what an object is), `files` (its bytes on disk), `index` (its
//! row), `reading` and [`LocalBuckets`] (both together, in one transaction with the event), [`S3Endpoint`] (the protocol over it),
//! [`client`] and [`OutsideS3`] (for other people's buckets), [`WorkBucket`] (for what a part of the host keeps in one).

mod body;
mod checksum;
mod client;
mod error;
mod files;
mod index;
mod listing;
mod local;
mod multipart;
mod object;
mod outside;
mod reading;
mod s3;
mod writing;

pub use client::{client, sending};
pub use error::BucketError;
pub use index::PART;
pub use local::LocalBuckets;
pub use multipart::{PartInfo, UploadInfo, Uploads};
pub use object::{BucketInfo, Condition, ListQuery, ObjectInfo, ObjectMeta, Page};
pub use outside::{LONGEST_SIGNED, OutsideS3, WorkBucket};
pub use s3::{EndpointLimits, Keys, S3Endpoint};
