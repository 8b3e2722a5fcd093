//! Buckets and what is in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wicket_core::Timestamp;

/// A bucket, in OSCAR's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct BucketView {
    /// Its name.
    #[schema(example = "photos")]
    pub(crate) bucket_name: String,
    /// Always `private`.
    #[serde(default = "private")]
    #[schema(example = "private")]
    pub(crate) visibility: String,
    /// Always empty.
    #[serde(default)]
    pub(crate) allowed_users: Vec<String>,
}

fn private() -> String {
    "private".to_owned()
}

/// What a presigned URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    /// To put the object.
    Upload,
    /// To get it.
    Download,
}

/// Which URL is asked for, in OSCAR's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct PresignAsked {
    /// The object's key.
    #[schema(example = "in/trip/a.jpg")]
    pub(crate) object_key: String,
    /// What for.
    pub(crate) operation: Operation,
    /// Seconds that it holds: 900, and at most a week.
    #[serde(default = "quarter_of_an_hour")]
    #[schema(default = 900)]
    pub(crate) expires_in: u32,
    /// Media type that the upload must have.
    #[serde(default)]
    pub(crate) content_type: Option<String>,
    /// Further headers that must be sent with it.
    #[serde(default)]
    pub(crate) extra_headers: BTreeMap<String, String>,
}

fn quarter_of_an_hour() -> u32 {
    900
}

/// A presigned URL, in OSCAR's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Presigned {
    /// The object's key.
    pub(crate) object_key: String,
    /// What it is for.
    pub(crate) operation: Operation,
    /// The method it is used with.
    #[schema(example = "PUT")]
    pub(crate) method: String,
    /// The URL.
    pub(crate) url: String,
    /// Until when it holds.
    #[schema(value_type = String)]
    pub(crate) expires_at: Timestamp,
    /// Headers that must be sent with it.
    pub(crate) headers: BTreeMap<String, String>,
}

/// A page of a bucket, in OSCAR's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct BucketPage {
    /// The bucket.
    #[serde(flatten)]
    pub(crate) bucket: BucketView,
    /// Its objects, by key.
    pub(crate) objects: Vec<ObjectView>,
    /// `page` of the next request; left out on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_page: Option<String>,
    /// Whether there is a next page.
    pub(crate) is_truncated: bool,
    /// Objects in this page.
    pub(crate) returned_items: usize,
}

/// An object, in OSCAR's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ObjectView {
    /// Its key.
    #[schema(example = "in/trip/a.jpg")]
    pub(crate) object_name: String,
    /// Bytes.
    pub(crate) size_bytes: u64,
    /// When it became visible.
    #[schema(value_type = String, example = "2026-11-24T12:00:00Z")]
    pub(crate) last_modified: Timestamp,
}
