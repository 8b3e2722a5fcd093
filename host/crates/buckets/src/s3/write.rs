//! Operations that write, copy and remove objects.

use s3s::dto::{
    self, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, MetadataDirective,
    PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::{Body, S3Error, S3Request, S3Response, S3Result, s3_error};
use wicket_config::{BucketName, ObjectKey};

use super::convert::{self, checksums_of, with_checksums};
use super::error::{answer, not_offered};
use super::preconditions::Preconditions;
use super::protocol::Protocol;
use crate::{BucketError, Condition, ObjectMeta};

/// Largest body of one request, as in S3.
pub(super) const MAX_BODY: u64 = 5 << 30;
/// Most objects of one request to delete.
const MAX_DELETE: usize = 1000;

/// Where a copy comes from.
pub(super) fn source(source: &CopySource) -> S3Result<(BucketName, ObjectKey)> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(not_offered("an access point"));
    };
    convert::version(version_id.as_deref())?;
    Ok((convert::bucket(bucket)?, convert::key(key)?))
}

pub(super) fn body(body: Option<StreamingBlob>) -> StreamingBlob {
    body.unwrap_or_else(|| StreamingBlob::from(Body::empty()))
}

/// Tells a body that cannot be stored before it is taken.
pub(super) fn check_length(length: Option<u64>) -> S3Result<()> {
    if length.is_some_and(|length| length > MAX_BODY) {
        return Err(answer(BucketError::TooLarge { limit: MAX_BODY }));
    }
    Ok(())
}

impl Protocol {
    pub(super) async fn store_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let (mut input, headers) = (request.input, request.headers);
        let (bucket, key) = (convert::bucket(&input.bucket)?, convert::key(&input.key)?);
        convert::unsupported(&headers)?;
        let meta = convert::meta(&headers, input.metadata.take())?;
        let condition = convert::condition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let given = checksums_of!(input);
        let claims =
            convert::claims(&headers, request.trailing_headers, input.content_md5.as_deref(), given)?;
        check_length(claims.length)?;
        let _leave = self.admit(claims.length).await?;
        let (of, body) = ((&bucket, &key), body(input.body));
        let stored = self.buckets.put_checked(of, meta, body, claims, (condition, MAX_BODY)).await;
        let info = stored.map_err(answer)?;
        let output = PutObjectOutput {
            e_tag: Some(convert::etag(&info.etag)),
            checksum_type: convert::checksum_type(&info.meta.checksums),
            ..PutObjectOutput::default()
        };
        Ok(S3Response::new(with_checksums!(output, &info.meta.checksums)))
    }

    pub(super) async fn copy_of_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let (mut input, headers) = (request.input, request.headers);
        let (bucket, key) = (convert::bucket(&input.bucket)?, convert::key(&input.key)?);
        let (from_bucket, from) = source(&input.copy_source)?;
        convert::unsupported(&headers)?;
        let replace = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
            None | Some(MetadataDirective::COPY) => None,
            Some(MetadataDirective::REPLACE) => Some(convert::meta(&headers, input.metadata.take())?),
            Some(_) => return Err(s3_error!(InvalidArgument, "x-amz-metadata-directive is COPY or REPLACE")),
        };
        if replace.is_none() && (&bucket, &key) == (&from_bucket, &from) {
            return Err(s3_error!(InvalidRequest, "a copy of an object to itself must replace its metadata"));
        }
        let if_match = convert::condition_header(&headers, "if-match")?;
        let if_none_match = convert::condition_header(&headers, "if-none-match")?;
        let condition = convert::condition(if_match.as_ref(), if_none_match.as_ref())?;
        let conditions = Preconditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        let meta = move |original: &crate::ObjectInfo| -> Result<ObjectMeta, BucketError> {
            // Whichever does not hold: 412.
            conditions.check(original).map_err(|_| BucketError::Condition(original.key.clone()))?;
            Ok(replace.unwrap_or_else(|| original.meta.clone()))
        };
        let copied = self.buckets.copy((&from_bucket, &from), (&bucket, &key), meta, condition).await;
        let info = copied.map_err(answer)?;
        let result = CopyObjectResult {
            e_tag: Some(convert::etag(&info.etag)),
            last_modified: Some(convert::time(info.modified)),
            checksum_type: convert::checksum_type(&info.meta.checksums),
            ..CopyObjectResult::default()
        };
        let result = with_checksums!(result, &info.meta.checksums);
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(result),
            ..CopyObjectOutput::default()
        }))
    }

    pub(super) async fn remove_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        let (bucket, key) = (convert::bucket(&input.bucket)?, convert::key(&input.key)?);
        convert::version(input.version_id.as_deref())?;
        if input.if_match_size.is_some() || input.if_match_last_modified_time.is_some() {
            return Err(not_offered("a condition on size or time, on a delete,"));
        }
        let condition = convert::condition(input.if_match.as_ref(), None)?;
        let deleted = match condition {
            Condition::Always => self.buckets.delete(&bucket, vec![key]).await,
            condition => self.buckets.delete_if(&bucket, &key, condition).await,
        };
        deleted.map_err(answer)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    pub(super) async fn remove_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        let bucket = convert::bucket(&input.bucket)?;
        let named = input.delete.objects;
        if named.is_empty() || named.len() > MAX_DELETE {
            return Err(s3_error!(MalformedXML, "1 to {MAX_DELETE} objects can be named"));
        }
        let (mut keys, mut errors) = (Vec::new(), Vec::new());
        for object in named {
            let has_condition =
                object.e_tag.is_some() || object.size.is_some() || object.last_modified_time.is_some();
            let checked =
                convert::version(object.version_id.as_deref()).and_then(|()| convert::key(&object.key));
            match checked {
                Ok(_) if has_condition => {
                    errors.push(error(object.key, &not_offered("a condition on one of many")));
                }
                Ok(key) => keys.push(key),
                Err(refused) => errors.push(error(object.key, &refused)),
            }
        }
        self.buckets.delete(&bucket, keys.clone()).await.map_err(answer)?;
        let told =
            keys.into_iter().map(|key| DeletedObject { key: Some(key.to_string()), ..Default::default() });
        let deleted = if input.delete.quiet == Some(true) { Vec::new() } else { told.collect() };
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors),
            ..DeleteObjectsOutput::default()
        }))
    }
}

fn error(key: String, refused: &S3Error) -> dto::Error {
    dto::Error {
        code: Some(refused.code().as_str().to_owned()),
        key: Some(key.chars().take(1024).collect()),
        message: refused.message().map(str::to_owned),
        version_id: None,
    }
}
