//! Operations that read an object.

use std::ops::Range;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::dto::{
    self, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts, GetObjectInput,
    GetObjectOutput, HeadObjectInput, HeadObjectOutput, ObjectAttributes, ObjectPart,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::convert::{self, with_checksums};
use super::error::answer;
use super::preconditions::Preconditions;
use super::protocol::Protocol;
use crate::reading::Opened;
use crate::{BucketError, ObjectInfo};

/// What S3 says of an object that came without a media type.
const NO_TYPE: &str = "binary/octet-stream";

/// The bytes that a reader wants.
struct Wanted {
    range: Range<u64>,
    /// `Content-Range`, when it is not all.
    told: Option<String>,
    /// How many parts the object has, when one was asked for.
    parts: Option<i32>,
}

fn wanted(opened: &Opened, range: Option<dto::Range>, part: Option<i32>) -> S3Result<Wanted> {
    let size = opened.info.size;
    let part_range = part.map(|number| part_range(opened, number)).transpose()?;
    let range = match (range, part_range) {
        (Some(_), Some(_)) => return Err(s3_error!(InvalidRequest, "a range and a part exclude each other")),
        (None, None) => return Ok(Wanted { range: 0..size, told: None, parts: None }),
        (None, Some(range)) => range,
        (Some(range), None) => {
            let range = range.check(size).ok().filter(|range| !range.is_empty());
            range.ok_or_else(|| answer(BucketError::Range(size)))?
        }
    };
    let told = (!range.is_empty()).then(|| format!("bytes {}-{}/{size}", range.start, range.end - 1));
    let parts =
        part.map(|_| i32::try_from(opened.parts().len()).unwrap_or(i32::MAX)).filter(|&parts| parts > 0);
    Ok(Wanted { range, told, parts })
}

fn part_range(opened: &Opened, number: i32) -> S3Result<Range<u64>> {
    let mut parts = opened.parts();
    if parts.is_empty() {
        parts.push(opened.info.size);
    }
    let before = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    let Some((before, size)) = before.and_then(|before| Some((before, *parts.get(before)?))) else {
        let mut error = s3_error!(InvalidRange, "the object has no part {number}");
        error.set_code(s3s::S3ErrorCode::Custom("InvalidPartNumber".into()));
        error.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
        return Err(error);
    };
    let start: u64 = parts[..before].iter().sum();
    Ok(start..start + size)
}

impl Protocol {
    async fn opened(
        &self,
        (bucket, key): (&str, &str),
        version: Option<&str>,
        conditions: Preconditions,
    ) -> S3Result<Opened> {
        let (bucket, key) = (convert::bucket(bucket)?, convert::key(key)?);
        convert::version(version)?;
        let opened = self.buckets.open_object(&bucket, &key).await.map_err(answer)?;
        conditions.check(&opened.info).map_err(|unmet| unmet.answer(&opened.info))?;
        Ok(opened)
    }

    pub(super) async fn read_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let conditions = Preconditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        let version = input.version_id.as_deref();
        let opened = self.opened((&input.bucket, &input.key), version, conditions).await?;
        let wanted = wanted(&opened, input.range, input.part_number)?;
        let info = opened.info.clone();
        let bytes = opened.bytes(wanted.range.clone()).await.map_err(answer)?;
        let output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(convert::blob(bytes)),
            content_length: Some(convert::size(wanted.range.end - wanted.range.start)),
            content_type: Some(info.meta.content_type.clone().unwrap_or_else(|| NO_TYPE.to_owned())),
            e_tag: Some(convert::etag(&info.etag)),
            last_modified: Some(convert::time(info.modified)),
            metadata: user_metadata(&info),
            parts_count: wanted.parts,
            ..GetObjectOutput::default()
        };
        // A checksum is of the whole.
        let output = if input.checksum_mode.is_some() && wanted.told.is_none() {
            let output = with_checksums!(output, &info.meta.checksums);
            GetObjectOutput { checksum_type: convert::checksum_type(&info.meta.checksums), ..output }
        } else {
            output
        };
        let output = GetObjectOutput { content_range: wanted.told, ..output };
        let mut headers = kept_headers(&info);
        // These the protocol crate sets, and what stands here would win.
        let overridden = [
            (header::CACHE_CONTROL, input.response_cache_control.is_some()),
            (header::CONTENT_DISPOSITION, input.response_content_disposition.is_some()),
            (header::CONTENT_ENCODING, input.response_content_encoding.is_some()),
            (header::CONTENT_LANGUAGE, input.response_content_language.is_some()),
            (header::EXPIRES, input.response_expires.is_some()),
        ];
        for (name, _) in overridden.iter().filter(|(_, is_set)| *is_set) {
            headers.remove(name);
        }
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) async fn head_of_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let conditions = Preconditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        let version = input.version_id.as_deref();
        let opened = self.opened((&input.bucket, &input.key), version, conditions).await?;
        let wanted = wanted(&opened, input.range, input.part_number)?;
        let info = opened.info;
        let mut headers = kept_headers(&info);
        let overridden = [
            (header::CACHE_CONTROL, input.response_cache_control),
            (header::CONTENT_DISPOSITION, input.response_content_disposition),
            (header::CONTENT_ENCODING, input.response_content_encoding),
            (header::CONTENT_LANGUAGE, input.response_content_language),
            (header::EXPIRES, input.response_expires.as_ref().and_then(convert::http_date)),
        ];
        for (name, value) in overridden {
            let Some(value) = value else { continue };
            let value = HeaderValue::try_from(value);
            headers.insert(
                name,
                value.map_err(|_| s3_error!(InvalidArgument, "an overridden header is not one"))?,
            );
        }
        let media = input.response_content_type.or_else(|| info.meta.content_type.clone());
        let output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(convert::size(wanted.range.end - wanted.range.start)),
            content_type: Some(media.unwrap_or_else(|| NO_TYPE.to_owned())),
            e_tag: Some(convert::etag(&info.etag)),
            last_modified: Some(convert::time(info.modified)),
            metadata: user_metadata(&info),
            parts_count: wanted.parts,
            ..HeadObjectOutput::default()
        };
        let output = if input.checksum_mode.is_some() && wanted.told.is_none() {
            let output = with_checksums!(output, &info.meta.checksums);
            HeadObjectOutput { checksum_type: convert::checksum_type(&info.meta.checksums), ..output }
        } else {
            output
        };
        let is_part = wanted.told.is_some();
        let output = HeadObjectOutput { content_range: wanted.told, ..output };
        let mut response = S3Response::with_headers(output, headers);
        response.status = is_part.then_some(StatusCode::PARTIAL_CONTENT);
        Ok(response)
    }

    pub(super) async fn attributes_of_object(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let input = request.input;
        let version = input.version_id.as_deref();
        let opened = self.opened((&input.bucket, &input.key), version, Preconditions::default()).await?;
        let asked = |name: &str| input.object_attributes.iter().any(|attribute| attribute.as_str() == name);
        let info = &opened.info;
        let mut output = GetObjectAttributesOutput {
            last_modified: Some(convert::time(info.modified)),
            ..Default::default()
        };
        if asked(ObjectAttributes::ETAG) {
            output.e_tag = Some(convert::etag(&info.etag));
        }
        if asked(ObjectAttributes::OBJECT_SIZE) {
            output.object_size = Some(convert::size(info.size));
        }
        if asked(ObjectAttributes::STORAGE_CLASS) {
            output.storage_class = Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD));
        }
        if asked(ObjectAttributes::CHECKSUM) && !info.meta.checksums.is_empty() {
            let sums = with_checksums!(dto::Checksum::default(), &info.meta.checksums);
            let checksum_type = convert::checksum_type(&info.meta.checksums);
            output.checksum = Some(dto::Checksum { checksum_type, ..sums });
        }
        let parts = opened.parts();
        if asked(ObjectAttributes::OBJECT_PARTS) && !parts.is_empty() {
            let most = convert::limit(input.max_parts, 1000, "max-parts")?;
            output.object_parts = Some(object_parts(&parts, input.part_number_marker.unwrap_or(0), most));
        }
        Ok(S3Response::new(output))
    }
}

fn object_parts(sizes: &[u64], marker: i32, most: u32) -> GetObjectAttributesParts {
    let numbered = (1..).zip(sizes).filter(|(number, _)| *number > marker);
    let page: Vec<ObjectPart> = numbered
        .take(most as usize)
        .map(|(number, size)| ObjectPart {
            part_number: Some(number),
            size: Some(convert::size(*size)),
            ..ObjectPart::default()
        })
        .collect();
    let total = i32::try_from(sizes.len()).unwrap_or(i32::MAX);
    let last = page.last().and_then(|part| part.part_number).unwrap_or(marker);
    GetObjectAttributesParts {
        is_truncated: Some(last < total),
        max_parts: i32::try_from(most).ok(),
        next_part_number_marker: Some(last),
        part_number_marker: Some(marker),
        parts: Some(page),
        total_parts_count: Some(total),
    }
}

fn user_metadata(info: &ObjectInfo) -> Option<dto::Metadata> {
    let user = &info.meta.user;
    (!user.is_empty()).then(|| user.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Headers that were kept with the object, as they came.
fn kept_headers(info: &ObjectInfo) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &info.meta.headers {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers
}
