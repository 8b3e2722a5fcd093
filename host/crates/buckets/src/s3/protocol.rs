//! Which operation is where. What is not here answers `NotImplemented`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use s3s::{S3, S3ErrorCode, S3Request, S3Response, S3Result, dto, s3_error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{EndpointLimits, convert, stubs};
use crate::LocalBuckets;
use crate::body::INLINE;

/// S3 over the buckets of this host.
#[derive(Debug)]
pub(super) struct Protocol {
    pub(super) buckets: Arc<LocalBuckets>,
    /// For uploads that are written to a file as they come: each holds a thread, and threads are not without end.
    uploads: Arc<Semaphore>,
    /// For one of them.
    patience: Duration,
}

impl Protocol {
    pub(super) fn new(buckets: Arc<LocalBuckets>, limits: &EndpointLimits) -> Self {
        Self { buckets, uploads: Arc::new(Semaphore::new(limits.uploads)), patience: limits.body }
    }

    /// Leave to upload so much, for as long as the permit is held; a small body needs none.
    pub(super) async fn admit(&self, length: Option<u64>) -> S3Result<Option<OwnedSemaphorePermit>> {
        if length.is_some_and(|length| length <= INLINE as u64) {
            return Ok(None);
        }
        match tokio::time::timeout(self.patience, self.uploads.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            Ok(Err(_)) | Err(_) => {
                Err(s3_error!(SlowDown, "as many large uploads are under way as this host takes at once"))
            }
        }
    }
}

type Answer<T> = S3Result<S3Response<T>>;

#[async_trait]
impl S3 for Protocol {
    async fn list_buckets(
        &self,
        request: S3Request<dto::ListBucketsInput>,
    ) -> Answer<dto::ListBucketsOutput> {
        self.all_buckets(request).await
    }

    async fn create_bucket(
        &self,
        request: S3Request<dto::CreateBucketInput>,
    ) -> Answer<dto::CreateBucketOutput> {
        self.make_bucket(request).await
    }

    async fn head_bucket(&self, request: S3Request<dto::HeadBucketInput>) -> Answer<dto::HeadBucketOutput> {
        self.look_for_bucket(request).await
    }

    async fn delete_bucket(
        &self,
        request: S3Request<dto::DeleteBucketInput>,
    ) -> Answer<dto::DeleteBucketOutput> {
        self.remove_bucket(request).await
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<dto::GetBucketLocationInput>,
    ) -> Answer<dto::GetBucketLocationOutput> {
        self.location_of_bucket(request).await
    }

    async fn put_object(&self, request: S3Request<dto::PutObjectInput>) -> Answer<dto::PutObjectOutput> {
        self.store_object(request).await
    }

    async fn copy_object(&self, request: S3Request<dto::CopyObjectInput>) -> Answer<dto::CopyObjectOutput> {
        self.copy_of_object(request).await
    }

    async fn get_object(&self, request: S3Request<dto::GetObjectInput>) -> Answer<dto::GetObjectOutput> {
        self.read_object(request).await
    }

    async fn head_object(&self, request: S3Request<dto::HeadObjectInput>) -> Answer<dto::HeadObjectOutput> {
        self.head_of_object(request).await
    }

