//! What an object is, to those who put, get and list it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wicket_config::{BucketName, ObjectKey};
use wicket_core::Timestamp;

/// What goes with an object's bytes. User metadata is at most 2 KiB, as in S3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectMeta {
    /// Media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `x-amz-meta-*`, without the prefix.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, String>,
    /// Other headers that S3 keeps and gives back: `cache-control`, `content-encoding` …
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Checksums that the client sent and that were right: algorithm to base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checksums: BTreeMap<String, String>,
}

/// An object, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: ObjectKey,
    /// Bytes.
    pub size: u64,
    /// Entity tag without quotes: the MD5 in hex, or `…-N` of a multipart upload.
    pub etag: String,
    /// When it became visible.
    pub modified: Timestamp,
    /// What goes with it; empty in listings.
    pub meta: ObjectMeta,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketInfo {
    /// Its name.
    pub name: BucketName,
    /// When it was made.
    pub created: Timestamp,
}

/// What must hold of the present object for a write to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// There is none.
    Absent,
    /// There is one.
    Present,
    /// Its entity tag is this.
    Matches(String),
}

/// Which objects to list.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Keys begin with this.
    pub prefix: String,
    /// What comes after the prefix is cut at this, and told once.
    pub delimiter: Option<String>,
    /// Only what sorts after this key (or this common prefix).
    pub after: Option<String>,
    /// At most so many keys and common prefixes together, up to 1,000.
    pub limit: u32,
}

/// One page of a listing, in byte order of the keys.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Objects.
    pub objects: Vec<ObjectInfo>,
    /// Common prefixes.
    pub prefixes: Vec<String>,
    /// Where the next page begins: its `after`. None: this was the last.
    pub next: Option<String>,
}
