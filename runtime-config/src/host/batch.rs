//! `[batch]` of the operator's file.

use std::path::PathBuf;

use toml::de::DeValue;

use super::{Field, Section, text};
use crate::{BucketName, Span};

section! {
    /// `[batch]`: jobs of AWS Batch. Without a bucket there are none.
    BatchSection {
        /// The bucket in which attempts have their files while they run.
        bucket: Option<BucketName> = None,
        /// What all keys in it begin with.
        prefix: Folder = Folder("wicketgate".to_owned()),
        /// The queue of services that name none.
        queue: Option<String> = None,
        /// Region; none: that of `AWS_REGION` or `AWS_DEFAULT_REGION`, or `us-east-1`.
        region: Option<String> = None,
        /// Base URL of Batch and CloudWatch Logs; none: AWS itself.
        endpoint: Option<String> = None,
        /// Access key; none: the keys of `AWS_ACCESS_KEY_ID` and its like.
        access_key: Option<String> = None,
        /// Secret key.
        secret_key: Option<Hidden> = None,
        /// Token of keys that are lent for a time.
        session_token: Option<Hidden> = None,
        /// Base URL of the bucket's S3; none: AWS itself.
        s3_endpoint: Option<String> = None,
        /// Region of the bucket; none: the same.
        s3_region: Option<String> = None,
        /// Access key for the bucket; none: the same keys.
        s3_access_key: Option<String> = None,
        /// Secret key for the bucket.
        s3_secret_key: Option<Hidden> = None,
        /// The folder on compute nodes that has the supervisor in it.
        supervisor: PathBuf = PathBuf::from("/opt/wicketgate"),
        /// The log group that jobs write to.
        log_group: String = "/aws/batch/job".to_owned(),
        /// Jobs at once, over all services.
        max_jobs: u32 = 100,
        /// Attempts of one service that begin together and become one array job; 1: none do.
        max_array: u32 = 100,
        /// The longest time between two looks at the jobs.
        poll: Span = Span::secs(10),
        /// How long a function that took too long may take to end, from SIGTERM to SIGKILL.
        stop_grace: Span = Span::secs(10),
    }
}

/// A text that shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(…)")
    }
}

/// What keys begin with: parts of letters, digits, `-`, `_` and `.`, with `/` between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(pub String);

impl Field for Hidden {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        String::read(value).map(Self)
    }
}

impl Field for Folder {
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let read = text(value, "the beginning of keys, like \"wicketgate\"")?;
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let plain = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(letter);
        match read.len() <= 200 && read.split('/').all(plain) {
            true => Ok(Self(read.to_owned())),
            false => {
                Err("this is parts of letters, digits, `-`, `_` and `.`, with `/` between them".to_owned())
            }
        }
    }
}
