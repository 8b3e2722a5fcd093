//! Everything that is wrong with a text, each with its place.

use std::fmt;

/// What is wrong with a file or a body, all of it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file's name, or what the text was.
    pub file: String,
    /// In the order of their places.
    pub items: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1; 0 where the place is not known.
    pub line: usize,
    /// From 1; 0 where the place is not known.
    pub column: usize,
    /// Where in the structure: `functions.oscar[2].local.input[0].path`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it, where there is something to say.
    pub help: Option<String>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, item) in self.items.iter().enumerate() {
            if idx > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file)?;
            if item.line > 0 {
                write!(f, ":{}:{}", item.line, item.column)?;
            }
            write!(f, ": ")?;
            if !item.path.is_empty() {
                write!(f, "{}: ", item.path)?;
            }
            write!(f, "{}", item.message)?;
            if let Some(help) = &item.help {
                write!(f, " ({help})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Line and column, from 1, of a byte offset.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// The known word nearest to an unknown one, when it is near.
pub(crate) fn nearest<'k>(unknown: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&unknown.to_ascii_lowercase(), word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min()
        .map(|(_, word)| word)
}

impl Problems {
    /// The one problem of a file that cannot be read.
    pub(crate) fn unreadable(file: &str, error: &std::io::Error) -> Self {
        Self::one(file, "", format!("cannot be read: {error}"))
    }

    /// One problem without a place.
    pub(crate) fn one(file: &str, path: &str, message: String) -> Self {
        let item = Problem { line: 0, column: 0, path: path.to_owned(), message, help: None };
        Self { file: file.to_owned(), items: vec![item] }
    }
}
