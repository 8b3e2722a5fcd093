//! Conditions on reading an object, as RFC 9110 and S3 have them.

use http::{HeaderMap, HeaderValue, header};
use s3s::dto::{self, ETagCondition};
use s3s::{S3Error, S3ErrorCode, s3_error};

use super::convert;
use crate::ObjectInfo;

/// Conditions on reading an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Preconditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<dto::Timestamp>,
    pub(super) if_unmodified_since: Option<dto::Timestamp>,
}

/// Which one does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmet {
    /// The client has this object already.
    Unchanged,
    /// The client wants another object.
    Failed,
}

impl Preconditions {
    /// Whether they hold: an entity tag says more than a time.
    pub(super) fn check(&self, info: &ObjectInfo) -> Result<(), Unmet> {
        // HTTP's times have no fractions.
        let modified = time::OffsetDateTime::from(convert::time(info.modified)).unix_timestamp();
        let at = |time: &dto::Timestamp| time::OffsetDateTime::from(time.clone()).unix_timestamp();
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(tag), _) if !matches(tag, &info.etag) => return Err(Unmet::Failed),
            (None, Some(since)) if modified > at(since) => return Err(Unmet::Failed),
            (Some(_) | None, Some(_) | None) => {}
        }
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(tag), _) if matches(tag, &info.etag) => Err(Unmet::Unchanged),
            (None, Some(since)) if modified <= at(since) => Err(Unmet::Unchanged),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }
}

/// Also a list of tags, which the protocol crate takes for one.
fn matches(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(tag) => tag.value().split("\", \"").any(|tag| tag == etag),
    }
}

impl Unmet {
    /// The answer to somebody who reads this object.
    pub(super) fn answer(self, info: &ObjectInfo) -> S3Error {
        if self == Self::Failed {
            return s3_error!(
                PreconditionFailed,
                "the object is not as If-Match or If-Unmodified-Since wants it"
            );
        }
        let mut error = S3Error::new(S3ErrorCode::NotModified);
        let mut headers = HeaderMap::new();
        if let Ok(etag) = convert::etag(&info.etag).to_http_header() {
            headers.insert(header::ETAG, etag);
        }
        let modified = convert::http_date(&convert::time(info.modified));
        if let Some(modified) = modified.and_then(|time| HeaderValue::try_from(time).ok()) {
            headers.insert(header::LAST_MODIFIED, modified);
        }
        error.set_headers(headers);
        error
    }
}
