//! From the bytes of a standard stream to lines of a log.

use bytes::BytesMut;

use crate::{LogSink, LogStream, Redactor};

/// A longer line is cut into several, but no secret in it is.
const LONGEST: usize = 16 << 10;

/// Cuts what a function writes into lines, takes its secrets out and logs them.
#[derive(Debug)]
pub struct LogLines {
    log: LogSink,
    stream: LogStream,
    secrets: Redactor,
    /// The line that is not complete yet.
    line: BytesMut,
}

impl LogLines {
    /// Nothing said yet.
    pub fn new(log: LogSink, stream: LogStream, secrets: Redactor) -> Self {
        Self { log, stream, secrets, line: BytesMut::new() }
    }

    /// What comes from now on belongs to another call.
    pub fn retarget(&mut self, log: LogSink) {
        self.log = log;
    }

    /// Takes more of the stream, in pieces of any size.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.line.is_empty() {
                self.say(line);
            } else {
                self.line.extend_from_slice(line);
                let whole = self.line.split();
                self.say(&whole);
            }
            bytes = rest;
        }
        for part in bytes.chunks(LONGEST) {
            self.line.extend_from_slice(part);
            if self.line.len() >= LONGEST + self.secrets.longest() {
                let cut = self.secrets.cut_of(&self.line);
                let whole = self.line.split_to(cut);
                self.say(&whole);
            }
        }
    }

    /// Logs a last line without an end.
    pub fn finish(&mut self) {
        if !self.line.is_empty() {
            let rest = self.line.split();
            self.say(&rest);
        }
    }

    fn say(&self, line: &[u8]) {
        self.log.line(self.stream, &self.secrets.bytes(line));
    }
}
