//! Operations on uploads in parts.

use s3s::dto::{
    self, AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumType, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyPartResult, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    ETag, ListPartsInput, ListPartsOutput, Part, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::convert::{self, checksums_of, with_checksums};
use super::error::answer;
use super::preconditions::Preconditions;
use super::protocol::Protocol;
use super::write::{MAX_BODY, body, check_length, source};
use crate::BucketError;
use crate::checksum::{Algorithm, Claims};
use crate::multipart::{Begun, MAX_PARTS, Named};

fn number(number: i32) -> S3Result<u32> {
    let number = u32::try_from(number).ok().filter(|number| (1..=MAX_PARTS).contains(number));
    number.ok_or_else(|| s3_error!(InvalidArgument, "a part's number is 1 to {MAX_PARTS}"))
}

/// `bytes=first-last`, both needed.
fn copy_range(text: &str) -> S3Result<dto::Range> {
    match dto::Range::parse(text) {
        Ok(range @ dto::Range::Int { last: Some(_), .. }) => Ok(range),
        Ok(_) | Err(_) => Err(s3_error!(InvalidArgument, "x-amz-copy-source-range is `bytes=first-last`")),
    }
}

impl Protocol {
    pub(super) async fn begin_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let (mut input, headers) = (request.input, request.headers);
        let (bucket, key) = (convert::bucket(&input.bucket)?, convert::key(&input.key)?);
        convert::unsupported(&headers)?;
        let algorithm = match &input.checksum_algorithm {
            None => None,
            Some(name) => Some(Algorithm::from_name(name.as_str()).ok_or_else(|| {
                s3_error!(InvalidRequest, "this host computes CRC32, CRC32C, CRC64NVME, SHA1 and SHA256")
            })?),
        };
        let whole = match (input.checksum_type.as_ref().map(ChecksumType::as_str), algorithm) {
            (None, algorithm) => algorithm == Some(Algorithm::Crc64Nvme),
            (Some(ChecksumType::FULL_OBJECT), Some(Algorithm::Sha1 | Algorithm::Sha256))
            | (Some(ChecksumType::COMPOSITE), Some(Algorithm::Crc64Nvme)) => {
                return Err(s3_error!(InvalidRequest, "this checksum has no such type"));
            }
            (Some(kind), _) => kind == ChecksumType::FULL_OBJECT,
        };
        let meta = convert::meta(&headers, input.metadata.take())?;
        let begun = Begun { meta, algorithm: algorithm.map(|algorithm| algorithm.name().to_owned()), whole };
        let id = self.buckets.begin_upload(&bucket, &key, &begun).await.map_err(answer)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: algorithm.map(|_| checksum_type(&begun)),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn store_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let (mut input, headers) = (request.input, request.headers);
        let (bucket, key) = (convert::bucket(&input.bucket)?, convert::key(&input.key)?);
        let number = number(input.part_number)?;
        convert::unsupported(&headers)?;
        let given = checksums_of!(input);
        let claims =
            convert::claims(&headers, request.trailing_headers, input.content_md5.as_deref(), given)?;
        check_length(claims.length)?;
        let _leave = self.admit(claims.length).await?;
        let (of, part) = ((&bucket, &key), (input.upload_id.as_str(), number));
        let stored = self.buckets.put_part(of, part, body(input.body), claims, MAX_BODY).await;
        let info = stored.map_err(answer)?;
        let output =
            UploadPartOutput { e_tag: Some(convert::etag(&info.etag)), ..UploadPartOutput::default() };
        Ok(S3Response::new(with_checksums!(output, &info.checksums)))
    }

    pub(super) async fn copy_part(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let (input, headers) = (request.input, request.headers);
        let (bucket, key) = (convert::bucket(&input.bucket)?, convert::key(&input.key)?);
        let (from_bucket, from) = source(&input.copy_source)?;
        let number = number(input.part_number)?;
        convert::unsupported(&headers)?;
        let opened = self.buckets.open_object(&from_bucket, &from).await.map_err(answer)?;
        let conditions = Preconditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        conditions.check(&opened.info).map_err(|_| answer(BucketError::Condition(from)))?;
        let size = opened.info.size;
        let range = match input.copy_source_range.as_deref().map(copy_range).transpose()? {
            None => 0..size,
            // Unlike a reader's, this range must lie within the object.
            Some(dto::Range::Int { last: Some(last), .. }) if last >= size => {
                return Err(s3_error!(
                    InvalidArgument,
                    "the range ends outside of the source's {size} bytes"
                ));
            }
            Some(range) => range.check(size).map_err(|_| answer(BucketError::Range(size)))?,
        };
        let length = range.end - range.start;
        check_length(Some(length))?;
        let bytes = opened.bytes(range).await.map_err(answer)?;
        let claims = Claims { length: Some(length), ..Claims::default() };
        let (of, part) = ((&bucket, &key), (input.upload_id.as_str(), number));
        let info = self.buckets.put_part(of, part, bytes, claims, MAX_BODY).await.map_err(answer)?;
        let result = CopyPartResult {
            e_tag: Some(convert::etag(&info.etag)),
            last_modified: Some(convert::time(info.modified)),
            ..CopyPartResult::default()
        };
        let result = with_checksums!(result, &info.checksums);
        Ok(S3Response::new(UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() }))
    }

    pub(super) async fn complete_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let mut input = request.input;
        let (bucket, key) = (convert::bucket(&input.bucket)?, convert::key(&input.key)?);
        let condition = convert::condition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let told = input.multipart_upload.take().and_then(|upload| upload.parts).unwrap_or_default();
        if told.is_empty() || told.len() > MAX_PARTS as usize {
            return Err(s3_error!(MalformedXML, "1 to {MAX_PARTS} parts can be named"));
        }
        let mut named = Named::default();
        for part in told {
            let number = number(part.part_number.unwrap_or(0))?;
            let Some(etag) = part.e_tag.map(ETag::into_value) else {
                return Err(s3_error!(InvalidPart, "part {number} is named without its ETag"));
            };
            named.parts.push((number, etag));
        }
        named.size = input.mpu_object_size.and_then(|size| u64::try_from(size).ok());
        let given = checksums_of!(input);
        named.checksums = given.into_iter().filter_map(|(algorithm, sum)| Some((algorithm, sum?))).collect();
        let completed = self.buckets.complete_upload(&bucket, &key, &input.upload_id, named, condition).await;
        let info = completed.map_err(answer)?;
        let location = format!("/{bucket}/{}", super::listing::encoded(key.as_str()));
        let output = CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(convert::etag(&info.etag)),
            location: Some(location),
            checksum_type: convert::checksum_type(&info.meta.checksums),
            ..CompleteMultipartUploadOutput::default()
        };
        Ok(S3Response::new(with_checksums!(output, &info.meta.checksums)))
    }

    pub(super) async fn abort_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        let (bucket, key) = (convert::bucket(&input.bucket)?, convert::key(&input.key)?);
        self.buckets.abort_upload(&bucket, &key, &input.upload_id).await.map_err(answer)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(super) async fn parts_of_upload(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let input = request.input;
        let (bucket, key) = (convert::bucket(&input.bucket)?, convert::key(&input.key)?);
        let most = convert::limit(input.max_parts, 1000, "max-parts")?;
        let after = u32::try_from(input.part_number_marker.unwrap_or(0)).unwrap_or(0);
        // One more than is told, to know whether there are more.
        let page = self.buckets.parts(&bucket, &key, &input.upload_id, (after, most + 1)).await;
        let (mut parts, begun) = page.map_err(answer)?;
        let is_truncated = parts.len() > most as usize && most > 0;
        parts.truncate(most as usize);
        let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let next = parts.last().filter(|_| is_truncated).map(|part| signed(part.number));
        let parts = parts.into_iter().map(|part| {
            let output = Part {
                e_tag: Some(convert::etag(&part.etag)),
                last_modified: Some(convert::time(part.modified)),
                part_number: Some(signed(part.number)),
                size: Some(convert::size(part.size)),
                ..Part::default()
            };
            with_checksums!(output, &part.checksums)
        });
        Ok(S3Response::new(ListPartsOutput {
            parts: Some(parts.collect()),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            is_truncated: Some(is_truncated),
            max_parts: Some(signed(most)),
            next_part_number_marker: next,
            part_number_marker: Some(signed(after)),
            checksum_algorithm: begun.algorithm.clone().map(dto::ChecksumAlgorithm::from),
            checksum_type: begun.algorithm.as_ref().map(|_| checksum_type(&begun)),
            storage_class: Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
            owner: Some(convert::owner()),
            initiator: Some(super::listing::initiator()),
            ..ListPartsOutput::default()
        }))
    }
}

fn checksum_type(begun: &Begun) -> ChecksumType {
    ChecksumType::from_static(if begun.whole { ChecksumType::FULL_OBJECT } else { ChecksumType::COMPOSITE })
}
