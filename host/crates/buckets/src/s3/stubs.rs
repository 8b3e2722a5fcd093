//! What clients ask for and this host does not keep: the answers of a bucket that has none of it.

use s3s::dto::{Grant, Grantee, Permission, Type};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::convert;
use super::error::answer;
use super::protocol::Protocol;

impl Protocol {
    /// The answer about a setting that this bucket, which must exist, does not have.
    pub(super) async fn has_no(&self, bucket: &str, code: S3ErrorCode, what: &str) -> S3Error {
        match self.bucket_exists(bucket).await {
            Ok(()) => {
                let mut error = S3Error::with_message(code, format!("the bucket has no {what}"));
                error.set_status_code(http::StatusCode::NOT_FOUND);
                error
            }
            Err(error) => error,
        }
    }

    /// Fails unless there is such an object.
    pub(super) async fn object_exists(&self, bucket: &str, key: &str) -> S3Result<()> {
        let (bucket, key) = (convert::bucket(bucket)?, convert::key(key)?);
        self.buckets.head(&bucket, &key).await.map(drop).map_err(answer)
    }
}

/// Everything belongs to one owner, who may do everything.
pub(super) fn grants() -> Vec<Grant> {
    let owner = convert::owner();
    let grantee = Grantee {
        display_name: owner.display_name,
        email_address: None,
        id: owner.id,
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    vec![Grant {
        grantee: Some(grantee),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }]
}
