//! What a function says in the end.

use std::fmt;

/// Why a function could not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Another attempt may succeed: the host tries again, after a while.
    Again(String),
    /// The same event will always fail: it becomes a dead letter at once.
    Never(String),
}

impl Failure {
    /// Another attempt may succeed: `.map_err(Failure::again)?`.
    pub fn again(why: impl fmt::Display) -> Self {
        Self::Again(why.to_string())
    }

    /// The same event will always fail: `.map_err(Failure::never)?`.
    pub fn never(why: impl fmt::Display) -> Self {
        Self::Never(why.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Again(why) | Self::Never(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for Failure {}

/// An object over its limit or with the wrong bytes will always fail; whatever else goes wrong with input and output
/// may pass.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::FileTooLarge => Self::never(error),
            _ => Self::again(error),
        }
    }
}

/// What a function may answer: text, bytes or nothing.
pub trait Answer {
    /// The answer for a caller who waits (`wicket run`).
    fn into_bytes(self) -> Vec<u8>;
}

impl Answer for () {
    fn into_bytes(self) -> Vec<u8> {
        Vec::new()
    }
}

impl Answer for Vec<u8> {
    fn into_bytes(self) -> Vec<u8> {
        self
    }
}

impl Answer for String {
    fn into_bytes(self) -> Vec<u8> {
        String::into_bytes(self)
    }
}

impl Answer for &str {
    fn into_bytes(self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}
