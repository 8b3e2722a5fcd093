//! A request before and after the protocol: what is refused at the door, and how an answer gets out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{Body, HttpError, S3Error, S3Result, s3_error};
use wicket_config::BucketName;

use super::arriving::Arriving;
use super::buckets::REGION;
use super::endpoint::EndpointLimits;
use super::protocol::Protocol;
use crate::{Keys, LocalBuckets};

/// Largest XML body: to complete an upload of 10,000 parts with all checksums, or to delete 1,000 long keys.
const XML: usize = 8 << 20;
/// What is read of a refused body, so that its sender sees the refusal.
const DRAIN: u64 = 8 << 20;
/// For so long.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// Longest life of a presigned URL, as in S3.
const PRESIGNED: u32 = 7 * 86_400;

/// What signatures are for.
const SERVICE: &str = "s3";

/// The protocol, and what stands before it.
pub(crate) struct Front {
    service: S3Service,
    /// For the next bytes of a body.
    patience: Duration,
}

struct Auth {
    access: String,
    secret: SecretKey,
}

#[async_trait::async_trait]
impl S3Auth for Auth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access {
            return Ok(self.secret.clone());
        }
        Err(s3_error!(InvalidAccessKeyId, "this host knows no such access key"))
    }
}

struct Names;

impl NameValidation for Names {
    fn validate_bucket_name(&self, name: &str) -> bool {
        name.parse::<BucketName>().is_ok()
    }
}

impl Front {
    pub(crate) fn new(buckets: Arc<LocalBuckets>, keys: &Keys, limits: &EndpointLimits) -> Self {
        let mut builder = S3ServiceBuilder::new(Protocol::new(buckets, limits));
        // With keys set, the protocol refuses who does not sign.
        builder.set_auth(Auth { access: keys.access().to_owned(), secret: keys.secret().into() });
        builder.set_validation(Names);
        let mut config = S3Config::default();
        config.xml_max_body_size = XML;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self { service: builder.build(), patience: limits.body }
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
        let id = hex::encode(rand::random::<[u8; 8]>()).to_uppercase();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let waits = request.headers().contains_key(header::EXPECT);
        let refused = refusal(&request);
        let (parts, body) = request.into_parts();
        let is_chunked = parts
            .headers
            .get("x-amz-content-sha256")
            .is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"));
        let (arriving, unread) = Arriving::new(body, is_chunked, self.patience);
        let mut response = match refused {
            Some(error) => {
                drop(arriving);
                error.to_http_response().map_err(|error| HttpError::new(Box::new(error)))?
            }
            None => self.service.call(Request::from_parts(parts, Body::http_body(arriving))).await?,
        };
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            tracing::debug!(%method, path, %status, id, "an S3 request was refused");
            let mut unread = unread;
            if let Ok(unread) = unread.try_recv()
                && (unread.asked || !waits)
            {
                unread.drain(DRAIN, DRAIN_TIME).await;
            }
        }
        if status == StatusCode::NOT_MODIFIED {
            *response.body_mut() = Body::empty();
        } else if let Some(told) = response.body().bytes().and_then(|xml| complete(&xml, &id)) {
            // The protocol crate gave it, and it would be the old body's.
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = Body::from(told);
        }
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert("x-amz-request-id", id);
        }
        Ok(response)
    }
}

/// An error with all that clients show of one: some of the protocol crate's have no message.
fn complete(xml: &[u8], id: &str) -> Option<String> {
    let xml = std::str::from_utf8(xml).ok()?;
    let (before, rest) = xml.split_once("<Error><Code>")?;
    let (code, rest) = rest.split_once("</Code>")?;
    let rest = rest.strip_suffix("</Error>")?;
    let message = match code {
        _ if rest.contains("<Message>") => "",
        "AccessDenied" => "this host answers no request that is not signed with its keys",
        "SignatureDoesNotMatch" => "the signature is not the one this host computes: check the secret key",
        "InvalidBucketName" => "a bucket's name has 3 to 63 of a-z, 0-9, dashes and dots",
        "KeyTooLongError" => "an object's key has at most 1024 bytes",
        "InvalidURI" => "the path is not percent-encoded UTF-8",
        "IncompleteBody" => "the body is not as long as it was announced",
        "MalformedXML" => "the body is not the XML of this operation",
        "MissingContentLength" => "the length of the body must be announced",
        _ => "the request was refused",
    };
    let message = if message.is_empty() { String::new() } else { format!("<Message>{message}</Message>") };
    // From here clients learn with which region to try again.
    let region = match code {
        "AuthorizationHeaderMalformed" => format!("<Region>{REGION}</Region>"),
        _ => String::new(),
    };
    Some(format!(
        "{before}<Error><Code>{code}</Code>{message}{rest}{region}<RequestId>{id}</RequestId></Error>"
    ))
}

/// What the protocol crate would take, and this host does not.
fn refusal(request: &Request<Incoming>) -> Option<S3Error> {
    let headers = request.headers();
    let old = headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS "));
    // It holds for ever, for whoever saw it. Presigned URLs of this version end, and boto3 still makes them.
    if old {
        return Some(s3_error!(InvalidRequest, "headers are to be signed with version 4 (AWS4-HMAC-SHA256)"));
    }
    let refused = match presigned(request.uri().query().unwrap_or_default()) {
        Ok(query) if query.contains_key("X-Amz-Signature") => refused_url(&query, headers),
        Ok(_) => refused_header(headers),
        Err(error) => Some(error),
    };
    if refused.is_some() {
        return refused;
    }
    let form = headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        value.as_bytes().get(..19).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/form-data"))
    });
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if request.method() == Method::POST && length.is_some_and(|length: usize| length > XML) {
        return Some(s3_error!(MaxMessageLengthExceeded, "at most {XML} bytes of XML are read"));
    }
    // The crate would hold the whole file, before it looks who sends it.
    if form && request.method() == Method::POST {
        return Some(s3_error!(
            NotImplemented,
            "uploads by HTML form are not offered: use PUT, or a presigned URL"
        ));
    }
    None
}

