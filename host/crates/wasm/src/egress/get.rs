//! Fetching for a caller of a service what the service itself might fetch.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use wasmtime_wasi_http::{RequestOptions, WasiBody};
use wicket_config::Grants;

use super::connect::{Waits, send};
use super::{Place, shown};

/// How often a fetch may be sent elsewhere.
const REDIRECTS: usize = 5;

/// What was at an address.
#[derive(Debug)]
pub struct Got {
    /// Its media type, as its server has it.
    pub content_type: Option<String>,
    /// The whole of it.
    pub body: Bytes,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum NotGot {
    /// It is no address, or leads nowhere.
    #[error("`{0}` is no address that can be fetched: it begins with http:// or https://")]
    Address(String),
    /// It may not be fetched, or did not come.
    #[error("{from}: {why}")]
    Failed {
        /// The address without its query.
        from: String,
        /// What is in the way.
        why: String,
    },
    /// It is larger than it may be.
    #[error("{from}: it is larger than {most} bytes")]
    TooLarge {
        /// The address without its query.
        from: String,
        /// The limit.
        most: usize,
    },
}

/// Gets up to `most` bytes from an address that a service with these grants may reach, within `patience`. Where it is
/// sent elsewhere, the same holds there.
pub async fn get(grants: &Grants, address: &str, most: usize, patience: Duration) -> Result<Got, NotGot> {
    let until = Instant::now() + patience;
    let mut address = url::Url::parse(address).map_err(|_| NotGot::Address(brief(address)))?;
    for _ in 0..=REDIRECTS {
        if !matches!(address.scheme(), "http" | "https") {
            return Err(NotGot::Address(brief(address.as_str())));
        }
        address.set_fragment(None);
        if !address.username().is_empty() || address.password().is_some() {
            let why = "an address has no name and no password in it".to_owned();
            return Err(NotGot::Failed { from: brief(address.as_str()), why });
        }
        let uri: Uri = address.as_str().parse().map_err(|_| NotGot::Address(brief(address.as_str())))?;
        let from = shown(&uri);
        let failed = |why: String| NotGot::Failed { from: from.clone(), why };
        let left = until.saturating_duration_since(Instant::now());
        let one = once(grants, uri, most, left.max(Duration::from_millis(1)));
        let answered = tokio::time::timeout(left, one).await;
        let answered = answered.map_err(|_| failed(format!("it did not come within {patience:?}")))?;
        let Some((status, headers, body)) = answered.map_err(failed)? else {
            return Err(NotGot::TooLarge { from, most });
        };
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if status.is_redirection() {
            let to = text(header::LOCATION).and_then(|to| address.join(to).ok());
            address = to.ok_or_else(|| NotGot::Failed { from, why: "it leads nowhere".to_owned() })?;
            continue;
        }
        if !status.is_success() {
            return Err(NotGot::Failed { from, why: format!("the answer is {status}") });
        }
        return Ok(Got { content_type: text(header::CONTENT_TYPE).map(str::to_owned), body });
    }
    Err(NotGot::Failed {
        from: brief(address.as_str()),
        why: format!("it was sent elsewhere {REDIRECTS} times"),
    })
}

type Answer = (http::StatusCode, HeaderMap, Bytes);

/// One request. None: the answer is too large.
async fn once(grants: &Grants, uri: Uri, most: usize, left: Duration) -> Result<Option<Answer>, String> {
    let host = uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    let body: WasiBody = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = Request::get(uri)
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("wicketgate/", env!("CARGO_PKG_VERSION")))
        .body(body)
        .map_err(|error| error.to_string())?;
    let waits = Waits::within(RequestOptions::default(), left);
    let place = Place(Arc::new(AtomicU32::new(1)));
    let sent = send(grants, request, waits, place).await.map_err(|refusal| refusal.to_string())?;
    let (answer, connection) = sent;
    let (parts, body) = answer.into_parts();
    let collecting = Limited::new(body, most).collect();
    let mut collecting = std::pin::pin!(collecting);
    let mut connection = Box::into_pin(connection);
    let collected = tokio::select! {
        biased;
        collected = &mut collecting => collected,
        // Over, or broken: the body says which.
        _ = &mut connection => collecting.await,
    };
    match collected {
        Ok(body) => Ok(Some((parts.status, parts.headers, body.to_bytes()))),
        Err(error) if error.is::<LengthLimitError>() => Ok(None),
        Err(error) => Err(format!("it broke off: {error}")),
    }
}

/// Short, and without what may be secret: neither a query, nor a name and a password before the host.
fn brief(address: &str) -> String {
    let plain = address.split(['?', '#']).next().unwrap_or_default();
    let plain = match plain.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default()),
        None => plain.to_owned(),
    };
    plain.chars().take(100).flat_map(char::escape_default).collect()
}
