//! Uploads in parts. A part is a file from the start; completing names them in order and moves nothing.

mod assemble;
mod rows;

use futures::Stream;
use rusqlite::params;
use s3s::checksum::ChecksumHasher;
use serde::{Deserialize, Serialize};
use wicket_config::{BucketName, ObjectKey};
use wicket_core::Timestamp;

use crate::body::{self, Content};
use crate::checksum::{self, Algorithm, Claims};
use crate::error::no;
use crate::index::{self, Bytes, NewObject};
use crate::local::{created, place};
use crate::writing::Writing;
use crate::{BucketError, Condition, LocalBuckets, ObjectInfo, ObjectMeta};

pub(crate) use assemble::Named;
use rows::Stored;
pub(crate) use rows::give_up;

/// Most parts of an upload.
pub(crate) const MAX_PARTS: u32 = 10_000;
/// Uploads given up beside one that begins, so that they do not pile up on a host that never restarts.
const GIVE_UP_AT_ONCE: i64 = 4;

/// An upload that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadInfo {
    /// Its id.
    pub id: String,
    /// Of which key.
    pub key: ObjectKey,
    /// Since when.
    pub created: Timestamp,
}

/// A part that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartInfo {
    /// From 1 to 10,000.
    pub number: u32,
    /// Bytes.
    pub size: u64,
    /// MD5 in hex.
    pub etag: String,
    /// When it came.
    pub modified: Timestamp,
    /// Checksums by algorithm.
    pub checksums: std::collections::BTreeMap<String, String>,
}

/// Which uploads to list.
#[derive(Clone, Debug, Default)]
pub struct Uploads {
    /// Of keys that begin with this.
    pub prefix: String,
    /// Only what comes after the upload of this key and id; an empty id: after all uploads of the key.
    pub after: Option<(String, String)>,
    /// At most so many, up to 1,001.
    pub limit: u32,
}

/// What is known of an upload from its beginning.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Begun {
    /// What will go with the object.
    pub(crate) meta: ObjectMeta,
    /// The checksum that the object will have.
    pub(crate) algorithm: Option<String>,
    /// Whether it is one of all bytes, or of the parts' checksums.
    pub(crate) whole: bool,
}

impl Begun {
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::from_name(self.algorithm.as_deref()?)
    }
}