/// What a presigned URL says of its signature: names and values decoded, as the protocol crate reads them. An encoded
/// name would otherwise be one thing here and another there.
fn presigned(query: &str) -> S3Result<BTreeMap<Cow<'_, str>, Cow<'_, str>>> {
    let mut told = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name.starts_with("X-Amz-") && told.insert(name.clone(), value).is_some() {
            return Err(s3_error!(AuthorizationQueryParametersError, "`{name}` stands twice in the query"));
        }
    }
    Ok(told)
}

fn refused_url(query: &BTreeMap<Cow<'_, str>, Cow<'_, str>>, headers: &HeaderMap) -> Option<S3Error> {
    let value = |name: &str| query.get(name).map(|value| &**value);
    let expires = value("X-Amz-Expires").and_then(|seconds| seconds.parse::<u32>().ok());
    if expires.is_some_and(|seconds| seconds > PRESIGNED) {
        return Some(s3_error!(
            AuthorizationQueryParametersError,
            "X-Amz-Expires must be less than a week (in seconds) that is 604800"
        ));
    }
    if let Some(wrong) = value("X-Amz-Credential").and_then(out_of_scope) {
        return Some(s3_error!(AuthorizationQueryParametersError, "X-Amz-Credential: {wrong}"));
    }
    // Clients send the hash of a presigned body beside the URL, and the host checks the body against it.
    let may_be_unsigned = |name: &str| name == "x-amz-content-sha256";
    value("X-Amz-SignedHeaders").and_then(|signed| unsigned(headers, signed, may_be_unsigned))
}

fn refused_header(headers: &HeaderMap) -> Option<S3Error> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or_default();
    let (algorithm, fields) = text.split_once([' ', '\t']).unwrap_or_default();
    // The protocol crate takes any word for it, and the word is not signed.
    if algorithm != "AWS4-HMAC-SHA256" {
        return Some(s3_error!(InvalidRequest, "headers are to be signed with version 4 (AWS4-HMAC-SHA256)"));
    }
    if let Some(wrong) = field(fields, "Credential=").and_then(out_of_scope) {
        return Some(s3_error!(
            AuthorizationHeaderMalformed,
            "the authorization header is malformed: {wrong}"
        ));
    }
    field(fields, "SignedHeaders=").and_then(|signed| unsigned(headers, signed, |_| false))
}

/// A field of the `Authorization` header of version 4.
fn field<'h>(fields: &'h str, name: &str) -> Option<&'h str> {
    fields.split(',').find_map(|field| field.trim().strip_prefix(name))
}

/// What is wrong with the scope of a signature (`key/date/region/service/aws4_request`), which is where it was meant to
/// be used.
fn out_of_scope(credential: &str) -> Option<String> {
    let [_key, _date, region, service, _end] = credential.split('/').collect::<Vec<_>>()[..] else {
        return Some("it is not KEY/DATE/REGION/SERVICE/aws4_request".to_owned());
    };
    let wrong = |what, told: &str, wanted| format!("the {what} `{told}` is wrong; expecting `{wanted}`");
    if region != REGION {
        return Some(wrong("region", region, REGION));
    }
    (service != SERVICE).then(|| wrong("service", service, SERVICE))
}

/// Tells of a header that changes what the request means (the source of a copy, say) and is not among the signed ones:
/// whoever got hold of a presigned URL may have added it.
fn unsigned(headers: &HeaderMap, signed: &str, may_be_unsigned: fn(&str) -> bool) -> Option<S3Error> {
    let is_signed = |name: &str| signed.split(';').any(|one| one.eq_ignore_ascii_case(name));
    let names = headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    let mut all = std::iter::once("host").chain(names);
    let name = all.find(|name| !is_signed(name) && !may_be_unsigned(name))?;
    Some(s3_error!(AccessDenied, "the header `{name}` is part of the request and was not signed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_a_requests_meaning_must_be_signed() {
        let mut headers = HeaderMap::new();
        let url = |query: &str, headers: &HeaderMap| {
            let query = presigned(query).unwrap();
            refused_url(&query, headers).and_then(|error| error.message().map(str::to_owned))
        };
        headers.insert("x-amz-copy-source", HeaderValue::from_static("/vault/k"));
        let refused = "the header `x-amz-copy-source` is part of the request and was not signed";
        assert_eq!(url("X-Amz-SignedHeaders=host", &headers).as_deref(), Some(refused));
        assert_eq!(url("X-Amz-Signed%48eaders=host", &headers).as_deref(), Some(refused));
        assert_eq!(url("X-Amz-SignedHeaders=host%3Bx-amz-copy-source", &headers), None);
        headers.clear();
        headers.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
        assert_eq!(url("X-Amz-SignedHeaders=host", &headers), None);
        let text = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date,Signature=c";
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(text));
        let refused = refused_header(&headers).unwrap();
        assert!(refused.message().unwrap().contains("`x-amz-content-sha256`"), "{refused:?}");
        presigned("X-Amz-SignedHeaders=host&X-Amz-Signed%48eaders=host%3Bx-amz-copy-source").unwrap_err();
    }
}
