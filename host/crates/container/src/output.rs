//! What a container says, while it says it.

use bollard::container::LogOutput;
use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use wicket_core::{Deployment, Failure, LogLines, LogSink, LogStream, Redactor};
use wicket_workspace::{Account as _, Tally};

use crate::limits::{LARGEST_REPLY, reply_too_large};

/// Takes both streams: lines into the log, standard output into the answer too.
#[derive(Debug)]
pub(crate) struct Said {
    stdout: LogLines,
    stderr: LogLines,
    reply: BytesMut,
    stdout_seen: Seen,
    stderr_seen: Seen,
}

/// What was taken of a stream, by which a second listening knows where the first one ended.
#[derive(Debug, Default)]
struct Seen {
    bytes: u64,
    digest: Sha256,
    /// Bytes that come once more, and those of them that have come.
    again: Option<(u64, Sha256)>,
}

impl Seen {
    fn again(&mut self) {
        self.again = (self.bytes > 0).then(|| (self.bytes, Sha256::new()));
    }

    /// What is new in a piece.
    fn new_in<'p>(&mut self, mut piece: &'p [u8]) -> Result<&'p [u8], Failure> {
        if let Some((left, digest)) = &mut self.again {
            let known = piece.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
            digest.update(&piece[..known]);
            *left -= known as u64;
            if *left == 0 {
                if digest.clone().finalize() != self.digest.clone().finalize() {
                    return Err(cut_short());
                }
                self.again = None;
            }
            piece = &piece[known..];
        }
        self.digest.update(piece);
        self.bytes += piece.len() as u64;
        Ok(piece)
    }
}

fn cut_short() -> Failure {
    let message = "the engine broke off what the container said, and does not say all of it again";
    Failure::Host { message: message.to_owned() }
}

impl Said {
    pub(crate) fn new(log: &LogSink, deployment: &Deployment) -> Self {
        let secrets = Redactor::of(deployment);
        Self {
            stdout: LogLines::new(log.clone(), LogStream::Stdout, secrets.clone()),
            stderr: LogLines::new(log.clone(), LogStream::Stderr, secrets),
            reply: BytesMut::new(),
            stdout_seen: Seen::default(),
            stderr_seen: Seen::default(),
        }
    }

    /// From now on everything is said once more from its beginning.
    pub(crate) fn again(&mut self) {
        self.stdout_seen.again();
        self.stderr_seen.again();
    }

    /// Whether all that was said before was said again.
    pub(crate) fn is_whole(&self) -> Result<(), Failure> {
        let is_whole = self.stdout_seen.again.is_none() && self.stderr_seen.again.is_none();
        if is_whole { Ok(()) } else { Err(cut_short()) }
    }

    /// Takes a piece of either stream.
    pub(crate) fn take(&mut self, piece: &LogOutput, tally: &Tally) -> Result<(), Failure> {
        match piece {
            LogOutput::StdErr { message } => {
                let message = self.stderr_seen.new_in(message)?;
                tally.logged(message.len())?;
                self.stderr.push(message);
            }
            LogOutput::StdOut { message } => {
                let message = self.stdout_seen.new_in(message)?;
                tally.logged(message.len())?;
                tally.wrote(message.len() as u64)?;
                self.stdout.push(message);
                if self.reply.len() + message.len() > LARGEST_REPLY {
                    return Err(reply_too_large());
                }
                self.reply.extend_from_slice(message);
            }
            // What was sent to it, and what a terminal shows: it has none.
            LogOutput::StdIn { .. } | LogOutput::Console { .. } => {}
        }
        Ok(())
    }

    /// Logs what has no line end, and hands over the answer.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.stdout.finish();
        self.stderr.finish();
        self.reply.split().freeze()
    }
}
