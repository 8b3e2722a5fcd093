//! The alert.

use serde::Serialize;
use wicket_sdk::Failure;

use crate::Seen;

/// A CloudEvent. Its id is the invocation's: however often it is posted, it is one alert.
#[derive(Debug, Serialize)]
struct Alert<'a> {
    specversion: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    source: String,
    subject: &'a str,
    time: &'a str,
    datacontenttype: &'static str,
    data: &'a Seen,
}

/// The alert about a picture, in JSON.
pub(crate) fn event(
    id: &str,
    time: &str,
    bucket: &str,
    camera: &str,
    seen: &Seen,
) -> Result<Vec<u8>, Failure> {
    let alert = Alert {
        specversion: "1.0",
        kind: "dev.wicketgate.fire.suspected",
        id,
        source: format!("/fire-detector/{bucket}/{camera}"),
        subject: &seen.key,
        time,
        datacontenttype: "application/json",
        data: seen,
    };
    serde_json::to_vec(&alert).map_err(Failure::never)
}

/// Posts an alert. What the other side refuses for good will never do; the rest is tried again.
#[cfg(target_family = "wasm")]
pub(crate) fn post(url: &str, alert: &[u8]) -> Result<(), Failure> {
    let status =
        sent(url, alert).map_err(|error| Failure::again(format!("cannot post to {url}: {error}")))?;
    match status {
        200..300 => Ok(()),
        408 | 429 | 500.. => Err(Failure::again(format!("{url} answers with {status}"))),
        _ => Err(Failure::never(format!("{url} answers with {status}"))),
    }
}

#[cfg(not(target_family = "wasm"))]
pub(crate) fn post(url: &str, _alert: &[u8]) -> Result<(), Failure> {
    Err(Failure::again(format!("cannot post to {url}: there is no host")))
}

#[cfg(target_family = "wasm")]
fn sent(url: &str, alert: &[u8]) -> Result<u16, String> {
    use std::io::Write as _;

    use wasip2::http::outgoing_handler;
    use wasip2::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme};

    /// Nanoseconds that the other side has for each step.
    const PATIENCE: u64 = 10_000_000_000;

    let (scheme, rest) = match url.split_once("://") {
        Some(("https", rest)) => (Scheme::Https, rest),
        Some(("http", rest)) => (Scheme::Http, rest),
        _ => return Err("ALERT_URL is no http:// or https:// URL".to_owned()),
    };
    let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let length = alert.len().to_string().into_bytes();
    let headers = [
        ("content-type".to_owned(), b"application/cloudevents+json".to_vec()),
        ("content-length".to_owned(), length),
    ];
    let fields = Fields::from_list(&headers).map_err(|error| format!("{error:?}"))?;
    let request = OutgoingRequest::new(fields);
    request.set_method(&Method::Post).map_err(|()| "no method")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "no scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "ALERT_URL has no host")?;
    request.set_path_with_query(Some(path)).map_err(|()| "ALERT_URL has no path")?;
    let options = RequestOptions::new();
    options.set_connect_timeout(Some(PATIENCE)).map_err(|()| "no timeout")?;
    options.set_first_byte_timeout(Some(PATIENCE)).map_err(|()| "no timeout")?;
    let body = request.body().map_err(|()| "no body")?;
    let response = outgoing_handler::handle(request, Some(options)).map_err(|error| format!("{error:?}"))?;
    {
        let mut stream = body.write().map_err(|()| "no body")?;
        // Its own `flush` is not that of `Write`.
        stream
            .write_all(alert)
            .and_then(|()| std::io::Write::flush(&mut stream))
            .map_err(|error| error.to_string())?;
    }
    OutgoingBody::finish(body, None).map_err(|error| format!("{error:?}"))?;
    response.subscribe().block();
    let answer = response.get().ok_or("no answer")?.map_err(|()| "asked twice")?;
    Ok(answer.map_err(|error| format!("{error:?}"))?.status())
}
