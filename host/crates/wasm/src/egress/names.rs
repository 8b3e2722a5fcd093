//! Which host names a service may call.

/// Whether one of the grants (`api.example.org`, `*.example.org`, `example.org:8443`) covers this host and port. A
/// grant without a port covers the port of the scheme, 80 or 443.
pub(super) fn granted(grants: &[String], host: &str, port: u16, default_port: u16) -> bool {
    let host = host.trim_end_matches('.');
    grants.iter().any(|grant| {
        let (name, granted_port) = split(grant);
        let name_fits = match name.strip_prefix("*.") {
            Some(parent) => host.len().checked_sub(parent.len() + 1).is_some_and(|dot| {
                dot > 0 && host.as_bytes()[dot] == b'.' && host[dot + 1..].eq_ignore_ascii_case(parent)
            }),
            None => host.eq_ignore_ascii_case(name),
        };
        name_fits && granted_port.map_or(port == default_port, |granted| granted == port)
    })
}

/// `name:port`, `[v6]:port`, or either without a port.
fn split(grant: &str) -> (&str, Option<u16>) {
    let (name, port) = match grant.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port.parse().ok()),
        _ => (grant, None),
    };
    (name.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.'), port)
}

#[cfg(test)]
mod tests {
    use super::granted;

    #[test]
    fn a_grant_covers_its_name_its_subdomains_or_its_port() {
        let grants: Vec<String> =
            ["api.example.org", "*.cdn.net", "db.example.org:8443", "10.0.0.7:80", "[::1]:8080"]
                .map(Into::into)
                .into();
        let yes = |host, port| assert!(granted(&grants, host, port, 443), "{host}:{port}");
        let no = |host, port| assert!(!granted(&grants, host, port, 443), "{host}:{port}");
        yes("api.example.org", 443);
        yes("API.Example.org.", 443);
        no("api.example.org", 8080);
        no("example.org", 443);
        no("xapi.example.org", 443);
        no("api.example.org.evil.net", 443);
        yes("a.cdn.net", 443);
        yes("a.b.cdn.net", 443);
        no("cdn.net", 443);
        no("evilcdn.net", 443);
        no(".cdn.net", 443);
        yes("db.example.org", 8443);
        no("db.example.org", 443);
        yes("10.0.0.7", 80);
        yes("::1", 8080);
        no("é.cdn.ne", 443);
        yes("é.cdn.net", 443);
    }
}
