//! Who asks, and whether he may. Decided before a body is read.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use wicket_config::ServiceName;

use super::error::ApiError;
use super::params;
use crate::auth;
use crate::node::Node;

/// How the admin says who he is.
const BASIC: &str = "Basic realm=\"wicketgate\", charset=\"UTF-8\"";
/// How a caller of a service says who he is.
pub(super) const BEARER: &str = "Bearer realm=\"wicketgate\"";

/// The admin asks.
pub(super) struct Admin;

impl FromRequestParts<Arc<Node>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, ApiError> {
        same_site(&parts.method, &parts.headers)?;
        if node.credentials.is_admin(&parts.headers) {
            return Ok(Self);
        }
        let help =
            "this is the admin's: HTTP basic auth, with the password in `admin-password` of the data folder";
        let challenge = if is_browser(&parts.headers) { BEARER } else { BASIC };
        Err(ApiError::unauthorized(challenge, help))
    }
}

/// Somebody asks who may call the service of the path: one with its token, or the admin. The service need not exist
/// when it is the admin.
pub(super) struct Caller {
    /// The service.
    pub(super) service: ServiceName,
    /// Whether it is the admin, who may name any object.
    pub(super) is_admin: bool,
}

impl FromRequestParts<Arc<Node>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, ApiError> {
        let texts = params::texts(parts, node).await?;
        let name = texts.first().map_or("", String::as_str).parse::<ServiceName>();
        let is_admin = may_call(parts, node, name.as_ref().ok()).await?;
        Ok(Self { service: name?, is_admin })
    }
}

/// Lets somebody pass who may call this service: one with its token, or the admin.
pub(super) async fn may_call(
    parts: &Parts,
    node: &Node,
    service: Option<&ServiceName>,
) -> Result<bool, ApiError> {
    same_site(&parts.method, &parts.headers)?;
    let token = match service {
        Some(name) => node.catalog.token(name).await?,
        None => None,
    };
    // Both are looked at, so that the time does not tell which services there are.
    let with_token = auth::has_token(&parts.headers, token.as_ref());
    let is_admin = node.credentials.is_admin(&parts.headers);
    if is_admin || with_token {
        return Ok(is_admin);
    }
    let help = "send the service's token as `Authorization: Bearer …`: \
                the admin reads it in GET /system/services/{name}";
    Err(ApiError::unauthorized(BEARER, help))
}

/// Somebody sends events: the admin, whose events start whatever listens, or one with a service's token, whose events
/// start that service alone.
pub(super) struct Sender(pub(super) Option<ServiceName>);

impl FromRequestParts<Arc<Node>> for Sender {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, ApiError> {
        same_site(&parts.method, &parts.headers)?;
        if node.credentials.is_admin(&parts.headers) {
            return Ok(Self(None));
        }
        let mut whose = None;
        // Without a token there is nothing to look for in the store.
        let known =
            if auth::brings_token(&parts.headers) { node.catalog.tokens().await? } else { Vec::new() };
        for (name, token) in known {
            if auth::has_token(&parts.headers, Some(&token)) {
                whose = Some(name);
            }
        }
        let help = "send a service's token as `Authorization: Bearer …` (its events start that service alone), \
                    or the admin's basic auth";
        whose.map(|name| Self(Some(name))).ok_or_else(|| ApiError::unauthorized(BEARER, help))
    }
}

/// A browser that has asked for a password once sends it along with whatever a page of this host makes it send, and
/// functions serve pages of this host: it must never ask. Every browser says which languages its user reads; no program
/// that waits to be asked (wget, some libraries) does.
fn is_browser(headers: &HeaderMap) -> bool {
    let agent = params::header(headers, header::USER_AGENT);
    headers.contains_key(header::ACCEPT_LANGUAGE) || agent.is_some_and(|agent| agent.starts_with("Mozilla/"))
}

/// A browser sends the admin's password along with whatever any page makes it send: what changes something must come
/// from a page of this host, or from no page.
pub(super) fn same_site(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let site = http::HeaderName::from_static("sec-fetch-site");
    let own = match headers.contains_key(&site) {
        true => matches!(params::header(headers, site), Some("same-origin" | "none")),
        // To a host that it reaches by plain HTTP, other than on loopback, a browser says nothing of the site.
        false => !headers.contains_key(header::ORIGIN) || is_own_origin(headers),
    };
    if own || matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::FORBIDDEN, "cross_site", "a page of another site may not ask this"))
}

/// Whether the page that asks came from where it asks.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let origin = params::header(headers, header::ORIGIN).and_then(|origin| origin.split_once("://"));
    let host = params::header(headers, header::HOST);
    matches!((origin, host), (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_browser_is_asked_for_a_password() {
        let with =
            |name: http::HeaderName, value: &str| HeaderMap::from_iter([(name, value.parse().unwrap())]);
        assert!(is_browser(&with(header::ACCEPT_LANGUAGE, "en")));
        assert!(is_browser(&with(header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64)")));
        for program in ["curl/8.5.0", "Wget/1.24", "python-requests/2.32"] {
            assert!(!is_browser(&with(header::USER_AGENT, program)));
        }
    }

    #[test]
    fn pages_of_other_sites_change_nothing() {
        let from = |site: &str| {
            HeaderMap::from_iter([(http::HeaderName::from_static("sec-fetch-site"), site.parse().unwrap())])
        };
        for own in ["same-origin", "none"] {
            same_site(&Method::POST, &from(own)).unwrap();
        }
        for other in ["cross-site", "same-site", ""] {
            same_site(&Method::DELETE, &from(other)).unwrap_err();
            same_site(&Method::GET, &from(other)).unwrap();
        }
        same_site(&Method::PUT, &HeaderMap::new()).unwrap();
        let origin = |host: &str, origin: &str| {
            HeaderMap::from_iter([
                (header::HOST, host.parse().unwrap()),
                (header::ORIGIN, origin.parse().unwrap()),
            ])
        };
        same_site(&Method::POST, &origin("box.lan:8080", "http://Box.lan:8080")).unwrap();
        same_site(&Method::POST, &origin("box.lan", "https://box.lan")).unwrap();
        for other in ["http://evil.example", "http://box.lan", "http://box.lan:8081", "null", ""] {
            same_site(&Method::POST, &origin("box.lan:8080", other)).unwrap_err();
            same_site(&Method::GET, &origin("box.lan:8080", other)).unwrap();
        }
    }
}
