//! Who may do what: the admin by HTTP basic auth, a service's callers by its token.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use wicket_buckets::Keys;
use wicket_core::Secret;

/// The admin's name; OSCAR's clients expect this one.
pub(crate) const ADMIN_USER: &str = "oscar";

/// Longest `Authorization` header that is looked at.
const MAX_HEADER: usize = 4096;

/// The secrets of this host.
#[derive(Debug)]
pub(crate) struct Credentials {
    admin_password: Secret,
    /// The key pair of the S3 endpoint.
    pub(crate) s3: Keys,
}

impl Credentials {
    /// The admin, called [`ADMIN_USER`], and the S3 key pair.
    pub(crate) fn new(admin_password: Secret, s3: Keys) -> Self {
        Self { admin_password, s3 }
    }

    /// Whether these headers carry the admin's name and password.
    pub(crate) fn is_admin(&self, headers: &HeaderMap) -> bool {
        let Some(given) = scheme(headers, "basic") else { return false };
        let Ok(given) = STANDARD.decode(given) else { return false };
        let colon = given.iter().position(|byte| *byte == b':');
        let Some((user, password)) = colon.map(|at| (&given[..at], &given[at + 1..])) else { return false };
        let user = same(user, ADMIN_USER.as_bytes());
        let password = same(password, self.admin_password.reveal().as_bytes());
        // Both are compared whatever the first one says.
        (user & password).into()
    }
}

/// Whether these headers carry any token.
pub(crate) fn brings_token(headers: &HeaderMap) -> bool {
    scheme(headers, "bearer").is_some_and(|token| !token.is_empty())
}

/// Whether these headers carry this token. Without one (no such service) the time is the same, and the answer no.
pub(crate) fn has_token(headers: &HeaderMap, token: Option<&Secret>) -> bool {
    let given = scheme(headers, "bearer").unwrap_or_default();
    let known = token.map_or("", Secret::reveal);
    let there = Choice::from(u8::from(!known.is_empty()));
    (same(given.as_bytes(), known.as_bytes()) & there).into()
}

/// What follows the scheme in the one `Authorization` header. Two of them are none.
fn scheme<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let text = value.to_str().ok().filter(|text| text.len() <= MAX_HEADER)?;
    let (name, rest) = text.split_once(' ')?;
    name.eq_ignore_ascii_case(wanted).then_some(rest.trim())
}

/// Compares digests: the time tells neither the place of a difference nor a length.
fn same(given: &[u8], known: &[u8]) -> Choice {
    Sha256::digest(given).ct_eq(&Sha256::digest(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::AUTHORIZATION, value.parse().unwrap())).collect()
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    fn credentials() -> Credentials {
        Credentials::new(Secret::new("pass:word"), Keys::new("access", "secret"))
    }

    #[test]
    fn the_admin_is_known_by_name_and_password() {
        let credentials = credentials();
        assert!(credentials.is_admin(&headers(&[&basic("oscar:pass:word")])));
        assert!(credentials.is_admin(&headers(&[&basic("oscar:pass:word").replace("Basic", "bASIC")])));
        for bad in ["", ":", "oscar", "oscar:", "oscar:pass", "Oscar:pass:word", ":pass:word"] {
            assert!(!credentials.is_admin(&headers(&[&basic(bad)])), "{bad}");
        }
        for bad in ["Basic", "Basic ", "Basic !!!", "Bearer pass:word", "\u{e9}"] {
            assert!(!credentials.is_admin(&headers(&[bad])), "{bad}");
        }
        let twice = basic("oscar:pass:word");
        assert!(!credentials.is_admin(&headers(&[&twice, &twice])));
        assert!(!credentials.is_admin(&HeaderMap::new()));
        assert!(!format!("{credentials:?}").contains("pass:word"));
    }

    #[test]
    fn a_token_opens_its_own_service_and_none_opens_nothing() {
        let token = Secret::new("c0ffee");
        assert!(has_token(&headers(&["Bearer c0ffee"]), Some(&token)));
        assert!(!has_token(&headers(&["Bearer c0ffef"]), Some(&token)));
        assert!(!has_token(&headers(&["Bearer "]), Some(&Secret::new(""))));
        assert!(!has_token(&headers(&["Bearer "]), None));
        assert!(!has_token(&HeaderMap::new(), None));
    }
}