    async fn get_object_attributes(
        &self,
        request: S3Request<dto::GetObjectAttributesInput>,
    ) -> Answer<dto::GetObjectAttributesOutput> {
        self.attributes_of_object(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> Answer<dto::DeleteObjectOutput> {
        self.remove_object(request).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> Answer<dto::DeleteObjectsOutput> {
        self.remove_objects(request).await
    }

    async fn list_objects(
        &self,
        request: S3Request<dto::ListObjectsInput>,
    ) -> Answer<dto::ListObjectsOutput> {
        self.list_first(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> Answer<dto::ListObjectsV2Output> {
        self.list_second(request).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> Answer<dto::CreateMultipartUploadOutput> {
        self.begin_upload(request).await
    }

    async fn upload_part(&self, request: S3Request<dto::UploadPartInput>) -> Answer<dto::UploadPartOutput> {
        self.store_part(request).await
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<dto::UploadPartCopyInput>,
    ) -> Answer<dto::UploadPartCopyOutput> {
        self.copy_part(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> Answer<dto::CompleteMultipartUploadOutput> {
        self.complete_upload(request).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> Answer<dto::AbortMultipartUploadOutput> {
        self.abort_upload(request).await
    }

    async fn list_parts(&self, request: S3Request<dto::ListPartsInput>) -> Answer<dto::ListPartsOutput> {
        self.parts_of_upload(request).await
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> Answer<dto::ListMultipartUploadsOutput> {
        self.list_uploads(request).await
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<dto::GetBucketVersioningInput>,
    ) -> Answer<dto::GetBucketVersioningOutput> {
        self.bucket_exists(&request.input.bucket).await?;
        Ok(S3Response::new(dto::GetBucketVersioningOutput::default()))
    }

    async fn get_bucket_acl(
        &self,
        request: S3Request<dto::GetBucketAclInput>,
    ) -> Answer<dto::GetBucketAclOutput> {
        self.bucket_exists(&request.input.bucket).await?;
        let (grants, owner) = (Some(stubs::grants()), Some(convert::owner()));
        Ok(S3Response::new(dto::GetBucketAclOutput { grants, owner }))
    }

    async fn get_object_acl(
        &self,
        request: S3Request<dto::GetObjectAclInput>,
    ) -> Answer<dto::GetObjectAclOutput> {
        self.object_exists(&request.input.bucket, &request.input.key).await?;
        let (grants, owner) = (Some(stubs::grants()), Some(convert::owner()));
        Ok(S3Response::new(dto::GetObjectAclOutput { grants, owner, request_charged: None }))
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<dto::GetObjectTaggingInput>,
    ) -> Answer<dto::GetObjectTaggingOutput> {
        self.object_exists(&request.input.bucket, &request.input.key).await?;
        Ok(S3Response::new(dto::GetObjectTaggingOutput::default()))
    }

    async fn get_bucket_notification_configuration(
        &self,
        request: S3Request<dto::GetBucketNotificationConfigurationInput>,
    ) -> Answer<dto::GetBucketNotificationConfigurationOutput> {
        self.bucket_exists(&request.input.bucket).await?;
        Ok(S3Response::new(dto::GetBucketNotificationConfigurationOutput::default()))
    }

    async fn get_bucket_tagging(
        &self,
        request: S3Request<dto::GetBucketTaggingInput>,
    ) -> Answer<dto::GetBucketTaggingOutput> {
        Err(self.has_no(&request.input.bucket, S3ErrorCode::NoSuchTagSet, "tags").await)
    }

    async fn get_bucket_policy(
        &self,
        request: S3Request<dto::GetBucketPolicyInput>,
    ) -> Answer<dto::GetBucketPolicyOutput> {
        Err(self.has_no(&request.input.bucket, S3ErrorCode::NoSuchBucketPolicy, "policy").await)
    }

    async fn get_bucket_cors(
        &self,
        request: S3Request<dto::GetBucketCorsInput>,
    ) -> Answer<dto::GetBucketCorsOutput> {
        Err(self
            .has_no(&request.input.bucket, S3ErrorCode::NoSuchCORSConfiguration, "CORS configuration")
            .await)
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        request: S3Request<dto::GetBucketLifecycleConfigurationInput>,
    ) -> Answer<dto::GetBucketLifecycleConfigurationOutput> {
        Err(self
            .has_no(
                &request.input.bucket,
                S3ErrorCode::NoSuchLifecycleConfiguration,
                "lifecycle configuration",
            )
            .await)
    }

    async fn get_bucket_encryption(
        &self,
        request: S3Request<dto::GetBucketEncryptionInput>,
    ) -> Answer<dto::GetBucketEncryptionOutput> {
        Err(self
            .has_no(
                &request.input.bucket,
                S3ErrorCode::ServerSideEncryptionConfigurationNotFoundError,
                "encryption configuration",
            )
            .await)
    }

    async fn get_object_lock_configuration(
        &self,
        request: S3Request<dto::GetObjectLockConfigurationInput>,
    ) -> Answer<dto::GetObjectLockConfigurationOutput> {
        Err(self
            .has_no(
                &request.input.bucket,
                S3ErrorCode::ObjectLockConfigurationNotFoundError,
                "object lock configuration",
            )
            .await)
    }

    async fn get_bucket_website(
        &self,
        request: S3Request<dto::GetBucketWebsiteInput>,
    ) -> Answer<dto::GetBucketWebsiteOutput> {
        Err(self
            .has_no(&request.input.bucket, S3ErrorCode::NoSuchWebsiteConfiguration, "website configuration")
            .await)
    }
}
