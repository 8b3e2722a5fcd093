//! Names that are checked where they enter, so that nothing behind this module checks them again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Too short or too long.
    #[error("{what} has {min} to {max} bytes, this one has {got}")]
    Length {
        /// What was being named.
        what: &'static str,
        /// Fewest bytes.
        min: usize,
        /// Most bytes.
        max: usize,
        /// Bytes found.
        got: usize,
    },
    /// A byte or a place that the rules do not allow.
    #[error("{what} {rule}: `{shown}` is none")]
    Rule {
        /// What was being named.
        what: &'static str,
        /// What it must fulfil.
        rule: &'static str,
        /// The refused text, made printable and cut to 64 characters.
        shown: String,
    },
}

fn rule(what: &'static str, rule: &'static str, text: &str) -> NameError {
    let shown = text.chars().take(64).flat_map(char::escape_default).collect();
    NameError::Rule { what, rule, shown }
}

fn length(what: &'static str, min: usize, max: usize, text: &str) -> Result<(), NameError> {
    if (min..=max).contains(&text.len()) {
        return Ok(());
    }
    Err(NameError::Length { what, min, max, got: text.len() })
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    };
}

name! {
    /// A service: 1 to 39 lower-case letters, digits and inner dashes (OSCAR's rule, so its names fit).
    ServiceName
}

impl FromStr for ServiceName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        length("a service name", 1, 39, text)?;
        let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !inner || text.starts_with('-') || text.ends_with('-') {
            return Err(rule("a service name", "is made of a-z, 0-9 and inner dashes", text));
        }
        Ok(Self(text.into()))
    }
}

name! {
    /// A bucket: S3's rules, 3 to 63 lower-case letters, digits, dots and dashes.
    BucketName
}

impl FromStr for BucketName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        length("a bucket name", 3, 63, text)?;
        let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let legal = bytes.iter().all(|&b| edge(b) || b == b'-' || b == b'.');
        if !legal || !edge(bytes[0]) || !edge(bytes[bytes.len() - 1]) || text.contains("..") {
            return Err(rule("a bucket name", "is made of a-z, 0-9, inner dashes and single dots", text));
        }
        if text.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err(rule("a bucket name", "does not look like an address", text));
        }
        Ok(Self(text.into()))
    }
}

name! {
    /// An object's key: 1 to 1,024 bytes of UTF-8. Refused is what no listing could show: XML has no control
    /// characters but tab and line feed. All else is fine: a key is not a path.
    ObjectKey
}

impl ObjectKey {
    /// The part after the last slash: what a function sees as the file name. Never `.`, `..` or empty.
    pub fn file_name(&self) -> &str {
        match self.0.rsplit('/').next() {
            None | Some("" | "." | "..") => "object",
            Some(name) => name,
        }
    }

    /// The part before the last slash, without it; empty for a key at the top.
    pub fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Whether this is an empty object that only marks a folder (`a/b/`).
    pub fn is_folder_marker(&self) -> bool {
        self.0.ends_with('/')
    }
}

impl FromStr for ObjectKey {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        length("an object key", 1, 1024, text)?;
        if text.chars().any(in_no_xml) {
            return Err(rule("an object key", "has no control characters but tab and line feed", text));
        }
        Ok(Self(text.into()))
    }
}

fn in_no_xml(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

name! {
    /// A module's SHA-256 in lower-case hex, 64 characters; `sha256:` in front is accepted and dropped.
    ModuleDigest
}

impl FromStr for ModuleDigest {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        length("a module digest", 64, 64, hex)?;
        if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(rule("a module digest", "is lower-case hex", hex));
        }
        Ok(Self(hex.into()))
    }
}

name! {
    /// A model's SHA-256 in lower-case hex, 64 characters; `sha256:` in front is accepted and dropped.
    ModelDigest
}

impl ModelDigest {
    /// What stands for the digest of a file that nobody has read yet; no file has it.
    pub(crate) fn unknown() -> Self {
        Self("0".repeat(64).into())
    }
}

impl FromStr for ModelDigest {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        length("a model digest", 64, 64, hex)?;
        if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(rule("a model digest", "is lower-case hex", hex));
        }
        Ok(Self(hex.into()))
    }
}

name! {
    /// A model's name within its service: 1 to 64 letters, digits, `-`, `_` and `.`.
    ModelName
}

impl FromStr for ModelName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        length("a model name", 1, 64, text)?;
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if !text.bytes().all(legal) || text.starts_with('.') {
            return Err(rule(
                "a model name",
                "has letters, digits, `-`, `_` and `.`, the last not first",
                text,
            ));
        }
        Ok(Self(text.into()))
    }
}

name! {
    /// An argument of a model: 1 to 64 letters, digits and `_`, no digit first. A variable of that name can be set.
    ArgumentName
}

impl FromStr for ArgumentName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        length("an argument's name", 1, 64, text)?;
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !text.bytes().all(legal) || text.as_bytes()[0].is_ascii_digit() {
            return Err(rule("an argument's name", "has letters, digits and `_`, no digit first", text));
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refusal<T: FromStr<Err = NameError> + fmt::Debug>(text: &str) -> String {
        text.parse::<T>().expect_err("a refusal").to_string()
    }

    #[test]
    fn a_service_name_follows_oscars_rule() {
        assert!("a".parse::<ServiceName>().is_ok());
        assert!("frame-2-text".parse::<ServiceName>().is_ok());
        for bad in ["-a", "a-", "A", "a_b", "a/../b", "é"] {
            assert!(refusal::<ServiceName>(bad).contains("inner dashes"), "{bad}");
        }
        assert_eq!(refusal::<ServiceName>(""), "a service name has 1 to 39 bytes, this one has 0");
        assert_eq!(
            refusal::<ServiceName>(&"a".repeat(40)),
            "a service name has 1 to 39 bytes, this one has 40"
        );
    }

    #[test]
    fn a_bucket_name_follows_s3() {
        assert!("photos.2026-raw".parse::<BucketName>().is_ok());
        for bad in ["Photos", "a..b", ".ab", "ab-", "a_b_c", "10.0.0.1"] {
            refusal::<BucketName>(bad);
        }
    }

    #[test]
    fn a_key_is_not_a_path() {
        let key: ObjectKey = "in/../../etc/passwd".parse().unwrap();
        assert_eq!(key.file_name(), "passwd");
        for (text, name) in [("a/..", "object"), ("..", "object"), ("a/", "object"), ("a b+c", "a b+c")] {
            assert_eq!(text.parse::<ObjectKey>().unwrap().file_name(), name);
        }
        assert!("tab\tand line\nfeed".parse::<ObjectKey>().is_ok());
        for text in ["a\0b", "a\u{1}b", "a\rb", "a\u{ffff}b"] {
            assert!(refusal::<ObjectKey>(text).starts_with("an object key has no control"), "{text:?}");
        }
        assert!(refusal::<ObjectKey>(&"k".repeat(1025)).contains("1025"));
    }
}
