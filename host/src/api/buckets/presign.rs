//! URLs that open one object for a while, in OSCAR's words.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, HeaderName, HeaderValue};
use wicket_config::{BucketName, ObjectKey, StorageProvider};
use wicket_core::Timestamp;

use super::super::access::Admin;
use super::super::error::ApiError;
use super::super::params::Named;
use super::super::view::{Operation, PresignAsked, Presigned};
use super::super::{body, host};
use crate::node::Node;

/// Longest life, as everywhere in S3: a week.
const LONGEST: u32 = 7 * 86_400;

/// Makes a URL with which anybody may put or get one object for a while.
#[utoipa::path(post, path = "/system/buckets/{bucket}/presign", operation_id = "buckets_presign", tag = "buckets", security(("admin" = [])),
    params(("bucket" = String, Path, description = "The bucket")), request_body = PresignAsked, responses(
    (status = 200, description = "The URL, and the headers that must go with it", body = Presigned),
    (status = 400, description = "There can be no such URL"),
    (status = 404, description = "There is no such bucket")))]
pub(in crate::api) async fn presign(
    _: Admin,
    State(node): State<Arc<Node>>,
    Named(bucket): Named<BucketName>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Presigned>, ApiError> {
    let asked: PresignAsked = body::json(body).await?;
    let key: ObjectKey = asked.object_key.parse()?;
    if !(1..=LONGEST).contains(&asked.expires_in) {
        let message = format!("`expires_in` is 1 to {LONGEST} seconds");
        return Err(ApiError::bad("bad_expiry", message));
    }
    let mut more = asked.extra_headers.iter().map(header).collect::<Result<Vec<_>, _>>()?;
    if let Some(content_type) = &asked.content_type {
        more.push(header((&"content-type".to_owned(), content_type))?);
    }
    node.buckets.exists(&bucket).await?;
    let life = Duration::from_secs(asked.expires_in.into());
    let expires_at = Timestamp::now().after(life);
    let signed = sign(&node, &headers, (&bucket, &key), asked.operation, more, life).await;
    let signed = signed.map_err(|error| ApiError::internal("sign a URL", &*error))?;
    let told = signed.headers().filter(|(name, _)| *name != "host");
    Ok(Json(Presigned {
        object_key: key.to_string(),
        operation: asked.operation,
        method: signed.method().to_owned(),
        url: signed.uri().to_owned(),
        expires_at,
        headers: told.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    }))
}

async fn sign(
    node: &Node,
    headers: &HeaderMap,
    (bucket, key): (&BucketName, &ObjectKey),
    operation: Operation,
    more: Vec<(HeaderName, HeaderValue)>,
    life: Duration,
) -> Result<PresignedRequest, Box<dyn std::error::Error + Send + Sync>> {
    let keys = &node.credentials.s3;
    let provider = StorageProvider {
        endpoint: Some(host::s3_endpoint(node, headers)),
        access_key: keys.access().to_owned(),
        secret_key: keys.secret().to_owned(),
        region: String::new(),
    };
    // It signs, and connects to nobody.
    let client = wicket_buckets::client(&provider, life);
    let life = PresigningConfig::expires_in(life)?;
    let add = move |request: &mut aws_sdk_s3::config::http::HttpRequest| {
        for (name, value) in &more {
            request.headers_mut().insert(name.clone(), value.clone());
        }
    };
    Ok(match operation {
        Operation::Upload => {
            let put = client.put_object().bucket(bucket.as_str()).key(key.as_str());
            put.customize().mutate_request(add).presigned(life).await?
        }
        Operation::Download => {
            let get = client.get_object().bucket(bucket.as_str()).key(key.as_str());
            get.customize().mutate_request(add).presigned(life).await?
        }
    })
}

/// A header that is signed, and so must be sent. Only such as say something of the object.
fn header((name, value): (&String, &String)) -> Result<(HeaderName, HeaderValue), ApiError> {
    let refused = || {
        let message = format!("the header `{}` cannot be signed", name.escape_default());
        ApiError::bad("bad_header", message).help("`x-amz-*`, `content-*` and `cache-control` can")
    };
    let value = HeaderValue::try_from(value).map_err(|_| refused())?;
    let name = HeaderName::try_from(name).map_err(|_| refused())?;
    let text = name.as_str();
    let is_about_object =
        text.starts_with("x-amz-") || text.starts_with("content-") || text == "cache-control";
    // The length of what is sent is the sender's to know.
    if is_about_object && text != "content-length" { Ok((name, value)) } else { Err(refused()) }
}
