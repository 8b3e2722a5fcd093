//! What a container says, while it says it.

use bollard::container::LogOutput;
use bytes::{Bytes, BytesMut};
use wicket_core::{Deployment, Failure, LogLines, LogSink, LogStream, Redactor};
use wicket_workspace::Account as _;

use crate::tally::{LARGEST_REPLY, Tally, reply_too_large};

/// Takes both streams: lines into the log, standard output into the answer too.
#[derive(Debug)]
pub(crate) struct Said {
    stdout: LogLines,
    stderr: LogLines,
    reply: BytesMut,
}

impl Said {
    pub(crate) fn new(log: &LogSink, deployment: &Deployment) -> Self {
        let secrets = Redactor::of(deployment);
        Self {
            stdout: LogLines::new(log.clone(), LogStream::Stdout, secrets.clone()),
            stderr: LogLines::new(log.clone(), LogStream::Stderr, secrets),
            reply: BytesMut::new(),
        }
    }

    /// Takes a piece of either stream.
    pub(crate) fn take(&mut self, piece: &LogOutput, tally: &Tally) -> Result<(), Failure> {
        match piece {
            LogOutput::StdErr { message } => {
                tally.logged(message.len())?;
                self.stderr.push(message);
            }
            LogOutput::StdOut { message } => {
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
