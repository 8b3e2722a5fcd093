//! The host's side of the event shape: objects, outputs and the log.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use wasmtime::component::Resource;
use wicket_config::{BucketName, ObjectKey, ProviderId};
use wicket_core::{
    ByteStream, LogStream, ObjectEntry, ObjectError, ObjectRef, Objects, Opened, OutputName, Redactor, chain,
};

use super::bindings::wicketgate::function::{buckets, log, outputs, types};
use crate::meter::Meter;
use crate::state::State;

/// Bytes of one read, whatever the guest asks for.
const LARGEST_READ: usize = 1 << 20;
/// Bytes of an output that wait for the one who stages it.
const PIECE: usize = 64 << 10;
/// Objects of one listing, whatever the guest asks for.
const LONGEST_LISTING: u32 = 1000;

/// An object of the event; opened when it is first read.
#[expect(unreachable_pub, reason = "the generated bindings export it again, inside of this crate")]
pub struct Object {
    about: ObjectRef,
    open: Option<Open>,
}

struct Open {
    size: u64,
    content_type: Option<String>,
    body: ByteStream,
    /// Bytes that came and were not asked for yet.
    rest: Bytes,
}

/// An output being written. The staging runs whenever the guest writes or finishes, and stops when it is dropped.
#[expect(unreachable_pub, reason = "the generated bindings export it again, inside of this crate")]
pub struct Output {
    writer: mpsc::Sender<io::Result<Bytes>>,
    staging: Staging,
}

type Staging = Pin<Box<dyn Future<Output = Result<u64, ObjectError>> + Send>>;
type Told<T> = wasmtime::Result<Result<T, String>>;

/// What every later use of an output gets.
fn over(said: String) -> Staging {
    Box::pin(async { Err(ObjectError::Refused(said)) })
}

impl Object {
    pub(super) fn new(about: ObjectRef) -> Self {
        Self { about, open: None }
    }

    async fn open(&mut self, objects: &dyn Objects) -> Result<&mut Open, ObjectError> {
        match &mut self.open {
            Some(open) => Ok(open),
            closed @ None => {
                let Opened { size, content_type, body } = objects.open(&self.about).await?;
                Ok(closed.insert(Open { size, content_type, body, rest: Bytes::new() }))
            }
        }
    }
}

impl Open {
    async fn read(&mut self, most: usize, meter: &Meter) -> io::Result<Bytes> {
        while self.rest.is_empty() {
            match self.body.next().await {
                None => return Ok(Bytes::new()),
                Some(bytes) => self.rest = bytes?,
            }
            meter.read(self.rest.len() as u64);
        }
        let size = self.rest.len().min(most);
        Ok(self.rest.split_to(size))
    }
}

impl State {
    fn objects(&self) -> wasmtime::Result<Arc<dyn Objects>> {
        self.objects.clone().ok_or_else(|| wasmtime::format_err!("this call came without access to objects"))
    }
}

impl types::Host for State {}

impl types::HostObject for State {
    async fn key(&mut self, object: Resource<Object>) -> wasmtime::Result<String> {
        Ok(self.table.get(&object)?.about.key.to_string())
    }

    async fn bucket(&mut self, object: Resource<Object>) -> wasmtime::Result<String> {
        Ok(self.table.get(&object)?.about.bucket.to_string())
    }

    async fn size(&mut self, object: Resource<Object>) -> wasmtime::Result<u64> {
        let objects = self.objects()?;
        let object = self.table.get_mut(&object)?;
        if let Some(size) = object.about.size {
            return Ok(size);
        }
        // The WIT has no error here; a read of the same object says why.
        Ok(object.open(&*objects).await.map_or(0, |open| open.size))
    }

    async fn content_type(&mut self, object: Resource<Object>) -> wasmtime::Result<Option<String>> {
        let objects = self.objects()?;
        let opened = self.table.get_mut(&object)?.open(&*objects).await;
        // As with the size, a read says why there is none.
        Ok(opened.ok().and_then(|open| open.content_type.clone()))
    }

