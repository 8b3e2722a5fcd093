//! Between the protocol's types and ours.

use std::collections::BTreeMap;

use http::HeaderMap;
use s3s::dto::{self, ETag, ETagCondition, Owner, StreamingBlob, TimestampFormat};
use s3s::{Body, S3Result, TrailingHeaders, s3_error};
use wicket_config::{BucketName, ObjectKey};
use wicket_core::{ByteStream, Timestamp};

use super::error::not_offered;
use crate::checksum::{self, Algorithm, Claim, Claims};
use crate::{Condition, ObjectMeta};

/// User metadata, keys and values together, as in S3.
const USER_METADATA: usize = 2 << 10;
/// The other headers that are kept, together.
const KEPT_HEADERS: usize = 8 << 10;
/// Whom all buckets belong to, as S3 wants to be told.
const OWNER: &str = "wicketgate";

pub(super) fn bucket(name: &str) -> S3Result<BucketName> {
    name.parse().map_err(|error| s3_error!(InvalidBucketName, "{error}"))
}

pub(super) fn key(text: &str) -> S3Result<ObjectKey> {
    text.parse().map_err(|error| {
        if text.len() > 1024 {
            s3_error!(KeyTooLongError, "{error}")
        } else {
            s3_error!(InvalidArgument, "{error}")
        }
    })
}

/// There are no versions: only the one of all objects without versions can be asked for.
pub(super) fn version(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("" | "null") => Ok(()),
        Some(version) => {
            let version: String = version.chars().take(64).collect();
            Err(s3_error!(NoSuchVersion, "there is no version `{version}`: this host keeps no versions"))
        }
    }
}

pub(super) fn time(time: Timestamp) -> dto::Timestamp {
    let nanos = i128::from(time.0) * 1000;
    time::OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(time::OffsetDateTime::UNIX_EPOCH).into()
}

pub(super) fn http_date(time: &dto::Timestamp) -> Option<String> {
    let mut text = Vec::new();
    time.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

pub(super) fn etag(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

pub(super) fn size(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

pub(super) fn owner() -> Owner {
    Owner { display_name: Some(OWNER.to_owned()), id: Some(OWNER.to_owned()) }
}

/// A number that a client gives for how many it wants.
pub(super) fn limit(asked: Option<i32>, most: i32, name: &str) -> S3Result<u32> {
    let asked = asked.unwrap_or(most);
    u32::try_from(asked.min(most)).map_err(|_| s3_error!(InvalidArgument, "{name} is at least 0"))
}

pub(super) fn blob(bytes: ByteStream) -> StreamingBlob {
    use futures::TryStreamExt;
    StreamingBlob::from(Body::http_body_unsync(http_body_util::StreamBody::new(
        bytes.map_ok(http_body::Frame::data),
    )))
}

/// What must hold of the present object for a write.
pub(super) fn condition(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::Always),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (Some(ETagCondition::Any), None) => Ok(Condition::Present),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Condition::Matches(etag.value().to_owned())),
        (None, Some(ETagCondition::ETag(_))) => {
            Err(not_offered("If-None-Match with an entity tag, on a write,"))
        }
        (Some(_), Some(_)) => Err(s3_error!(InvalidRequest, "If-Match and If-None-Match exclude each other")),
    }
}

/// A header that holds a condition and has no field of its own.
pub(super) fn condition_header(headers: &HeaderMap, name: &str) -> S3Result<Option<ETagCondition>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = ETagCondition::parse_http_header(value.as_bytes());
    parsed.map(Some).map_err(|_| s3_error!(InvalidArgument, "{name} is neither `*` nor an entity tag"))
}

