//! The buckets of this host: bytes, row and event of an object, all or nothing.

use std::path::Path;
use std::sync::Arc;

use futures::Stream;
use s3s::checksum::ChecksumHasher;
use wicket_config::{BucketName, ObjectKey, ProviderId};
use wicket_core::{Blob, ByteStream, Event, EventId, ObjectRef, StagedObject};
use wicket_store::{Announce, Publish, Store, StoreError, Tx, failpoint};

use crate::body::{self, Arrived, Content, Extent};
use crate::checksum::{self, Claims};
use crate::error::no;
use crate::files::Files;
use crate::index::{self, Bytes, NewObject};
use crate::listing;
use crate::multipart;
use crate::writing::Written;
use crate::{BucketError, BucketInfo, Condition, ListQuery, ObjectInfo, ObjectMeta, Page};

/// The buckets of this host.
#[derive(Debug)]
pub struct LocalBuckets {
    pub(crate) store: Store,
    pub(crate) files: Arc<Files>,
    pub(crate) announce: Arc<dyn Announce>,
}

impl LocalBuckets {
    /// Opens the buckets whose bytes are in `dir`. What an earlier process left half done stays until
    /// [`LocalBuckets::sweep`].
    pub async fn open(
        store: Store,
        dir: &Path,
        announce: Arc<dyn Announce>,
    ) -> Result<Arc<Self>, BucketError> {
        let dir = dir.to_owned();
        let opened = tokio::task::spawn_blocking(move || Files::open(&dir)).await;
        let files =
            opened.map_err(std::io::Error::other).and_then(|opened| opened).map_err(BucketError::file)?;
        Ok(Arc::new(Self { store, files, announce }))
    }

    /// Makes a bucket; false when it was there.
    pub async fn create(&self, bucket: &BucketName) -> Result<bool, BucketError> {
        let bucket = bucket.clone();
        Ok(self.store.write(move |tx| index::create_bucket(tx, &bucket)).await?)
    }

    /// Removes an empty bucket, and gives up what is still being uploaded into it.
    pub async fn remove(&self, bucket: &BucketName) -> Result<(), BucketError> {
        let (bucket, files) = (bucket.clone(), self.files.clone());
        let removed = self.store.write_freeing(move |tx| {
            let unneeded = index::remove_bucket(tx, &bucket)?;
            tx.after_commit(move || unneeded.iter().for_each(|name| files.remove(name)));
            Ok(())
        });
        Ok(removed.await?)
    }

    /// All buckets, by name.
    pub async fn buckets(&self) -> Result<Vec<BucketInfo>, BucketError> {
        Ok(self.store.read(index::buckets).await?)
    }

    /// Fails unless there is such a bucket.
    pub async fn exists(&self, bucket: &BucketName) -> Result<(), BucketError> {
        let bucket = bucket.clone();
        Ok(self.store.read(move |db| index::bucket_exists(db, &bucket)).await?)
    }

    /// Stores an object; on return it is durable and visible, and its event is on its way.
    pub async fn put(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        meta: ObjectMeta,
        body: ByteStream,
    ) -> Result<ObjectInfo, BucketError> {
        let arrived = body::receive(&self.files, body, ChecksumHasher::default(), u64::MAX).await?;
        self.store_arrived(bucket, key, meta, arrived, Condition::Always).await
    }

