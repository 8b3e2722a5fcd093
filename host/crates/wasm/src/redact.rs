//! Takes secrets out of what a guest says where people read it: its log, and why it failed.

use std::borrow::Cow;
use std::sync::Arc;

use wicket_core::Deployment;

/// A shorter one stands in too many words to be told from them.
const SHORTEST: usize = 6;
const HIDDEN: &[u8] = b"[secret]";

/// Knows a service's secrets.
#[derive(Clone, Default)]
pub(crate) struct Redactor(Option<Arc<[Vec<u8>]>>);

impl Redactor {
    /// For what the guests of a deployment say. Of a secret of several lines, each is hidden.
    pub(crate) fn of(deployment: &Deployment) -> Self {
        let values = deployment.service.secrets.iter().filter_map(|name| deployment.secrets.get(name));
        let lines = values.flat_map(|value| value.reveal().lines());
        let mut all: Vec<Vec<u8>> =
            lines.map(|line| line.trim().as_bytes().to_vec()).filter(|line| line.len() >= SHORTEST).collect();
        // The longest first: one may be a part of another.
        all.sort_by_key(|line| std::cmp::Reverse(line.len()));
        Self((!all.is_empty()).then(|| all.into()))
    }

    /// The same without the secrets.
    pub(crate) fn bytes<'b>(&self, said: &'b [u8]) -> Cow<'b, [u8]> {
        let mut clean = Cow::Borrowed(said);
        for secret in self.0.iter().flat_map(|all| all.iter()) {
            if let Some(at) = find(&clean, secret) {
                clean = Cow::Owned(replace(&clean, secret, at));
            }
        }
        clean
    }

    /// The same without the secrets.
    pub(crate) fn text(&self, said: String) -> String {
        match self.bytes(said.as_bytes()) {
            Cow::Borrowed(_) => said,
            Cow::Owned(clean) => String::from_utf8_lossy(&clean).into_owned(),
        }
    }
}

fn find(bytes: &[u8], secret: &[u8]) -> Option<usize> {
    bytes.windows(secret.len()).position(|window| window == secret)
}

fn replace(bytes: &[u8], secret: &[u8], first: usize) -> Vec<u8> {
    let mut clean = Vec::with_capacity(bytes.len());
    let (mut rest, mut at) = (bytes, Some(first));
    while let Some(found) = at {
        clean.extend_from_slice(&rest[..found]);
        clean.extend_from_slice(HIDDEN);
        rest = &rest[found + secret.len()..];
        at = find(rest, secret);
    }
    clean.extend_from_slice(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::Redactor;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let all = [b"s3cret-and-more".to_vec(), b"s3cret".to_vec()];
        let redactor = Redactor(Some(all.into()));
        let clean = |said: &str| redactor.text(said.to_owned());
        assert_eq!(clean("nothing here"), "nothing here");
        assert_eq!(clean("s3crets3cret=s3cret"), "[secret][secret]=[secret]");
        assert_eq!(clean("é s3cret-and-more"), "é [secret]");
        assert_eq!(Redactor::default().text("s3cret".into()), "s3cret");
    }
}
