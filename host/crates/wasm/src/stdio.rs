//! Where a guest's standard streams go: lines into the log, bytes into the answer.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wicket_core::{LogLines, LogSink, LogStream, Redactor};

use crate::meter::Meter;

/// What a command may answer with; more belongs into an output file.
pub(crate) const LARGEST_REPLY: usize = 8 << 20;
/// Bytes a guest may hand over in one write.
const WRITE: usize = 64 << 10;

/// One standard stream of a guest. All handles that the guest opens on it write to the same place.
#[derive(Clone)]
pub(crate) struct Sink {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    lines: LogLines,
    meter: Arc<Meter>,
    /// Everything, where it is the answer.
    kept: Option<BytesMut>,
}

impl Sink {
    /// Lines go into the log.
    pub(crate) fn log(log: LogSink, secrets: Redactor, stream: LogStream, meter: Arc<Meter>) -> Self {
        Self::new(LogLines::new(log, stream, secrets), meter, None)
    }

    /// Lines go into the log, and all bytes into the answer.
    pub(crate) fn reply(log: LogSink, secrets: Redactor, meter: Arc<Meter>) -> Self {
        Self::new(LogLines::new(log, LogStream::Stdout, secrets), meter, Some(BytesMut::new()))
    }

    fn new(lines: LogLines, meter: Arc<Meter>, kept: Option<BytesMut>) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { lines, meter, kept })) }
    }

    /// What comes from now on belongs to another call.
    pub(crate) fn retarget(&self, log: &LogSink, meter: &Arc<Meter>) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.lines.retarget(log.clone());
        shared.meter = meter.clone();
    }

    fn push(&self, bytes: &[u8]) -> Result<(), crate::meter::Tripped> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Shared { lines, meter, kept } = &mut *shared;
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
        lines.push(bytes);
        Ok(())
    }

    /// Logs a last line without an end, and hands over what was kept.
    pub(crate) fn finish(&self) -> Bytes {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.lines.finish();
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