    /// The same with what the protocol adds: what the client says of the body, a condition, and a limit.
    pub(crate) async fn put_checked<S, E>(
        &self,
        (bucket, key): (&BucketName, &ObjectKey),
        mut meta: ObjectMeta,
        body: S,
        claims: Claims,
        (condition, limit): (Condition, u64),
    ) -> Result<ObjectInfo, BucketError>
    where
        S: Stream<Item = Result<bytes::Bytes, E>> + Unpin,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // What cannot be stored is told before the body is taken.
        let (of, wanted, holds) = (bucket.clone(), key.clone(), condition.clone());
        self.store.read(move |db| index::check(db, (&of, &wanted), &holds)).await?;
        let arrived = body::receive(&self.files, body, claims.hasher(), limit).await?;
        claims.check(&arrived)?;
        meta.checksums = checksum::by_name(&arrived.checksum);
        self.store_arrived(bucket, key, meta, arrived, condition).await
    }

    async fn store_arrived(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        meta: ObjectMeta,
        arrived: Arrived,
        condition: Condition,
    ) -> Result<ObjectInfo, BucketError> {
        let (bytes, written) = match arrived.content {
            Content::Inline(bytes) => (Bytes::Inline(bytes.to_vec()), None),
            Content::File(written) => {
                let extent = Extent { name: written.name.clone(), size: written.size };
                (Bytes::Files(vec![extent]), Some(written))
            }
        };
        let new = NewObject {
            bucket: bucket.clone(),
            key: key.clone(),
            size: arrived.size,
            etag: hex::encode(arrived.md5),
            meta,
            bytes,
        };
        let (files, announce) = (self.files.clone(), self.announce.clone());
        let committed = self.store.write(move |tx| {
            let seq = place(tx, &new, &condition, files)?;
            announce.created(tx, &created(&new, seq))?;
            // The file stays exactly when the row does, even when nobody waits for the answer any more.
            tx.after_commit(move || written.into_iter().for_each(Written::keep));
            index::get(tx, &new.bucket, &new.key).map(|(_, info)| info)
        });
        Ok(committed.await?)
    }

    /// Removes objects; those that are not there are fine.
    pub async fn delete(&self, bucket: &BucketName, keys: Vec<ObjectKey>) -> Result<(), BucketError> {
        let (bucket, files) = (bucket.clone(), self.files.clone());
        let deleted = self.store.write_freeing(move |tx| {
            index::bucket_exists(tx, &bucket)?;
            let mut unneeded = Vec::new();
            for key in &keys {
                if let Some((seq, _)) = index::find(tx, &bucket, key)? {
                    unneeded.extend(index::delete(tx, seq)?);
                }
            }
            tx.after_commit(move || unneeded.iter().for_each(|name| files.remove(name)));
            Ok(())
        });
        Ok(deleted.await?)
    }

    /// Removes an object of which the condition holds.
    pub(crate) async fn delete_if(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        condition: Condition,
    ) -> Result<(), BucketError> {
        let (bucket, key, files) = (bucket.clone(), key.clone(), self.files.clone());
        let deleted = self.store.write_freeing(move |tx| {
            index::check(tx, (&bucket, &key), &condition)?;
            let Some((seq, _)) = index::find(tx, &bucket, &key)? else { return Ok(()) };
            let unneeded = index::delete(tx, seq)?;
            tx.after_commit(move || unneeded.iter().for_each(|name| files.remove(name)));
            Ok(())
        });
        Ok(deleted.await?)
    }

    /// Copies an object without moving its bytes: both share the files. `meta` makes what goes with the copy of what
    /// is known of the original, or refuses.
    pub(crate) async fn copy(
        &self,
        (from_bucket, from): (&BucketName, &ObjectKey),
        (bucket, key): (&BucketName, &ObjectKey),
        meta: impl FnOnce(&ObjectInfo) -> Result<ObjectMeta, BucketError> + Send + 'static,
        condition: Condition,
    ) -> Result<ObjectInfo, BucketError> {
        let (from_bucket, from) = (from_bucket.clone(), from.clone());
        let (bucket, key) = (bucket.clone(), key.clone());
        let (files, announce) = (self.files.clone(), self.announce.clone());
        let copied = self.store.write(move |tx| {
            let (seq, old) = index::get(tx, &from_bucket, &from)?;
            let mut meta = meta(&old).map_err(no)?;
            // The same bytes have the same checksums.
            meta.checksums = old.meta.checksums;
            let (size, etag, bytes) = (old.size, old.etag, index::bytes(tx, seq)?);
            let new = NewObject { bucket, key, size, etag, meta, bytes };
            let seq = place(tx, &new, &condition, files)?;
            announce.created(tx, &created(&new, seq))?;
            index::get(tx, &new.bucket, &new.key).map(|(_, info)| info)
        });
        Ok(copied.await?)
    }

    /// One page of a bucket.
    pub async fn list(&self, bucket: &BucketName, query: ListQuery) -> Result<Page, BucketError> {
        let bucket = bucket.clone();
        Ok(self.store.read(move |db| listing::list(db, &bucket, &query)).await?)
    }

    /// Puts an output on disk, at most `limit` bytes; nobody sees it before it is published.
    pub async fn stage(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        content_type: Option<String>,
        body: ByteStream,
        limit: u64,
    ) -> Result<StagedObject, BucketError> {
        let arrived = body::receive(&self.files, body, ChecksumHasher::default(), limit).await?;
        let blob = match arrived.content {
            Content::Inline(bytes) => Blob::Inline(bytes),
            Content::File(written) => {
                let name = written.name.clone();
                // From here on it is the caller's to publish or discard; a crash leaves it to the sweep.
                written.keep();
                Blob::File(name)
            }
        };
        let object = ObjectRef {
            provider: ProviderId::default(),
            bucket: bucket.clone(),
            key: key.clone(),
            size: None,
            etag: None,
        };
        let etag = hex::encode(arrived.md5);
        Ok(StagedObject { object, blob, size: arrived.size, etag, content_type })
    }

    /// Throws staged outputs away.
    pub fn discard(&self, staged: Vec<StagedObject>) {
        for output in staged {
            if let Blob::File(name) = output.blob {
                self.files.remove(&name);
            }
        }
    }

    /// Removes uploads that nobody will complete, and files of an earlier process that no row names. To be called once
    /// after opening; the buckets can be used meanwhile.
    pub async fn sweep(&self) -> Result<(), BucketError> {
        let swept = self.sweep_files().await;
        // Also after an error: what is left waits for the next start, and no name is remembered for it.
        self.files.swept();
        swept
    }

    async fn sweep_files(&self) -> Result<(), BucketError> {
        // The files of uploads given up here are found below.
        self.store.write(|tx| multipart::give_up(tx, i64::MAX).map(drop)).await?;
        for shard in 0..=255u8 {
            let files = self.files.clone();
            let swept = self.store.read(move |db| {
                for name in files.names(shard).map_err(StoreError::refused)? {
                    if name.len() == 32 && !files.is_fresh(&name) && !index::is_used(db, &name)? {
                        files.remove(&name);
                    }
                }
                Ok(())
            });
            swept.await?;
        }
        Ok(())
    }
}

