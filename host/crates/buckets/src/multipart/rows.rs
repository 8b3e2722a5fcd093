//! The rows of uploads and their parts.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use wicket_config::{BucketName, ObjectKey};
use wicket_core::Timestamp;
use wicket_store::StoreError;

use super::{Begun, PartInfo, UploadInfo, Uploads};
use crate::BucketError;
use crate::error::no;
use crate::index;

/// Uploads that nobody ended for so long are given up.
const ABANDONED: Duration = Duration::from_secs(7 * 86_400);
/// For so long a completed upload can be completed again.
const REMEMBERED: Duration = Duration::from_secs(86_400);

/// A part, with what only we know.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) info: PartInfo,
    pub(super) name: String,
    pub(super) md5: Vec<u8>,
}

fn before(age: Duration) -> i64 {
    Timestamp::now().0.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}

/// Removes up to `most` uploads that nobody will end, and what is remembered for too long. Answers the files that
/// nobody needs now.
pub(crate) fn give_up(db: &Connection, most: i64) -> Result<Vec<String>, StoreError> {
    db.prepare_cached("DELETE FROM completed_uploads WHERE completed < ?")?.execute([before(REMEMBERED)])?;
    let old = "SELECT id FROM uploads WHERE created < ? ORDER BY created LIMIT ?";
    let mut query = db.prepare_cached(old)?;
    let ids = query.query_map([before(ABANDONED), most], |row| row.get::<_, String>(0))?;
    let ids: Vec<String> = ids.collect::<Result<_, _>>()?;
    let mut unneeded = Vec::new();
    for id in ids {
        unneeded.extend(parts(db, &id, 0, super::MAX_PARTS)?.into_iter().map(|part| part.name));
        db.prepare_cached("DELETE FROM uploads WHERE id = ?")?.execute([id])?;
    }
    Ok(unneeded)
}

/// What this upload began with; it must be of this key.
pub(super) fn begun(
    db: &Connection,
    (bucket, key): (&BucketName, &ObjectKey),
    id: &str,
) -> Result<Begun, StoreError> {
    index::bucket_exists(db, bucket)?;
    let row = params![id, bucket.as_str(), key.as_str().as_bytes()];
    let begun: Option<String> = db
        .prepare_cached("SELECT begun FROM uploads WHERE id = ? AND bucket = ? AND key = ?")?
        .query_row(row, |row| row.get(0))
        .optional()?;
    let begun = begun.ok_or_else(|| no(BucketError::NoUpload(id.chars().take(64).collect())))?;
    Ok(serde_json::from_str(&begun).unwrap_or_default())
}

/// Stores a part; answers the file of the one that it replaced.
pub(super) fn put_part(db: &Connection, id: &str, part: &Stored) -> Result<Option<String>, StoreError> {
    let number = part.info.number;
    let old = db
        .prepare_cached("SELECT name FROM upload_parts WHERE upload = ? AND number = ?")?
        .query_row(params![id, number], |row| row.get(0))
        .optional()?;
    let checksums = serde_json::to_string(&part.info.checksums).map_err(StoreError::refused)?;
    let size = part.info.size.cast_signed();
    let row = params![id, number, part.name, size, part.md5, checksums, part.info.modified.0];
    db.prepare_cached("INSERT OR REPLACE INTO upload_parts VALUES (?, ?, ?, ?, ?, ?, ?)")?.execute(row)?;
    Ok(old)
}

/// Up to `limit` parts with numbers above `after`.
pub(super) fn parts(db: &Connection, id: &str, after: u32, limit: u32) -> Result<Vec<Stored>, StoreError> {
    let mut query = db.prepare_cached(
        "SELECT number, size, md5, modified, name, checksums FROM upload_parts
         WHERE upload = ? AND number > ? ORDER BY number LIMIT ?",
    )?;
    let rows = query.query_map(params![id, after, limit], |row| {
        let md5: Vec<u8> = row.get(2)?;
        let info = PartInfo {
            number: row.get(0)?,
            size: row.get::<_, i64>(1)?.cast_unsigned(),
            etag: hex::encode(&md5),
            modified: Timestamp(row.get(3)?),
            checksums: serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default(),
        };
        Ok(Stored { info, name: row.get(4)?, md5 })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The object that this upload became, when it was completed with the same parts.
pub(super) fn completed(db: &Connection, id: &str, named: &[u8]) -> Result<Option<i64>, StoreError> {
    let seq = db
        .prepare_cached("SELECT seq FROM completed_uploads WHERE id = ? AND named = ?")?
        .query_row(params![id, named], |row| row.get(0));
    Ok(seq.optional()?)
}

/// Remembers what this upload became.
pub(super) fn remember(db: &Connection, id: &str, seq: i64, named: &[u8]) -> Result<(), StoreError> {
    let row = params![id, seq, named, Timestamp::now().0];
    db.prepare_cached("INSERT INTO completed_uploads VALUES (?, ?, ?, ?)")?.execute(row)?;
    Ok(())
}

/// Uploads by key and id.
pub(super) fn uploads(
    db: &Connection,
    bucket: &BucketName,
    query: &Uploads,
) -> Result<Vec<UploadInfo>, StoreError> {
    index::bucket_exists(db, bucket)?;
    let prefix = query.prefix.as_bytes();
    let (mut key, mut id) = (prefix.to_vec(), String::new());
    if let Some((after, after_id)) = &query.after
        && after.as_bytes() >= prefix
    {
        key = after.as_bytes().to_vec();
        id = after_id.clone();
        if id.is_empty() {
            key.push(0);
        }
    }
    let text = "SELECT id, key, created FROM uploads
                WHERE bucket = ?1 AND (key, id) > (?2, ?3) ORDER BY key, id LIMIT ?4";
    let mut select = db.prepare_cached(text)?;
    let mut rows = select.query(params![bucket.as_str(), key, id, query.limit.min(1001)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key: Vec<u8> = row.get(1)?;
        if !key.starts_with(prefix) {
            break;
        }
        let key = String::from_utf8(key).map_err(StoreError::refused)?;
        let key = key.parse().map_err(StoreError::refused)?;
        found.push(UploadInfo { id: row.get(0)?, key, created: Timestamp(row.get(2)?) });
    }
    Ok(found)
}
