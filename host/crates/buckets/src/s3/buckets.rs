//! Operations on buckets.

use s3s::dto::{
    self, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
    GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput,
    ListBucketsOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::convert;
use super::error::{answer, not_offered};
use super::protocol::Protocol;

/// The one region there is.
pub(super) const REGION: &str = "us-east-1";

impl Protocol {
    pub(super) async fn all_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let input = request.input;
        let most = convert::limit(input.max_buckets, 10_000, "max-buckets")? as usize;
        let prefix = input.prefix.clone().unwrap_or_default();
        let mut found = self.buckets.buckets().await.map_err(answer)?;
        found.retain(|bucket| {
            let name = bucket.name.as_str();
            name.starts_with(&prefix) && input.continuation_token.as_deref().is_none_or(|after| name > after)
        });
        let is_truncated = input.max_buckets.is_some() && found.len() > most;
        if is_truncated {
            found.truncate(most);
        }
        let next = found.last().filter(|_| is_truncated).map(|bucket| bucket.name.to_string());
        let buckets = found.into_iter().map(|bucket| dto::Bucket {
            name: Some(bucket.name.to_string()),
            creation_date: Some(convert::time(bucket.created)),
            ..dto::Bucket::default()
        });
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(convert::owner()),
            continuation_token: next,
            prefix: input.prefix,
        }))
    }

    pub(super) async fn make_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let input = request.input;
        let bucket = convert::bucket(&input.bucket)?;
        if input.object_lock_enabled_for_bucket == Some(true) {
            return Err(not_offered("an object lock"));
        }
        if let Some(acl) = &input.acl
            && acl.as_str() != "private"
        {
            return Err(s3_error!(AccessControlListNotSupported, "buckets of this host are never public"));
        }
        if !self.buckets.create(&bucket).await.map_err(answer)? {
            return Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "there is a bucket `{bucket}` already, and it is yours"
            ));
        }
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{bucket}")) }))
    }

    pub(super) async fn look_for_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket_exists(&request.input.bucket).await?;
        Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(REGION.to_owned()), ..Default::default() }))
    }

    pub(super) async fn remove_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let bucket = convert::bucket(&request.input.bucket)?;
        self.buckets.remove(&bucket).await.map_err(answer)?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    pub(super) async fn location_of_bucket(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket_exists(&request.input.bucket).await?;
        // In S3, the first region is told by telling none.
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    /// Fails unless there is such a bucket.
    pub(super) async fn bucket_exists(&self, name: &str) -> S3Result<()> {
        self.buckets.exists(&convert::bucket(name)?).await.map_err(answer)
    }
}
