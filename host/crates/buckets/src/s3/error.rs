//! What a bucket says, as S3 says it.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::{S3Error, S3ErrorCode, s3_error};
use wicket_core::chain;
use wicket_store::StoreError;

use crate::BucketError;

/// Shown to the client: what happened, in S3's words.
pub(crate) fn answer(error: BucketError) -> S3Error {
    let text = error.to_string();
    let code = match &error {
        BucketError::NoBucket(_) => S3ErrorCode::NoSuchBucket,
        BucketError::NotEmpty(_) => S3ErrorCode::BucketNotEmpty,
        BucketError::NoObject(..) => S3ErrorCode::NoSuchKey,
        BucketError::NoUpload(_) => S3ErrorCode::NoSuchUpload,
        BucketError::BadPart(_) => S3ErrorCode::InvalidPart,
        BucketError::PartOrder => S3ErrorCode::InvalidPartOrder,
        BucketError::SmallPart(_) => S3ErrorCode::EntityTooSmall,
        BucketError::Condition(_) => S3ErrorCode::PreconditionFailed,
        BucketError::Range(size) => return range(text, *size),
        BucketError::TooLarge { .. } => S3ErrorCode::EntityTooLarge,
        BucketError::Checksum(_) => S3ErrorCode::BadDigest,
        BucketError::NoPartChecksum(_) => S3ErrorCode::InvalidRequest,
        BucketError::Length { .. } => S3ErrorCode::IncompleteBody,
        BucketError::Body(source) => return body(source),
        BucketError::Full(_) => return full(),
        BucketError::Store(StoreError::Closed) => {
            return s3_error!(ServiceUnavailable, "the host is stopping: nothing was stored");
        }
        BucketError::File(_) | BucketError::Store(_) => return internal(&error),
    };
    S3Error::with_message(code, text)
}

fn range(text: String, size: u64) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::InvalidRange, text);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    if let Ok(whole) = HeaderValue::try_from(format!("bytes */{size}")) {
        headers.insert(header::CONTENT_RANGE, whole);
    }
    error.set_headers(headers);
    error
}

/// The full disk is the operator's to mend: no code that clients try again at once.
fn full() -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::Custom("InsufficientStorage".into()),
        "no space left on this host: nothing was stored",
    );
    error.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
    error
}

/// What went wrong with a body. The protocol crate's own errors have no type outside of it: they are told by their
/// text, in the very version that `Cargo.toml` names, and a test holds each.
fn body(source: &std::io::Error) -> S3Error {
    let text = chain(source);
    if text.contains("SignatureMismatch") {
        s3_error!(
            SignatureDoesNotMatch,
            "a chunk of the body is not signed as it should be: nothing was stored"
        )
    } else if text.contains("Sha256Mismatch") {
        let text = "the body is not the one that x-amz-content-sha256 announces: nothing was stored";
        let mut error = S3Error::with_message(S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()), text);
        error.set_status_code(StatusCode::BAD_REQUEST);
        error
    } else if text.contains("bytes of the body came within") {
        s3_error!(RequestTimeout, "the body came too slowly: nothing was stored")
    } else if text.contains("a signed chunk of") {
        s3_error!(InvalidRequest, "a signed chunk of the body is larger than 16 MiB: nothing was stored")
    } else {
        s3_error!(IncompleteBody, "the body ended early or is malformed: nothing was stored")
    }
}

fn internal(error: &BucketError) -> S3Error {
    tracing::error!("S3: {}", chain(error));
    s3_error!(InternalError, "{error}; the host's log says more")
}

/// Something that clients ask for and this host does not have.
pub(crate) fn not_offered(what: &str) -> S3Error {
    s3_error!(NotImplemented, "{what} is not offered by this host")
}
