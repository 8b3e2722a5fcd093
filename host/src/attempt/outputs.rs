//! Takes what a function makes, and keeps it out of sight until the attempt has succeeded.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;
use wicket_buckets::LocalBuckets;
use wicket_config::{ObjectKey, Output};
use wicket_core::{
    ByteStream, Deployment, Event, LogSink, LogStream, ObjectError, ObjectRef, OutputName, Outputs,
    StagedObject,
};

use crate::node::Outside;

/// Most outputs of one attempt: they become visible in one transaction, for which all others wait.
const MOST: u32 = 10_000;

/// The outputs of one attempt.
#[derive(Debug)]
pub(crate) struct AttemptOutputs {
    deployment: Arc<Deployment>,
    buckets: Arc<LocalBuckets>,
    outside: Arc<Outside>,
    event: Event,
    log: LogSink,
    scratch: PathBuf,
    /// Whether files are kept for a caller who waits for them.
    answer: bool,
    used: AtomicU64,
    /// Outputs that were begun.
    made: AtomicU32,
    collected: Mutex<Collected>,
}

/// What an attempt has made so far.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// For buckets of this host: visible when the invocation is completed.
    pub(crate) staged: Vec<StagedObject>,
    /// For other providers: sent before the invocation is completed.
    pub(crate) uploads: Vec<Upload>,
    /// For the caller who waits.
    pub(crate) answers: Vec<Answer>,
}

/// An output for a provider outside.
#[derive(Debug)]
pub(crate) struct Upload {
    object: ObjectRef,
    content_type: Option<String>,
    file: PathBuf,
}

/// An output kept for the caller.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its name.
    pub(crate) name: OutputName,
    /// Its media type.
    pub(crate) content_type: Option<String>,
    /// Its bytes.
    pub(crate) file: PathBuf,
}

impl AttemptOutputs {
    /// For an attempt on this event, working in `scratch`.
    pub(crate) fn new(
        deployment: Arc<Deployment>,
        buckets: Arc<LocalBuckets>,
        outside: Arc<Outside>,
        event: Event,
        log: LogSink,
        scratch: &Path,
        answer: bool,
    ) -> Self {
        let scratch = scratch.to_owned();
        let (used, made, collected) = (AtomicU64::new(0), AtomicU32::new(0), Mutex::default());
        Self { deployment, buckets, outside, event, log, scratch, answer, used, made, collected }
    }

    /// Sends what goes outside, and hands over the rest.
    pub(crate) async fn finish(&self) -> Result<Collected, ObjectError> {
        // What is staged stays here meanwhile: it is discarded when one of these fails, or nobody waits any more.
        let uploads = std::mem::take(&mut self.collected().uploads);
        for upload in &uploads {
            let client = self.outside.of(&self.deployment.service, &upload.object.provider)?;
            client.put_file(&upload.object, upload.content_type.as_deref(), &upload.file).await?;
        }
        Ok(std::mem::take(&mut *self.collected()))
    }

    fn collected(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Outputs of the service that take this name.
    fn takers(&self, name: &str) -> Vec<&Output> {
        let takes = |output: &&Output| {
            (output.prefix.is_empty() || output.prefix.iter().any(|prefix| name.starts_with(prefix)))
                && (output.suffix.is_empty() || output.suffix.iter().any(|suffix| name.ends_with(suffix)))
        };
        self.deployment.service.output.iter().filter(takes).collect()
    }

    /// Where an output lands: `folder/[folders of the input/]name`.
    fn place(&self, output: &Output, name: &OutputName) -> Result<ObjectRef, ObjectError> {
        let kept = if output.keep_folders { self.folders_below_input() } else { String::new() };
        let parts = [output.folder.as_str(), kept.as_str(), name.as_str()];
        let key = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
        let key: ObjectKey = key.parse().map_err(|error| {
            ObjectError::Refused(format!("output `{}` cannot be stored: {error}", name.as_str()))
        })?;
        Ok(ObjectRef {
            provider: output.storage_provider.clone(),
            bucket: output.bucket.clone(),
            key,
            size: None,
            etag: None,
        })
    }

    /// The folders between the input's folder and the object, made plain. For a join, those of its first part.
    fn folders_below_input(&self) -> String {
        let objects = self.event.objects();
        let Some(object) = objects.first() else { return String::new() };
        let folder = object.key.folder();
        let inputs = self.deployment.service.input.iter();
        let below = inputs
            .filter(|input| input.bucket == object.bucket && input.storage_provider == object.provider)
            .filter_map(|input| {
                if input.folder.is_empty() {
                    return Some(folder);
                }
                let rest = folder.strip_prefix(&input.folder)?;
                if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
            })
            .min_by_key(|rest| rest.len())
            .unwrap_or_default();
        let plain = |part: &&str| !matches!(*part, "" | "." | "..");
        below.split('/').filter(plain).collect::<Vec<_>>().join("/")
    }

    /// Bytes that the service may still put out.
    fn left(&self) -> u64 {
        self.deployment.service.limits.output.0.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    fn over(&self, name: &OutputName) -> ObjectError {
        let limit = self.deployment.service.limits.output;
        ObjectError::Limit(format!(
            "output `{}` passes the service's limit of {limit} for all outputs",
            name.as_str()
        ))
    }

    /// Writes a body into a file of the scratch folder.
    async fn spool(&self, name: &OutputName, mut body: ByteStream) -> Result<(PathBuf, u64), ObjectError> {
        let failed = |source: std::io::Error| ObjectError::Storage {
            bucket: "scratch".to_owned(),
            key: name.as_str().to_owned(),
            source: Box::new(source),
        };
        let file = self.scratch.join(format!("output-{}", hex::encode(rand::random::<[u8; 8]>())));
        let mut writer = tokio::fs::File::create(&file).await.map_err(failed)?;
        let mut size = 0;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(failed)?;
            size += piece.len() as u64;
            if size > self.left() {
                return Err(self.over(name));
            }
            writer.write_all(&piece).await.map_err(failed)?;
        }
        writer.flush().await.map_err(failed)?;
        Ok((file, size))
    }
}

impl Drop for AttemptOutputs {
    /// What was staged and not handed over (the attempt failed, or was cancelled) goes.
    fn drop(&mut self) {
        let staged = std::mem::take(&mut self.collected().staged);
        self.buckets.discard(staged);
    }
}

/// Staged for some of an output's takers: discarded unless all have it.
struct Partly<'o> {
    buckets: &'o LocalBuckets,
    staged: Vec<StagedObject>,
}

