//! Reading the keys of a map, each once, and complaining about the rest.

use std::fmt::Display;
use std::str::FromStr;

use crate::Problem;
use crate::fdl::node::{Key, Node, Value};
use crate::problem::nearest;

/// Collects what is wrong.
pub(super) struct Reader {
    problems: Vec<Problem>,
    /// Whether unknown keys are wrong.
    strict: bool,
    /// The paths of all keys that were asked for.
    #[cfg(test)]
    pub(super) asked: Vec<String>,
}

/// A map of which some keys have been asked for.
pub(super) struct Table<'n> {
    entries: &'n [(Key, Node)],
    asked: Vec<&'static str>,
    path: String,
}

impl Reader {
    fn new(strict: bool) -> Self {
        Self {
            problems: Vec::new(),
            strict,
            #[cfg(test)]
            asked: Vec::new(),
        }
    }

    /// For files.
    pub(super) fn strict() -> Self {
        Self::new(true)
    }

    /// For the wire.
    pub(super) fn lenient() -> Self {
        Self::new(false)
    }

    /// Whether a service is read as it comes over the wire.
    pub(super) fn is_wire(&self) -> bool {
        !self.strict
    }

    /// Notes a problem.
    pub(super) fn say(&mut self, node: &Node, path: &str, message: String, help: Option<&str>) {
        let help = help.map(str::to_owned);
        self.problems.push(Problem {
            line: node.line,
            column: node.column,
            path: path.to_owned(),
            message,
            help,
        });
    }

    /// What was read, when nothing was wrong.
    pub(super) fn finish<T>(mut self, read: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(read);
        }
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(self.problems)
    }

    /// A map, or a problem. Null is an empty map.
    pub(super) fn table<'n>(&mut self, node: &'n Node, path: &str) -> Option<Table<'n>> {
        let entries: &[(Key, Node)] = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            Value::Text(_) | Value::List(_) => {
                self.say(node, path, "this is a map of keys and values".to_owned(), None);
                return None;
            }
        };
        Some(Table { entries, asked: Vec::new(), path: path.to_owned() })
    }

    /// A scalar by its own grammar, or a problem.
    pub(super) fn parse<T: FromStr<Err: Display>>(&mut self, node: &Node, path: &str) -> Option<T> {
        let Value::Text(text) = &node.value else {
            self.say(node, path, "this is a single value".to_owned(), None);
            return None;
        };
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.say(node, path, error.to_string(), None);
                None
            }
        }
    }

    /// A scalar that may be left out.
    pub(super) fn optional<T: FromStr<Err: Display>>(
        &mut self,
        table: &mut Table<'_>,
        key: &'static str,
    ) -> Option<T> {
        let node = table.child(key)?;
        self.parse(node, &table.path(key))
    }

    /// A scalar with a default.
    pub(super) fn or<T: FromStr<Err: Display>>(
        &mut self,
        table: &mut Table<'_>,
        key: &'static str,
        default: T,
    ) -> T {
        self.optional(table, key).unwrap_or(default)
    }

    /// A whole number from 1 to `most`, with a default.
    pub(super) fn number(
        &mut self,
        table: &mut Table<'_>,
        key: &'static str,
        default: u32,
        most: u32,
    ) -> u32 {
        let Some(node) = table.child(key) else { return default };
        let number = match &node.value {
            Value::Text(text) => text.parse().ok(),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        };
        match number {
            Some(number) if (1..=most).contains(&number) => number,
            Some(_) | None => {
                self.say(node, &table.path(key), format!("this is a whole number from 1 to {most}"), None);
                default
            }
        }
    }

    /// A list of scalars; empty when left out.
    pub(super) fn list<T: FromStr<Err: Display>>(
        &mut self,
        table: &mut Table<'_>,
        key: &'static str,
    ) -> Vec<T> {
        let Some(node) = table.child(key) else { return Vec::new() };
        let path = table.path(key);
        match &node.value {
            Value::List(list) => {
                let items = list.iter().enumerate();
                items.filter_map(|(idx, node)| self.parse(node, &format!("{path}[{idx}]"))).collect()
            }
            Value::Text(_) | Value::Map(_) => {
                self.say(node, &path, "this is a list".to_owned(), None);
                Vec::new()
            }
            Value::Null => Vec::new(),
        }
    }
}

impl<'n> Table<'n> {
    /// The value of a key, in any case; null is no value.
    pub(super) fn child(&mut self, key: &'static str) -> Option<&'n Node> {
        self.asked.push(key);
        let (_, node) = self.entries.iter().find(|(found, _)| found.name.eq_ignore_ascii_case(key))?;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// All keys and values, for a map of free names.
    pub(super) fn entries(&self) -> &'n [(Key, Node)] {
        self.entries
    }

    /// The path of a key.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Complains about keys that nobody asked for.
    pub(super) fn end(self, reader: &mut Reader) {
        #[cfg(test)]
        reader.asked.extend(self.asked.iter().map(|key| self.path(key)));
        if !reader.strict {
            return;
        }
        for (key, _) in self.entries {
            if self.asked.iter().any(|asked| asked.eq_ignore_ascii_case(&key.name)) {
                continue;
            }
            let help =
                nearest(&key.name, self.asked.iter().copied()).map(|word| format!("did you mean `{word}`?"));
            let (line, column, path) = (key.line, key.column, self.path(&key.name));
            reader.problems.push(Problem { line, column, path, message: "unknown key".to_owned(), help });
        }
    }
}