/// What goes with an object, out of the headers of a request.
pub(super) fn meta(headers: &HeaderMap, user: Option<dto::Metadata>) -> S3Result<ObjectMeta> {
    let mut meta =
        ObjectMeta { user: user.unwrap_or_default().into_iter().collect(), ..ObjectMeta::default() };
    let used: usize = meta.user.iter().map(|(name, value)| name.len() + value.len()).sum();
    if used > USER_METADATA {
        return Err(s3_error!(
            MetadataTooLarge,
            "user metadata has {used} bytes; at most {USER_METADATA} are kept"
        ));
    }
    let mut kept = 0;
    for name in [
        "content-type",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "expires",
    ] {
        let Some(value) = headers.get(name) else { continue };
        let value = value.to_str().map_err(|_| s3_error!(InvalidArgument, "{name} is not plain text"))?;
        kept += value.len();
        match name {
            "content-type" => meta.content_type = Some(value.to_owned()).filter(|value| !value.is_empty()),
            "content-encoding" => {
                // A coding of the transfer, not of the object.
                let own: Vec<&str> = value
                    .split(',')
                    .map(str::trim)
                    .filter(|coding| !coding.is_empty() && *coding != "aws-chunked")
                    .collect();
                if !own.is_empty() {
                    meta.headers.insert(name.to_owned(), own.join(","));
                }
            }
            _ => {
                meta.headers.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    if kept > KEPT_HEADERS {
        return Err(s3_error!(
            MetadataTooLarge,
            "content headers have {kept} bytes; at most {KEPT_HEADERS} are kept"
        ));
    }
    Ok(meta)
}

/// What a client says of a body: `given` are the checksums in headers.
pub(super) fn claims(
    headers: &HeaderMap,
    trailers: Option<TrailingHeaders>,
    content_md5: Option<&str>,
    given: [(Algorithm, Option<String>); 5],
) -> S3Result<Claims> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let length = text("x-amz-decoded-content-length").or_else(|| text("content-length"));
    let Some(length) = length.and_then(|length| length.parse().ok()) else {
        return Err(s3_error!(MissingContentLength, "the length of the body must be announced"));
    };
    let mut claims = Claims { length: Some(length), trailers, ..Claims::default() };
    if let Some(md5) = content_md5 {
        let md5 = checksum::md5_of_base64(md5);
        claims.md5 =
            Some(md5.ok_or_else(|| s3_error!(InvalidDigest, "Content-MD5 is not 16 bytes in base64"))?);
    }
    claims.sums = given.into_iter().filter_map(|(of, sum)| Some((of, Claim::Value(sum?)))).collect();
    for name in text("x-amz-trailer").unwrap_or_default().split(',').map(str::trim) {
        let found = Algorithm::ALL.into_iter().find(|of| of.header().eq_ignore_ascii_case(name));
        claims.sums.extend(found.map(|of| (of, Claim::Trailer)));
    }
    let computed = text("x-amz-sdk-checksum-algorithm").or_else(|| text("x-amz-checksum-algorithm"));
    if let Some(name) = computed {
        let Some(of) = Algorithm::from_name(name) else {
            return Err(s3_error!(
                InvalidRequest,
                "this host computes CRC32, CRC32C, CRC64NVME, SHA1 and SHA256"
            ));
        };
        claims.and_compute(of);
    }
    Ok(claims)
}

/// Whether checksums are of all bytes, or of the parts' checksums.
pub(super) fn checksum_type(sums: &BTreeMap<String, String>) -> Option<dto::ChecksumType> {
    let composite = sums.values().next()?.contains('-');
    let name = if composite { dto::ChecksumType::COMPOSITE } else { dto::ChecksumType::FULL_OBJECT };
    Some(dto::ChecksumType::from_static(name))
}

/// Refuses what would change how an object is kept, rather than to pass over it in silence.
pub(super) fn unsupported(headers: &HeaderMap) -> S3Result<()> {
    for name in headers.keys().map(http::HeaderName::as_str) {
        let what = match name {
            "x-amz-tagging" => "tagging",
            "x-amz-website-redirect-location" => "a website",
            "x-amz-write-offset-bytes" => "to append to an object",
            _ if name.starts_with("x-amz-object-lock-") => "an object lock",
            _ if name.starts_with("x-amz-server-side-encryption") => "encryption by the host",
            _ if name.starts_with("x-amz-grant-") => "a grant to others",
            _ => continue,
        };
        return Err(not_offered(what));
    }
    let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(acl) = value("x-amz-acl")
        && !["private", "bucket-owner-full-control", "bucket-owner-read"].contains(&acl)
    {
        return Err(s3_error!(
            AccessControlListNotSupported,
            "buckets of this host are never public: only ACL `private`"
        ));
    }
    if let Some(class) = value("x-amz-storage-class")
        && !["STANDARD", "REDUCED_REDUNDANCY"].contains(&class)
    {
        return Err(s3_error!(InvalidStorageClass, "the only storage class of this host is STANDARD"));
    }
    Ok(())
}

/// Gives a type of the protocol the fields of all checksums.
macro_rules! with_checksums {
    ($output:expr, $sums:expr) => {{
        let (mut output, sums) = ($output, $sums);
        output.checksum_crc32 = sums.get("CRC32").cloned();
        output.checksum_crc32c = sums.get("CRC32C").cloned();
        output.checksum_crc64nvme = sums.get("CRC64NVME").cloned();
        output.checksum_sha1 = sums.get("SHA1").cloned();
        output.checksum_sha256 = sums.get("SHA256").cloned();
        output
    }};
}

/// The checksums that a type of the protocol has fields for.
macro_rules! checksums_of {
    ($input:expr) => {
        [
            ($crate::checksum::Algorithm::Crc32, $input.checksum_crc32.take()),
            ($crate::checksum::Algorithm::Crc32c, $input.checksum_crc32c.take()),
            ($crate::checksum::Algorithm::Crc64Nvme, $input.checksum_crc64nvme.take()),
            ($crate::checksum::Algorithm::Sha1, $input.checksum_sha1.take()),
            ($crate::checksum::Algorithm::Sha256, $input.checksum_sha256.take()),
        ]
    };
}

pub(super) use {checksums_of, with_checksums};
