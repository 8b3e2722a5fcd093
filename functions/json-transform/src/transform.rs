//! The transform: a document goes through event by event, and no tree of it is built.

use std::fmt;
use std::io::Read;

use json_event_parser::{JsonEvent, JsonParseError, ReaderJsonParser, WriterJsonSerializer};

/// Bytes of a document.
pub const LARGEST: u64 = 4 << 20;

/// Why a document was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no JSON.
    Syntax(String),
    /// It has more than [`LARGEST`] bytes.
    Large,
    /// It did not arrive.
    Broken(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(what) => write!(f, "no JSON: {what}"),
            Self::Large => write!(f, "a document has up to {LARGEST} bytes"),
            Self::Broken(what) => write!(f, "the document did not arrive: {what}"),
        }
    }
}

/// Rewrites a document. Nothing is answered before its end: a late mistake must still be able to become a refusal.
pub fn transform(document: impl Read) -> Result<Vec<u8>, Refusal> {
    let mut counted = Counted { from: document, left: LARGEST, over: false };
    let mut parser = ReaderJsonParser::new(&mut counted);
    let mut out = WriterJsonSerializer::new(Vec::new());
    let refused = loop {
        let event = match parser.parse_next() {
            Ok(JsonEvent::Eof) => break None,
            Ok(JsonEvent::ObjectKey(key)) => JsonEvent::ObjectKey(snake_case(&key).into()),
            Ok(event) => event,
            Err(JsonParseError::Syntax(error)) => break Some(Refusal::Syntax(error.to_string())),
            Err(JsonParseError::Io(error)) => break Some(Refusal::Broken(error.to_string())),
        };
        if let Err(error) = out.serialize_event(event) {
            break Some(Refusal::Syntax(error.to_string()));
        }
    };
    drop(parser);
    match refused {
        // What breaks off at the limit looks like bad JSON.
        _ if counted.over => Err(Refusal::Large),
        Some(refusal) => Err(refusal),
        None => out.finish().map_err(|error| Refusal::Syntax(error.to_string())),
    }
}

/// `someKey`, `SomeKey`, `some-key` and `some key` as `some_key`; runs of capitals are one word (`HTTPCode` is
/// `http_code`).
pub fn snake_case(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 4);
    let mut chars = key.chars().peekable();
    let mut before: Option<char> = None;
    while let Some(c) = chars.next() {
        if matches!(c, '-' | ' ' | '_') {
            out.push('_');
        } else if c.is_uppercase() {
            let follows = before.is_some_and(|b| b.is_lowercase() || b.is_numeric());
            let begins =
                before.is_some_and(char::is_uppercase) && chars.peek().is_some_and(|n| n.is_lowercase());
            if follows || begins {
                out.push('_');
            }
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
        before = Some(c);
    }
    out
}

struct Counted<R> {
    from: R,
    left: u64,
    over: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.from.read(into)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => {
                self.left = left;
                Ok(n)
            }
            None => {
                self.over = true;
                Ok(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(document: &str) -> Result<String, Refusal> {
        transform(document.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn keys_become_snake_case_and_all_else_stays() {
        let document =
            r#"{"someKey":[1.50,{"HTTPCode":200}],"plain":"Some Text","a-b c":null,"plain":1e400}"#;
        let expected =
            r#"{"some_key":[1.50,{"http_code":200}],"plain":"Some Text","a_b_c":null,"plain":1e400}"#;
        assert_eq!(text(document).as_deref(), Ok(expected));
    }

    #[test]
    fn words_are_found_where_people_see_them() {
        for (key, snake) in [("already_snake", "already_snake"), ("x2Y", "x2_y"), ("ÄÖü", "ä_öü"), ("", "")]
        {
            assert_eq!(snake_case(key), snake);
        }
    }

    #[test]
    fn bad_json_is_refused_with_its_place() {
        for bad in ["", "{", "{\"a\":}", "[1,]", "{} {}", "\u{0}"] {
            assert!(matches!(text(bad), Err(Refusal::Syntax(_))), "{bad:?}");
        }
        let deep = "[".repeat(1 << 20);
        text(&deep).unwrap_err();
    }

    #[test]
    fn a_document_over_the_limit_is_refused_as_such() {
        let large = format!("\"{}\"", "a".repeat(LARGEST as usize));
        assert_eq!(text(&large), Err(Refusal::Large));
    }
}
