//! Takes secrets out of what a function says where people read it: its log, and why it failed.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::{Deployment, Secret};

const HIDDEN: &[u8] = b"[secret]";
/// What a guest says of its failure is cut here: it stands in receipts and dead letters.
const LONGEST_WORDS: usize = 4 << 10;
/// So much of it is looked through for secrets before that: what is hidden makes it shorter.
const LOOKED_THROUGH: usize = 64 << 10;

/// Knows a service's secrets.
#[derive(Clone, Default)]
pub struct Redactor(Option<Arc<[Vec<u8>]>>);

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(…)")
    }
}

impl Redactor {
    /// For what the guests of a deployment say. Of a secret of several lines, each is hidden, and also as it stands in
    /// quotes.
    pub fn of(deployment: &Deployment) -> Self {
        let values = deployment.service.secrets.iter().filter_map(|name| deployment.secrets.get(name));
        let lines = values.flat_map(Secret::hidden);
        let mut all: Vec<Vec<u8>> = lines.flat_map(|line| [line.into(), quoted(line)]).collect();
        // The longest first: one may be a part of another.
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        Self((!all.is_empty()).then(|| all.into()))
    }

    /// The same without the secrets.
    pub fn bytes<'b>(&self, said: &'b [u8]) -> Cow<'b, [u8]> {
        let mut clean = Cow::Borrowed(said);
        for secret in self.0.iter().flat_map(|all| all.iter()) {
            if let Some(at) = find(&clean, secret) {
                clean = Cow::Owned(replace(&clean, secret, at));
            }
        }
        clean
    }

    /// The same without the secrets.
    pub fn text(&self, said: String) -> String {
        match self.bytes(said.as_bytes()) {
            Cow::Borrowed(_) => said,
            Cow::Owned(clean) => String::from_utf8_lossy(&clean).into_owned(),
        }
    }

    /// What a guest says of its failure, as a receipt may have it: without the secrets, and not for ever.
    pub fn words(&self, said: fmt::Arguments<'_>) -> String {
        // A secret that begins in the part that stays is whole in what is looked through.
        let most = LOOKED_THROUGH + self.longest();
        let mut beginning = Beginning { text: String::new(), most };
        // An error only says that there was more.
        let _ = beginning.write_fmt(said);
        let mut clean = self.text(beginning.text);
        clean.truncate(clean.floor_char_boundary(LONGEST_WORDS));
        clean
    }

    /// Where bytes of which more will come can be cut so that no secret is cut: what is behind waits for more.
    pub fn cut_of(&self, said: &[u8]) -> usize {
        // One whose end is still to come may begin behind this.
        let mut cut = said.len().saturating_sub(self.longest().saturating_sub(1));
        while let Some(start) = self.across(said, cut) {
            cut = start;
        }
        cut
    }

    /// Where a secret begins that goes across a place.
    fn across(&self, said: &[u8], place: usize) -> Option<usize> {
        self.0.iter().flat_map(|all| all.iter()).find_map(|secret| {
            let from = place.saturating_sub(secret.len() - 1);
            let to = said.len().min(place + secret.len() - 1);
            Some(from + find(&said[from..to], secret)?)
        })
    }

    /// Bytes of the longest secret.
    pub fn longest(&self) -> usize {
        self.0.as_ref().and_then(|all| all.first()).map_or(0, Vec::len)
    }
}

/// A line as Rust shows it in quotes, without these.
fn quoted(line: &str) -> Vec<u8> {
    let shown = format!("{line:?}");
    shown[1..shown.len() - 1].into()
}

/// The beginning of a text; a guest may say 64 MiB.
struct Beginning {
    text: String,
    most: usize,
}

impl fmt::Write for Beginning {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = self.most - self.text.len();
        self.text.push_str(&more[..more.floor_char_boundary(room)]);
        if more.len() > room { Err(fmt::Error) } else { Ok(()) }
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
    use super::{LONGEST_WORDS, Redactor};

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

    #[test]
    fn words_are_cut_after_the_secrets_are_hidden() {
        let redactor = Redactor(Some([b"s3cret".to_vec()].into()));
        let said = "é".repeat((LONGEST_WORDS - 4) / 2) + "s3cret" + &"x".repeat(1 << 20);
        let clean = redactor.words(format_args!("{said}"));
        assert!(clean.ends_with("é[sec") && clean.len() == LONGEST_WORDS, "{clean}");
    }
}