impl LocalBuckets {
    /// Begins an upload; answers its id.
    pub(crate) async fn begin_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        begun: &Begun,
    ) -> Result<String, BucketError> {
        let id = hex::encode(rand::random::<[u8; 16]>());
        let begun = serde_json::to_string(begun).map_err(|error| BucketError::File(error.into()))?;
        let (bucket, key, row, files) = (bucket.clone(), key.clone(), id.clone(), self.files.clone());
        let inserted = self.store.write(move |tx| {
            index::bucket_exists(tx, &bucket)?;
            let unneeded = give_up(tx, GIVE_UP_AT_ONCE)?;
            let row = params![row, bucket.as_str(), key.as_str().as_bytes(), Timestamp::now().0, begun];
            tx.prepare_cached("INSERT INTO uploads VALUES (?, ?, ?, ?, ?)")?.execute(row)?;
            tx.after_commit(move || unneeded.iter().for_each(|name| files.remove(name)));
            Ok(())
        });
        inserted.await?;
        Ok(id)
    }

    /// Takes a part; the same number again replaces it.
    pub(crate) async fn put_part<S, E>(
        &self,
        (bucket, key): (&BucketName, &ObjectKey),
        (upload, number): (&str, u32),
        body: S,
        mut claims: Claims,
        limit: u64,
    ) -> Result<PartInfo, BucketError>
    where
        S: Stream<Item = Result<bytes::Bytes, E>> + Unpin,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (of, wanted, id) = (bucket.clone(), key.clone(), upload.to_owned());
        let begun = self.store.read(move |db| rows::begun(db, (&of, &wanted), &id)).await?;
        if let Some(algorithm) = begun.algorithm() {
            claims.and_compute(algorithm);
        }
        let arrived = body::receive(&self.files, body, claims.hasher(), limit).await?;
        claims.check(&arrived)?;
        let written = match arrived.content {
            Content::File(written) => written,
            // A small last part: a file too, so that an object is one kind of thing.
            Content::Inline(bytes) => {
                let mut file = Writing::begin(&self.files, ChecksumHasher::default());
                file.push(bytes).await?;
                file.finish().await?
            }
        };
        let info = PartInfo {
            number,
            size: arrived.size,
            etag: hex::encode(arrived.md5),
            modified: Timestamp::now(),
            checksums: checksum::by_name(&arrived.checksum),
        };
        let (bucket, key, id, files) = (bucket.clone(), key.clone(), upload.to_owned(), self.files.clone());
        let stored = Stored { info: info.clone(), name: written.name.clone(), md5: arrived.md5.to_vec() };
        let stored = self.store.write(move |tx| {
            rows::begun(tx, (&bucket, &key), &id)?;
            let old = rows::put_part(tx, &id, &stored)?;
            tx.after_commit(move || {
                written.keep();
                old.iter().for_each(|name| files.remove(name));
            });
            Ok(())
        });
        stored.await?;
        Ok(info)
    }

    /// Makes an object of the named parts; its event is on its way when this returns. The same again answers the same
    /// for a day, and does nothing.
    pub(crate) async fn complete_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &str,
        named: Named,
        condition: Condition,
    ) -> Result<ObjectInfo, BucketError> {
        let (bucket, key, id) = (bucket.clone(), key.clone(), upload.to_owned());
        let (files, announce) = (self.files.clone(), self.announce.clone());
        let completed = self.store.write(move |tx| {
            let digest = named.digest();
            if let Some(seq) = rows::completed(tx, &id, &digest)?
                && let Some((found, info)) = index::find(tx, &bucket, &key)?
                && found == seq
            {
                return Ok(info);
            }
            let begun = rows::begun(tx, (&bucket, &key), &id)?;
            let stored = rows::parts(tx, &id, 0, MAX_PARTS)?;
            let made = assemble::assemble(&stored, &named, &begun).map_err(no)?;
            let mut meta = begun.meta;
            meta.checksums = made.checksums;
            let (size, etag, bytes) = (made.size, made.etag, Bytes::Files(made.extents));
            let new = NewObject { bucket, key, size, etag, meta, bytes };
            tx.prepare_cached("DELETE FROM uploads WHERE id = ?")?.execute([&id])?;
            let seq = place(tx, &new, &condition, files.clone())?;
            rows::remember(tx, &id, seq, &digest)?;
            announce.created(tx, &created(&new, seq))?;
            let unneeded = made.unneeded;
            tx.after_commit(move || unneeded.iter().for_each(|name| files.remove(name)));
            index::get(tx, &new.bucket, &new.key).map(|(_, info)| info)
        });
        Ok(completed.await?)
    }

    /// Gives an upload up, and removes its parts.
    pub(crate) async fn abort_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &str,
    ) -> Result<(), BucketError> {
        let (bucket, key, id, files) = (bucket.clone(), key.clone(), upload.to_owned(), self.files.clone());
        let aborted = self.store.write(move |tx| {
            rows::begun(tx, (&bucket, &key), &id)?;
            let names: Vec<String> =
                rows::parts(tx, &id, 0, MAX_PARTS)?.into_iter().map(|part| part.name).collect();
            tx.prepare_cached("DELETE FROM uploads WHERE id = ?")?.execute([&id])?;
            tx.after_commit(move || names.iter().for_each(|name| files.remove(name)));
            Ok(())
        });
        Ok(aborted.await?)
    }

    /// Parts that are here, by number, and what the upload began with.
    pub(crate) async fn parts(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: &str,
        (after, limit): (u32, u32),
    ) -> Result<(Vec<PartInfo>, Begun), BucketError> {
        let (bucket, key, id) = (bucket.clone(), key.clone(), upload.to_owned());
        let found = self.store.read(move |db| {
            let begun = rows::begun(db, (&bucket, &key), &id)?;
            let parts = rows::parts(db, &id, after, limit)?;
            Ok((parts.into_iter().map(|part| part.info).collect(), begun))
        });
        Ok(found.await?)
    }

    /// Uploads of a bucket that were begun and not ended, by key.
    pub async fn uploads(&self, bucket: &BucketName, query: Uploads) -> Result<Vec<UploadInfo>, BucketError> {
        let bucket = bucket.clone();
        Ok(self.store.read(move |db| rows::uploads(db, &bucket, &query)).await?)
    }
}
