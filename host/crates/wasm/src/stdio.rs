//! Where a guest's standard streams go: lines into the log, bytes into the answer.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wicket_core::{LogSink, LogStream};

use crate::meter::Meter;
use crate::redact::Redactor;

/// A longer line is cut into several, but no secret in it is.
const LONGEST_LINE: usize = 16 << 10;
/// What a command may answer with; more belongs into an output file.
pub(crate) const LARGEST_REPLY: usize = 8 << 20;
/// Bytes a guest may hand over in one write.
const WRITE: usize = 64 << 10;

/// One standard stream of a guest. All handles that the guest opens on it write to the same place.
#[derive(Clone)]
pub(crate) struct Sink {
    shared: Arc<Mutex<Shared>>,
    stream: LogStream,
}

struct Shared {
    log: LogSink,
    secrets: Redactor,
    meter: Arc<Meter>,
    /// The line that is not complete yet.
    line: BytesMut,
    /// Everything, where it is the answer.
    kept: Option<BytesMut>,
}

impl Shared {
    fn say(&self, stream: LogStream, line: &[u8]) {
        self.log.line(stream, &self.secrets.bytes(line));
    }
}

impl Sink {
    /// Lines go into the log.
    pub(crate) fn log(log: LogSink, secrets: Redactor, stream: LogStream, meter: Arc<Meter>) -> Self {
        let shared = Shared { log, secrets, meter, line: BytesMut::new(), kept: None };
        Self { shared: Arc::new(Mutex::new(shared)), stream }
    }

    /// Lines go into the log, and all bytes into the answer.
    pub(crate) fn reply(log: LogSink, secrets: Redactor, meter: Arc<Meter>) -> Self {
        let shared = Shared { log, secrets, meter, line: BytesMut::new(), kept: Some(BytesMut::new()) };
        Self { shared: Arc::new(Mutex::new(shared)), stream: LogStream::Stdout }
    }

    /// What comes from now on belongs to another call.
    pub(crate) fn retarget(&self, log: &LogSink, meter: &Arc<Meter>) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.log = log.clone();
        shared.meter = meter.clone();
    }

    fn push(&self, mut bytes: &[u8]) -> Result<(), crate::meter::Tripped> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Shared { meter, kept, .. } = &mut *shared;
        match kept {
            Some(kept) => {
                if kept.len() + bytes.len() > LARGEST_REPLY {
                    return Err(meter.reply_too_large());
                }
                meter.wrote(bytes.len() as u64)?;
                kept.extend_from_slice(bytes);
            }
            None => meter.logged(bytes.len() as u64)?,
        }
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if shared.line.is_empty() {
                shared.say(self.stream, line);
            } else {
                shared.line.extend_from_slice(line);
                let whole = shared.line.split();
                shared.say(self.stream, &whole);
            }
            bytes = rest;
        }
        for part in bytes.chunks(LONGEST_LINE) {
            shared.line.extend_from_slice(part);
            if shared.line.len() >= LONGEST_LINE + shared.secrets.longest() {
                let cut = shared.secrets.cut_of(&shared.line);
                let whole = shared.line.split_to(cut);
                shared.say(self.stream, &whole);
            }
        }
        Ok(())
    }

    /// Logs a last line without an end, and hands over what was kept.
    pub(crate) fn finish(&self) -> Bytes {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if !shared.line.is_empty() {
            let rest = shared.line.split();
            shared.say(self.stream, &rest);
        }
        shared.kept.take().map_or_else(Bytes::new, BytesMut::freeze)
    }
}

impl IsTerminal for Sink {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Sink {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Sink {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Sink {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes).map_err(|tripped| StreamError::Trap(tripped.into()))
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE)
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.push(bytes).map(|()| bytes.len()).map_err(io::Error::other))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