/// Writes the row, and removes what it replaced after the commit.
pub(crate) fn place(
    tx: &mut Tx<'_>,
    new: &NewObject,
    condition: &Condition,
    files: Arc<Files>,
) -> Result<i64, StoreError> {
    let (seq, unneeded) = index::put(tx, new, condition)?;
    failpoint("buckets.row.written");
    if !unneeded.is_empty() {
        tx.after_commit(move || unneeded.iter().for_each(|name| files.remove(name)));
    }
    Ok(seq)
}

/// The event of an object becoming visible. The row's number tells it from all others of this host; what is random in
/// it, from those of other hosts, and from an event that somebody posts before the object is here.
pub(crate) fn created(new: &NewObject, seq: i64) -> Event {
    let object = ObjectRef {
        provider: ProviderId::default(),
        bucket: new.bucket.clone(),
        key: new.key.clone(),
        size: Some(new.size),
        etag: Some(new.etag.clone()),
    };
    Event::object_created(object, EventId(format!("{seq:016x}-{:016x}", rand::random::<u64>())))
}

impl Publish for LocalBuckets {
    fn publish(&self, tx: &mut Tx<'_>, outputs: &[StagedObject]) -> Result<(), StoreError> {
        for output in outputs {
            index::create_bucket(tx, &output.object.bucket)?;
            let bytes = match &output.blob {
                Blob::Inline(bytes) => Bytes::Inline(bytes.to_vec()),
                Blob::File(name) => Bytes::Files(vec![Extent { name: name.clone(), size: output.size }]),
            };
            let new = NewObject {
                bucket: output.object.bucket.clone(),
                key: output.object.key.clone(),
                size: output.size,
                etag: output.etag.clone(),
                meta: ObjectMeta { content_type: output.content_type.clone(), ..ObjectMeta::default() },
                bytes,
            };
            place(tx, &new, &Condition::Always, self.files.clone())?;
        }
        Ok(())
    }
}