    async fn read(&mut self, object: Resource<Object>, max: u32) -> Told<Vec<u8>> {
        let (objects, meter) = (self.objects()?, self.meter.clone());
        let most = (max as usize).min(LARGEST_READ);
        if most == 0 {
            return Ok(Ok(Vec::new()));
        }
        let open = match self.table.get_mut(&object)?.open(&*objects).await {
            Ok(open) => open,
            Err(error) => return Ok(Err(chain(&error))),
        };
        Ok(open.read(most, &meter).await.map(|bytes| bytes.to_vec()).map_err(|error| error.to_string()))
    }

    async fn drop(&mut self, object: Resource<Object>) -> wasmtime::Result<()> {
        self.table.delete(object)?;
        Ok(())
    }
}

impl outputs::Host for State {}

impl outputs::HostOutput for State {
    async fn new(
        &mut self,
        name: String,
        content_type: Option<String>,
    ) -> wasmtime::Result<Resource<Output>> {
        let outputs = self.outputs.clone();
        let outputs = outputs.ok_or_else(|| wasmtime::format_err!("only an event handler has outputs"))?;
        let (writer, reader) = mpsc::channel(1);
        let staging = Box::pin(async move {
            let name = OutputName::try_from(name)?;
            outputs.stage(name, content_type, Box::pin(ReceiverStream::new(reader))).await
        });
        Ok(self.table.push(Output { writer, staging })?)
    }

    async fn write(&mut self, output: Resource<Output>, bytes: Vec<u8>) -> Told<()> {
        self.meter.wrote(bytes.len() as u64)?;
        let Output { writer, staging } = self.table.get_mut(&output)?;
        for piece in bytes.chunks(PIECE) {
            // A copy: a part of the guest's bytes would keep all of them.
            let piece = Bytes::copy_from_slice(piece);
            tokio::select! {
                // The staging first: it takes the piece before, so that no more than one waits.
                biased;
                // It reads to the end of the stream, which is not there yet: it can only have failed.
                ended = &mut *staging => {
                    let said =
                        ended.err().map_or_else(|| "the output ended early".to_owned(), |error| chain(&error));
                    // A future that is over must not be asked again.
                    *staging = over(said.clone());
                    return Ok(Err(said));
                }
                sent = writer.send(Ok(piece)) => {
                    if sent.is_err() {
                        return Ok(Err("the output was given up before".to_owned()));
                    }
                }
            }
        }
        Ok(Ok(()))
    }

    async fn finish(&mut self, output: Resource<Output>) -> Told<()> {
        let Output { writer, staging } = self.table.get_mut(&output)?;
        // Without a writer the stream ends.
        *writer = mpsc::channel(1).0;
        let ended = staging.as_mut().await;
        *staging = over("the output was finished before".to_owned());
        Ok(ended.map(drop).map_err(|error| chain(&error)))
    }

    async fn drop(&mut self, output: Resource<Output>) -> wasmtime::Result<()> {
        self.table.delete(output)?;
        Ok(())
    }
}

impl buckets::Host for State {
    async fn open(&mut self, bucket: String, key: String) -> Told<Resource<Object>> {
        let named = bucket.parse::<BucketName>().and_then(|bucket| Ok((bucket, key.parse::<ObjectKey>()?)));
        let (bucket, key) = match named {
            Ok(named) => named,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let about = ObjectRef { provider: ProviderId::default(), bucket, key, size: None, etag: None };
        Ok(Ok(self.table.push(Object::new(about))?))
    }

    async fn list(
        &mut self,
        bucket: String,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Told<Vec<buckets::Entry>> {
        let bucket = match bucket.parse::<BucketName>() {
            Ok(bucket) => bucket,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let found =
            self.objects()?.list(&bucket, &prefix, after.as_deref(), limit.min(LONGEST_LISTING)).await;
        let entry = |entry: ObjectEntry| buckets::Entry {
            key: entry.key.to_string(),
            size: entry.size,
            modified: entry.modified.to_string(),
        };
        Ok(found.map(|found| found.into_iter().map(entry).collect()).map_err(|error| chain(&error)))
    }
}

impl log::Host for State {
    fn line(&mut self, level: log::Level, text: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => "debug: ",
            log::Level::Info => "",
            log::Level::Warn => "warn: ",
            log::Level::Error => "error: ",
        };
        let text = Redactor::of(&self.deployment).text(text);
        for line in text.lines() {
            self.meter.logged(line.len() as u64 + 1)?;
            self.log.line(LogStream::Stderr, format!("{level}{line}").as_bytes());
        }
        Ok(())
    }
}
