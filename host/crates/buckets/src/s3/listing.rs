//! Operations that list: objects (both versions), and uploads in parts.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    self, CommonPrefix, EncodingType, Initiator, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, MultipartUpload,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::convert;
use super::error::answer;
use super::protocol::Protocol;
use crate::{ListQuery, Page, Uploads};

/// What stays as it is in a listing with `encoding-type=url`.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Longest prefix, delimiter or marker: nothing longer can match a key.
const LONGEST: usize = 1024;

/// A key as it stands in a URL.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}

pub(super) fn initiator() -> Initiator {
    let owner = convert::owner();
    Initiator { display_name: owner.display_name, id: owner.id }
}

/// How keys are written into a listing.
#[derive(Clone, Copy)]
struct Encoding {
    url: bool,
}

impl Encoding {
    fn of(asked: Option<&EncodingType>) -> S3Result<Self> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Self { url: false }),
            Some(EncodingType::URL) => Ok(Self { url: true }),
            Some(_) => Err(s3_error!(InvalidArgument, "encoding-type is `url`")),
        }
    }

    fn key(self, text: String) -> String {
        if self.url { encoded(&text) } else { text }
    }

    fn contents(self, page: &mut Page, with_owner: bool) -> Vec<dto::Object> {
        let objects = std::mem::take(&mut page.objects).into_iter();
        objects
            .map(|object| dto::Object {
                key: Some(self.key(object.key.to_string())),
                e_tag: Some(convert::etag(&object.etag)),
                size: Some(convert::size(object.size)),
                last_modified: Some(convert::time(object.modified)),
                owner: with_owner.then(convert::owner),
                storage_class: Some(dto::ObjectStorageClass::from_static(dto::ObjectStorageClass::STANDARD)),
                ..dto::Object::default()
            })
            .collect()
    }

    fn prefixes(self, prefixes: impl IntoIterator<Item = String>) -> Vec<CommonPrefix> {
        prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(self.key(prefix)) }).collect()
    }
}

fn not_longer(texts: &[&Option<String>]) -> S3Result<()> {
    let long = texts.iter().any(|text| text.as_ref().is_some_and(|text| text.len() > LONGEST));
    if long { Err(s3_error!(KeyTooLongError, "no key is longer than {LONGEST} bytes")) } else { Ok(()) }
}

impl Protocol {
    pub(super) async fn list_second(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let bucket = convert::bucket(&input.bucket)?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = convert::limit(input.max_keys, 1000, "max-keys")?;
        not_longer(&[&input.prefix, &input.delimiter, &input.start_after])?;
        let token = input
            .continuation_token
            .as_deref()
            .filter(|token| !token.is_empty())
            .map(from_token)
            .transpose()?;
        let query = ListQuery {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            after: token.or_else(|| input.start_after.clone().filter(|after| !after.is_empty())),
            limit,
        };
        let mut page = self.buckets.list(&bucket, query).await.map_err(answer)?;
        let contents = encoding.contents(&mut page, input.fetch_owner == Some(true));
        let prefixes = encoding.prefixes(page.prefixes);
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            max_keys: i32::try_from(limit).ok(),
            key_count: i32::try_from(contents.len() + prefixes.len()).ok(),
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|next| URL_SAFE_NO_PAD.encode(next)),
            continuation_token: input.continuation_token,
            prefix: Some(encoding.key(input.prefix.unwrap_or_default())),
            delimiter: input.delimiter.map(|text| encoding.key(text)),
            start_after: input.start_after.map(|text| encoding.key(text)),
            encoding_type: input.encoding_type,
            ..ListObjectsV2Output::default()
        }))
    }

    pub(super) async fn list_first(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let bucket = convert::bucket(&input.bucket)?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = convert::limit(input.max_keys, 1000, "max-keys")?;
        not_longer(&[&input.prefix, &input.delimiter, &input.marker])?;
        let query = ListQuery {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            after: input.marker.clone().filter(|marker| !marker.is_empty()),
            limit,
        };
        let mut page = self.buckets.list(&bucket, query).await.map_err(answer)?;
        let contents = encoding.contents(&mut page, true);
        let prefixes = encoding.prefixes(page.prefixes);
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            max_keys: i32::try_from(limit).ok(),
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            is_truncated: Some(page.next.is_some()),
            next_marker: page.next.map(|next| encoding.key(next)),
            prefix: Some(encoding.key(input.prefix.unwrap_or_default())),
            delimiter: input.delimiter.map(|text| encoding.key(text)),
            marker: Some(encoding.key(input.marker.unwrap_or_default())),
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        }))
    }

    pub(super) async fn list_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = request.input;
        let bucket = convert::bucket(&input.bucket)?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = convert::limit(input.max_uploads, 1000, "max-uploads")?;
        not_longer(&[&input.prefix, &input.delimiter, &input.key_marker])?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let id = input.upload_id_marker.clone().unwrap_or_default();
        let after = input.key_marker.clone().filter(|key| !key.is_empty()).map(|key| (key, id));
        // One more than is told, to know whether there are more.
        let query = Uploads { prefix: prefix.clone(), after, limit: limit + 1 };
        let mut found = self.buckets.uploads(&bucket, query).await.map_err(answer)?;
        let is_truncated = found.len() > limit as usize && limit > 0;
        found.truncate(limit as usize);
        let last = found.last().filter(|_| is_truncated).cloned();
        let mut prefixes = BTreeSet::new();
        if let Some(delimiter) = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()) {
            found.retain(|upload| {
                let key = upload.key.as_str();
                let Some(idx) = key[prefix.len()..].find(delimiter) else { return true };
                prefixes.insert(key[..prefix.len() + idx + delimiter.len()].to_owned());
                false
            });
        }
        let uploads = found.into_iter().map(|upload| MultipartUpload {
            key: Some(encoding.key(upload.key.to_string())),
            upload_id: Some(upload.id),
            initiated: Some(convert::time(upload.created)),
            owner: Some(convert::owner()),
            initiator: Some(initiator()),
            storage_class: Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
            ..MultipartUpload::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            common_prefixes: Some(encoding.prefixes(prefixes)),
            bucket: Some(input.bucket),
            is_truncated: Some(is_truncated),
            max_uploads: i32::try_from(limit).ok(),
            next_key_marker: last.as_ref().map(|upload| encoding.key(upload.key.to_string())),
            next_upload_id_marker: last.map(|upload| upload.id),
            key_marker: Some(encoding.key(input.key_marker.unwrap_or_default())),
            upload_id_marker: input.upload_id_marker,
            prefix: Some(encoding.key(prefix)),
            delimiter: input.delimiter.map(|text| encoding.key(text)),
            encoding_type: input.encoding_type,
            ..ListMultipartUploadsOutput::default()
        }))
    }
}

/// A token is the last key that was told; clients hand it back unread.
fn from_token(token: &str) -> S3Result<String> {
    let key = URL_SAFE_NO_PAD.decode(token).ok().and_then(|key| String::from_utf8(key).ok());
    let key = key.filter(|key| key.len() <= LONGEST);
    key.ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is none that this host gave"))
}
