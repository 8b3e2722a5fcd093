//! Why a bucket did not do what was asked.

use wicket_config::{BucketName, ObjectKey};
use wicket_core::ObjectError;
use wicket_store::StoreError;

/// Why a bucket did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// No such bucket.
    #[error("there is no bucket `{0}`")]
    NoBucket(BucketName),
    /// The bucket still holds something.
    #[error("bucket `{0}` is not empty")]
    NotEmpty(BucketName),
    /// No such object.
    #[error("there is no object `{1}` in bucket `{0}`")]
    NoObject(BucketName, ObjectKey),
    /// No such multipart upload, or it is of another key.
    #[error("there is no upload `{0}` of this object")]
    NoUpload(String),
    /// A part that was named is missing, or is another.
    #[error("part {0} is missing, or is not the one that was named")]
    BadPart(u32),
    /// Parts were named out of order.
    #[error("parts are named in ascending order")]
    PartOrder,
    /// A part in the middle is smaller than 5 MiB.
    #[error("part {0} is smaller than 5 MiB and not the last")]
    SmallPart(u32),
    /// The condition of a write does not hold.
    #[error("the condition on `{0}` does not hold")]
    Condition(ObjectKey),
    /// The range lies outside the object.
    #[error("the range is outside of the object's {0} bytes")]
    Range(u64),
    /// Over a limit.
    #[error("the object is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// What arrived is not what the client said it would be.
    #[error("the {0} of the body is not the one that was announced")]
    Checksum(&'static str),
    /// The body is shorter, or longer, than the client said.
    #[error("{announced} bytes were announced, {arrived} came: nothing was stored")]
    Length {
        /// What was announced.
        announced: u64,
        /// What came.
        arrived: u64,
    },
    /// A checksum of all bytes was asked for, and a part came without what it is made of.
    #[error("the parts have no {0} to make the object's of")]
    NoPartChecksum(&'static str),
    /// The body ended early, or its sender failed.
    #[error("the body could not be read")]
    Body(#[source] std::io::Error),
    /// The disk is full: nothing was stored.
    #[error("no space left for objects")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The disk failed.
    #[error("cannot work with an object's file")]
    File(#[source] std::io::Error),
    /// The store failed.
    #[error("the store of the buckets failed")]
    Store(#[source] StoreError),
}

impl BucketError {
    /// The same, to a function that asked for this object.
    pub fn for_object(self, bucket: &BucketName, key: &ObjectKey) -> ObjectError {
        let (bucket, key) = (bucket.to_string(), key.to_string());
        match self {
            Self::NoBucket(_) | Self::NoObject(..) => ObjectError::Missing { bucket, key },
            Self::Full(source) => ObjectError::Full(source),
            Self::TooLarge { .. } => ObjectError::Limit(self.to_string()),
            error => ObjectError::Storage { bucket, key, source: Box::new(error) },
        }
    }

    /// The same, to a function that asked for this bucket.
    pub fn for_bucket(self, bucket: &BucketName) -> ObjectError {
        let key = String::from("*");
        match self {
            Self::NoBucket(_) => ObjectError::Missing { bucket: bucket.to_string(), key },
            error => ObjectError::Storage { bucket: bucket.to_string(), key, source: Box::new(error) },
        }
    }

    /// An I/O error of a file: a full disk is told apart.
    pub(crate) fn file(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Full(Box::new(error))
            }
            _ => Self::File(error),
        }
    }
}

impl From<StoreError> for BucketError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(no) => match no.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Store(StoreError::Refused(other)),
            },
            StoreError::Full(_) => Self::Full(Box::new(error)),
            error => Self::Store(error),
        }
    }
}

/// A bucket's own no, inside a transaction.
pub(crate) fn no(error: BucketError) -> StoreError {
    StoreError::Refused(Box::new(error))
}
