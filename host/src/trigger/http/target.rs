//! What a request is for: one form for all that a client may write, so that nobody behind here reads it differently.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, Uri, Version, header};
use percent_encoding::percent_decode_str;

/// A request line or a `host` that nobody should act upon.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BadTarget {
    /// None, in HTTP/1.1.
    #[error("the request has no `host` header")]
    NoHost,
    /// Several: whoever stands before this host may have looked at another one.
    #[error("the request has more than one `host` header")]
    Hosts,
    /// It is no name and no address.
    #[error("the request's host is no host name or address")]
    Host,
    /// `CONNECT` and its like.
    #[error("a path begins with `/`: this host is no proxy")]
    NoPath,
    /// `.` or `..`, plain or encoded: a client resolves them.
    #[error("a path has no `.` and no `..` in it")]
    Dots,
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("a `%` in a path is followed by two hexadecimal digits")]
    Percent,
}

/// Brings a request into origin form: a path in its URI and its authority in one `host` header. `here` is who is meant
/// by a client that names nobody, as it may in HTTP/1.0.
pub(super) fn settle<B>(
    request: &mut Request<B>,
    here: impl FnOnce() -> Option<SocketAddr>,
) -> Result<Option<Authority>, BadTarget> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host),
        (None, _) if request.version() >= Version::HTTP_11 => return Err(BadTarget::NoHost),
        (None, _) => None,
        (Some(_), Some(_)) => return Err(BadTarget::Hosts),
    };
    let named = match host {
        Some(host) if !host.is_empty() => {
            Some(Authority::try_from(host.as_bytes()).map_err(|_| BadTarget::Host)?)
        }
        Some(_) | None => None,
    };
    // What stands in the request line goes before the header.
    let absolute = request.uri().authority().cloned();
    let (rewrite, authority) = match (absolute, named) {
        (Some(absolute), _) => (true, Some(absolute)),
        (None, Some(named)) => (false, Some(named)),
        (None, None) => (true, here().and_then(|here| here.to_string().parse().ok())),
    };
    if authority
        .as_ref()
        // A comma: two of them that somebody on the way made one.
        .is_some_and(|authority| authority.as_str().contains(['@', ',']) || authority.host().is_empty())
    {
        return Err(BadTarget::Host);
    }
    if !request.uri().path().starts_with('/') {
        return Err(BadTarget::NoPath);
    }
    if rewrite {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
        if let Some(host) =
            authority.as_ref().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
        {
            request.headers_mut().insert(header::HOST, host);
        }
    }
    Ok(authority)
}

/// A path as routes are written: percent-encoded text is decoded. What would be another path when it is decoded, or no
/// text, stays as it is.
pub(crate) fn decoded(path: &str) -> Result<Cow<'_, str>, BadTarget> {
    let dots = |segment: &str| matches!(segment, "." | "..");
    if !path.contains('%') {
        return if path.contains("/.") && path.split('/').any(dots) {
            Err(BadTarget::Dots)
        } else {
            Ok(path.into())
        };
    }
    let mut whole = String::with_capacity(path.len());
    for (n, segment) in path.split('/').enumerate() {
        if n > 0 {
            whole.push('/');
        }
        let bytes = segment.as_bytes();
        let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        let bad = |(at, byte): (usize, &u8)| *byte == b'%' && !(hex(at + 1) && hex(at + 2));
        if bytes.iter().enumerate().any(bad) {
            return Err(BadTarget::Percent);
        }
        let plain = percent_decode_str(segment).decode_utf8().ok();
        let plain = plain.filter(|text| !text.contains(|c: char| c == '/' || c == '%' || c.is_control()));
        let segment = plain.as_deref().unwrap_or(segment);
        if dots(segment) {
            return Err(BadTarget::Dots);
        }
        whole.push_str(segment);
    }
    Ok(whole.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, version: Version, hosts: &[&str]) -> Request<()> {
        let mut request = Request::builder().uri(uri).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        request.body(()).unwrap()
    }

    #[track_caller]
    fn settled(uri: &str, version: Version, hosts: &[&str]) -> Result<(String, String), BadTarget> {
        let mut request = request(uri, version, hosts);
        settle(&mut request, || Some(SocketAddr::from(([127, 0, 0, 1], 80))))?;
        let hosts: Vec<_> =
            request.headers().get_all("host").iter().map(|host| host.to_str().unwrap()).collect();
        Ok((request.uri().to_string(), hosts.join(" ")))
    }

    #[test]
    fn every_form_of_a_target_becomes_a_path_and_one_host() {
        let is = |uri: &str, host: &str| Ok((uri.to_owned(), host.to_owned()));
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        assert_eq!(settled("/a?b=c", new, &["h:1"]), is("/a?b=c", "h:1"));
        assert_eq!(settled("http://one.org/a?b", new, &["two.org"]), is("/a?b", "one.org"));
        assert_eq!(settled("http://one.org", new, &["two.org"]), is("/", "one.org"));
        assert_eq!(settled("/a", old, &[]), is("/a", "127.0.0.1:80"));
        assert_eq!(settled("/a", new, &[""]), is("/a", "127.0.0.1:80"));
        assert_eq!(settled("/a", new, &["[::1]:8080"]), is("/a", "[::1]:8080"));
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let new = Version::HTTP_11;
        assert_eq!(settled("/a", new, &[]), Err(BadTarget::NoHost));
        assert_eq!(settled("http://one.org/", new, &[]), Err(BadTarget::NoHost));
        assert_eq!(settled("/a", new, &["a", "a"]), Err(BadTarget::Hosts));
        assert_eq!(settled("/a", Version::HTTP_10, &["a", "b"]), Err(BadTarget::Hosts));
        for odd in ["a b", "a,b", "user@a", "a/b", "a?b", ":80", "a:b:c"] {
            assert_eq!(settled("/a", new, &[odd]), Err(BadTarget::Host), "{odd}");
        }
        assert_eq!(settled("http://user@one.org/", new, &["one.org"]), Err(BadTarget::Host));
        assert_eq!(settled("one.org:443", new, &["one.org"]), Err(BadTarget::NoPath));
        assert_eq!(settled("*", new, &["one.org"]), Err(BadTarget::NoPath));
    }

    #[test]
    fn a_path_is_matched_as_it_is_meant() {
        for (path, meant) in [
            ("/hello", "/hello"),
            ("/hel%6Co", "/hello"),
            ("/caf%C3%A9/%e2%82%ac", "/café/€"),
            ("/café", "/café"),
            ("//hello//", "//hello//"),
            ("/%73ystem/info", "/system/info"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%252Fb", "/a%252Fb"),
            ("/%00%0a", "/%00%0a"),
            ("/%ff", "/%ff"),
            ("/a%20b/...", "/a b/..."),
            ("/.well-known/x..y", "/.well-known/x..y"),
        ] {
            assert_eq!(decoded(path).unwrap(), meant);
        }
        for dots in ["/..", "/a/../b", "/a/%2e%2E/b", "/a/.%2e", "/.", "/a/./b", "/%2e"] {
            assert_eq!(decoded(dots), Err(BadTarget::Dots), "{dots}");
        }
        for bad in ["/%", "/%2", "/%zz", "/a%", "/%%20", "/%2/2"] {
            assert_eq!(decoded(bad), Err(BadTarget::Percent), "{bad}");
        }
    }
}