impl Drop for Partly<'_> {
    fn drop(&mut self) {
        self.buckets.discard(std::mem::take(&mut self.staged));
    }
}

/// The bytes of a file in pieces.
async fn read(file: &Path) -> std::io::Result<ByteStream> {
    let file = tokio::fs::File::open(file).await?;
    Ok(Box::pin(ReaderStream::with_capacity(file, 256 << 10)))
}

#[async_trait]
impl Outputs for AttemptOutputs {
    async fn stage(
        &self,
        name: OutputName,
        content_type: Option<String>,
        body: ByteStream,
    ) -> Result<u64, ObjectError> {
        let takers = self.takers(name.as_str());
        if self.made.fetch_add(1, Ordering::Relaxed) >= MOST {
            let text = format!("an attempt has at most {MOST} outputs, and `{}` is one more", name.as_str());
            return Err(ObjectError::Limit(text));
        }
        if takers.is_empty() && !self.answer {
            let text = format!("output `{}` matches no output of the service and is dropped", name.as_str());
            self.log.line(LogStream::Host, text.as_bytes());
        }
        // One taker on this host needs no copy on the way: the usual case.
        if let ([output], false) = (takers.as_slice(), self.answer)
            && output.storage_provider.is_local()
        {
            let object = self.place(output, &name)?;
            let staged = self.stage_local(&name, object, content_type, body).await?;
            let size = staged.size;
            self.used.fetch_add(size, Ordering::Relaxed);
            self.replace(vec![staged], Vec::new(), Vec::new());
            return Ok(size);
        }
        let (file, size) = self.spool(&name, body).await?;
        self.used.fetch_add(size, Ordering::Relaxed);
        let mut partly = Partly { buckets: &self.buckets, staged: Vec::new() };
        let (mut uploads, mut answers) = (Vec::new(), Vec::new());
        for output in takers {
            let object = self.place(output, &name)?;
            if output.storage_provider.is_local() {
                let body = read(&file).await.map_err(|source| ObjectError::Storage {
                    bucket: object.bucket.to_string(),
                    key: object.key.to_string(),
                    source: Box::new(source),
                })?;
                partly.staged.push(self.stage_local(&name, object, content_type.clone(), body).await?);
            } else {
                uploads.push(Upload { object, content_type: content_type.clone(), file: file.clone() });
            }
        }
        if self.answer {
            answers.push(Answer { name, content_type, file });
        }
        self.replace(std::mem::take(&mut partly.staged), uploads, answers);
        Ok(size)
    }
}

impl AttemptOutputs {
    async fn stage_local(
        &self,
        name: &OutputName,
        object: ObjectRef,
        content_type: Option<String>,
        body: ByteStream,
    ) -> Result<StagedObject, ObjectError> {
        let (bucket, key) = (object.bucket, object.key);
        let staged = self.buckets.stage(&bucket, &key, content_type, body, self.left()).await;
        staged.map_err(|error| match error {
            wicket_buckets::BucketError::TooLarge { .. } => self.over(name),
            error => error.for_object(&bucket, &key),
        })
    }

    /// Adds outputs; one of the same place or name goes.
    fn replace(&self, staged: Vec<StagedObject>, uploads: Vec<Upload>, answers: Vec<Answer>) {
        let mut collected = self.collected();
        let mut replaced = Vec::new();
        for new in staged {
            let same = collected.staged.iter().position(|old| {
                (&old.object.bucket, &old.object.key) == (&new.object.bucket, &new.object.key)
            });
            if let Some(idx) = same {
                replaced.push(collected.staged.swap_remove(idx));
            }
            collected.staged.push(new);
        }
        for new in uploads {
            collected.uploads.retain(|old| old.object != new.object);
            collected.uploads.push(new);
        }
        for new in answers {
            collected.answers.retain(|old| old.name != new.name);
            collected.answers.push(new);
        }
        drop(collected);
        self.buckets.discard(replaced);
    }
}
