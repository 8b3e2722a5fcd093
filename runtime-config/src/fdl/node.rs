//! One tree for YAML and JSON, with places.

use marked_yaml::{LoaderOptions, Node as Yaml};
use yaml_rust2::parser::{Event, MarkedEventReceiver, Parser};
use yaml_rust2::scanner::Marker;

use super::MAX_TEXT;
use crate::Problem;

/// Levels of nesting that are read; FDL needs nine.
const MAX_DEPTH: usize = 64;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    /// From 1; 0 on the wire.
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    /// A scalar: what it means, the reader of its key decides.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) column: usize,
}

fn problem(line: usize, column: usize, message: String) -> Problem {
    Problem { line, column, path: String::new(), message, help: None }
}

/// Reads YAML, and JSON as the YAML that it is.
pub(super) fn from_yaml(text: &str) -> Result<Node, Problem> {
    if text.len() > MAX_TEXT {
        return Err(problem(0, 0, format!("the text is larger than {MAX_TEXT} bytes")));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    nesting(text)?;
    one_document(text)?;
    let options = LoaderOptions::default().error_on_duplicate_keys(true);
    let yaml = marked_yaml::parse_yaml_with_options(0, text, options).map_err(|error| {
        let text = error.to_string();
        // The message begins with its place: `12:3: …`.
        let mut parts = text.splitn(3, ':');
        let place = (parts.next().and_then(|n| n.parse().ok()), parts.next().and_then(|n| n.parse().ok()));
        match (place, parts.next()) {
            ((Some(line), Some(column)), Some(message)) => problem(line, column, message.trim().to_owned()),
            _ => problem(0, 0, text),
        }
    })?;
    Ok(convert(&yaml))
}

/// Refuses what would nest deeper than anything here is meant to go, before a parser builds it.
fn nesting(text: &str) -> Result<(), Problem> {
    let mut depth = 0usize;
    for (idx, line) in text.lines().enumerate() {
        let markers = line.split_whitespace().take_while(|word| matches!(*word, "-" | "?")).count();
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth > MAX_DEPTH || markers > MAX_DEPTH {
            return Err(problem(idx + 1, 1, format!("nested deeper than {MAX_DEPTH} levels")));
        }
    }
    Ok(())
}

/// Refuses what comes after the first document: it would be left out without a word.
fn one_document(text: &str) -> Result<(), Problem> {
    #[derive(Default)]
    struct Documents(Vec<(usize, usize)>);
    impl MarkedEventReceiver for Documents {
        fn on_event(&mut self, event: Event, mark: Marker) {
            if matches!(event, Event::DocumentStart) {
                self.0.push((mark.line(), mark.col() + 1));
            }
        }
    }
    let mut documents = Documents::default();
    Parser::new_from_str(text)
        .load(&mut documents, true)
        .map_err(|error| problem(error.marker().line(), error.marker().col() + 1, error.info().to_owned()))?;
    match documents.0.get(1) {
        None => Ok(()),
        Some(&(line, column)) => {
            let message = "a second document begins here: put everything into one".to_owned();
            Err(problem(line, column, message))
        }
    }
}

fn convert(yaml: &Yaml) -> Node {
    let (line, column) = yaml.span().start().map_or((0, 0), |mark| (mark.line(), mark.column()));
    let value = match yaml {
        Yaml::Scalar(scalar) if scalar.may_coerce() && matches!(scalar.as_str(), "" | "~" | "null") => {
            Value::Null
        }
        Yaml::Scalar(scalar) => Value::Text(scalar.as_str().to_owned()),
        Yaml::Sequence(list) => Value::List(list.iter().map(convert).collect()),
        Yaml::Mapping(map) => Value::Map(
            map.iter()
                .map(|(key, value)| {
                    let place = key.span().start().map_or((0, 0), |mark| (mark.line(), mark.column()));
                    (Key { name: key.as_str().to_owned(), line: place.0, column: place.1 }, convert(value))
                })
                .collect(),
        ),
    };
    Node { value, line, column }
}

/// Reads JSON; serde_json's own depth limit holds.
pub(super) fn from_json(json: &[u8]) -> Result<Node, Problem> {
    if json.len() > MAX_TEXT {
        return Err(problem(0, 0, format!("the body is larger than {MAX_TEXT} bytes")));
    }
    let value: serde_json::Value = serde_json::from_slice(json)
        .map_err(|error| problem(error.line(), error.column(), format!("this is no JSON: {error}")))?;
    Ok(of(value))
}

fn of(json: serde_json::Value) -> Node {
    use serde_json::Value as Json;
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(yes) => Value::Text(yes.to_string()),
        Json::Number(number) => Value::Text(number.to_string()),
        Json::String(text) => Value::Text(text),
        Json::Array(list) => Value::List(list.into_iter().map(of).collect()),
        Json::Object(map) => {
            let entry = |(name, value)| (Key { name, line: 0, column: 0 }, of(value));
            Value::Map(map.into_iter().map(entry).collect())
        }
    };
    Node { value, line: 0, column: 0 }
}
