//! Standard output: lines, tables and JSON. Writing after the reader has gone is an error that ends the command quietly.

use std::fmt;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

/// Where a command's data goes.
pub(super) struct Out {
    to: Box<dyn Write>,
}

impl Out {
    /// The process's own, buffered.
    pub(super) fn stdout() -> Self {
        Self { to: Box::new(BufWriter::new(io::stdout())) }
    }

    /// Somewhere else.
    #[cfg(test)]
    pub(super) fn into(to: impl Write + 'static) -> Self {
        Self { to: Box::new(to) }
    }

    /// One line.
    pub(super) fn line(&mut self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.to, "{text}")
    }

    /// One value as JSON, indented.
    pub(super) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.to, value)?;
        writeln!(self.to)
    }

    /// Bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    /// What was written so far can be read.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Out")
    }
}

/// Says something to the person before the screen, on standard error.
pub(super) fn say(text: impl fmt::Display) {
    // Nobody hears us without standard error, and nothing depends on it.
    let _unheard = writeln!(io::stderr().lock(), "{text}");
}
