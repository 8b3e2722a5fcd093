//! The rows of buckets and objects. Everything here runs inside somebody's transaction.

use rusqlite::{Connection, OptionalExtension, Row, params};
use wicket_config::{BucketName, ObjectKey};
use wicket_core::Timestamp;
use wicket_store::{Part, StoreError};

use crate::body::Extent;
use crate::error::no;
use crate::{BucketError, BucketInfo, Condition, ObjectInfo, ObjectMeta};

/// The tables of the buckets. Keys are bytes: they sort as S3 lists them.
pub const PART: Part = Part {
    name: "buckets",
    migrations: &["
        CREATE TABLE buckets (name TEXT PRIMARY KEY, created INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE objects (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            bucket TEXT NOT NULL REFERENCES buckets,
            key BLOB NOT NULL,
            size INTEGER NOT NULL,
            etag TEXT NOT NULL,
            modified INTEGER NOT NULL,
            meta TEXT NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX by_key ON objects (bucket, key);
        CREATE TABLE object_bytes (
            seq INTEGER PRIMARY KEY REFERENCES objects ON DELETE CASCADE,
            bytes BLOB NOT NULL
        ) STRICT;
        CREATE TABLE object_files (
            seq INTEGER NOT NULL REFERENCES objects ON DELETE CASCADE,
            idx INTEGER NOT NULL,
            name TEXT NOT NULL,
            size INTEGER NOT NULL,
            PRIMARY KEY (seq, idx)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX files_by_name ON object_files (name);
        CREATE TABLE uploads (
            id TEXT PRIMARY KEY,
            bucket TEXT NOT NULL REFERENCES buckets,
            key BLOB NOT NULL,
            created INTEGER NOT NULL,
            begun TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX uploads_by_key ON uploads (bucket, key, id);
        CREATE INDEX uploads_by_age ON uploads (created);
        CREATE TABLE upload_parts (
            upload TEXT NOT NULL REFERENCES uploads ON DELETE CASCADE,
            number INTEGER NOT NULL,
            name TEXT NOT NULL,
            size INTEGER NOT NULL,
            md5 BLOB NOT NULL,
            checksums TEXT NOT NULL,
            modified INTEGER NOT NULL,
            PRIMARY KEY (upload, number)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX parts_by_name ON upload_parts (name);
        CREATE TABLE completed_uploads (
            id TEXT PRIMARY KEY,
            seq INTEGER NOT NULL,
            named BLOB NOT NULL,
            completed INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX completed_by_age ON completed_uploads (completed);
    "],
};

/// The bytes of an object, as its row knows them.
#[derive(Debug)]
pub(crate) enum Bytes {
    Inline(Vec<u8>),
    Files(Vec<Extent>),
}

/// A new object.
#[derive(Debug)]
pub(crate) struct NewObject {
    pub(crate) bucket: BucketName,
    pub(crate) key: ObjectKey,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) meta: ObjectMeta,
    pub(crate) bytes: Bytes,
}

pub(crate) fn create_bucket(db: &Connection, bucket: &BucketName) -> Result<bool, StoreError> {
    let row = params![bucket.as_str(), Timestamp::now().0];
    Ok(db.prepare_cached("INSERT OR IGNORE INTO buckets VALUES (?, ?)")?.execute(row)? == 1)
}

pub(crate) fn bucket_exists(db: &Connection, bucket: &BucketName) -> Result<(), StoreError> {
    let exists = db.prepare_cached("SELECT 1 FROM buckets WHERE name = ?")?.exists([bucket.as_str()])?;
    if exists { Ok(()) } else { Err(no(BucketError::NoBucket(bucket.clone()))) }
}

/// Removes a bucket without objects, and gives up what is still being uploaded into it. Answers the files that nobody
/// needs now.
pub(crate) fn remove_bucket(db: &Connection, bucket: &BucketName) -> Result<Vec<String>, StoreError> {
    bucket_exists(db, bucket)?;
    if db.prepare_cached("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1")?.exists([bucket.as_str()])? {
        return Err(no(BucketError::NotEmpty(bucket.clone())));
    }
    let text = "SELECT name FROM upload_parts JOIN uploads ON id = upload WHERE bucket = ?";
    let mut query = db.prepare_cached(text)?;
    let unneeded = query.query_map([bucket.as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?;
    db.execute("DELETE FROM uploads WHERE bucket = ?", [bucket.as_str()])?;
    db.execute("DELETE FROM buckets WHERE name = ?", [bucket.as_str()])?;
    Ok(unneeded)
}

pub(crate) fn buckets(db: &Connection) -> Result<Vec<BucketInfo>, StoreError> {
    let mut query = db.prepare_cached("SELECT name, created FROM buckets ORDER BY name")?;
    let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    rows.map(|row| {
        let (name, created) = row?;
        Ok(BucketInfo { name: name.parse().map_err(StoreError::refused)?, created: Timestamp(created) })
    })
    .collect()
}

fn meta(text: &str) -> ObjectMeta {
    serde_json::from_str(text).unwrap_or_default()
}

pub(crate) fn meta_text(meta: &ObjectMeta) -> Result<String, StoreError> {
    serde_json::to_string(meta).map_err(StoreError::refused)
}

pub(crate) fn info(key: ObjectKey, row: &Row<'_>) -> rusqlite::Result<ObjectInfo> {
    Ok(ObjectInfo {
        key,
        size: row.get::<_, i64>("size")?.cast_unsigned(),
        etag: row.get("etag")?,
        modified: Timestamp(row.get("modified")?),
        meta: ObjectMeta::default(),
    })
}

/// An object's row, and which one it is.
pub(crate) fn find(
    db: &Connection,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<Option<(i64, ObjectInfo)>, StoreError> {
    let mut query = db
        .prepare_cached("SELECT seq, size, etag, modified, meta FROM objects WHERE bucket = ? AND key = ?")?;
    let found = query.query_row(params![bucket.as_str(), key.as_str().as_bytes()], |row| {
        let mut info = info(key.clone(), row)?;
        info.meta = meta(&row.get::<_, String>("meta")?);
        Ok((row.get("seq")?, info))
    });
    Ok(found.optional()?)
}

/// An object that must be there.
pub(crate) fn get(
    db: &Connection,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<(i64, ObjectInfo), StoreError> {
    if let Some(found) = find(db, bucket, key)? {
        return Ok(found);
    }
    bucket_exists(db, bucket)?;
    Err(no(BucketError::NoObject(bucket.clone(), key.clone())))
}

/// An object with its bytes, as of one moment: what is read in one statement fits together.
pub(crate) fn open(
    db: &Connection,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<(i64, ObjectInfo, Bytes), StoreError> {
    let mut query = db.prepare_cached(
        "SELECT seq, o.size AS size, etag, modified, meta, bytes, f.name, f.size AS extent
         FROM objects o LEFT JOIN object_bytes USING (seq) LEFT JOIN object_files f USING (seq)
         WHERE bucket = ? AND key = ? ORDER BY f.idx",
    )?;
    let mut rows = query.query(params![bucket.as_str(), key.as_str().as_bytes()])?;
    let Some(row) = rows.next()? else {
        bucket_exists(db, bucket)?;
        return Err(no(BucketError::NoObject(bucket.clone(), key.clone())));
    };
    let mut info = info(key.clone(), row)?;
    info.meta = meta(&row.get::<_, String>(4)?);
    let seq = row.get(0)?;
    if let Some(inline) = row.get(5)? {
        return Ok((seq, info, Bytes::Inline(inline)));
    }
    let mut extents = Vec::new();
    let mut next = Some(row);
    while let Some(row) = next {
        extents.push(Extent { name: row.get(6)?, size: row.get::<_, i64>(7)?.cast_unsigned() });
        next = rows.next()?;
    }
    Ok((seq, info, Bytes::Files(extents)))
}

/// Whether this is still the object of its key.
pub(crate) fn is_current(db: &Connection, seq: i64) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT 1 FROM objects WHERE seq = ?")?.exists([seq])?)
}

pub(crate) fn bytes(db: &Connection, seq: i64) -> Result<Bytes, StoreError> {
    let inline = db
        .prepare_cached("SELECT bytes FROM object_bytes WHERE seq = ?")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    if let Some(inline) = inline {
        return Ok(Bytes::Inline(inline));
    }
    Ok(Bytes::Files(extents(db, seq)?))
}

fn extents(db: &Connection, seq: i64) -> Result<Vec<Extent>, StoreError> {
    let mut query = db.prepare_cached("SELECT name, size FROM object_files WHERE seq = ? ORDER BY idx")?;
    let rows = query.query_map([seq], |row| {
        Ok(Extent { name: row.get(0)?, size: row.get::<_, i64>(1)?.cast_unsigned() })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Fails unless the condition of a write holds of what is there.
pub(crate) fn check(
    db: &Connection,
    (bucket, key): (&BucketName, &ObjectKey),
    condition: &Condition,
) -> Result<(), StoreError> {
    bucket_exists(db, bucket)?;
    if *condition == Condition::Always {
        return Ok(());
    }
    let old = find(db, bucket, key)?;
    match (condition, &old) {
        (Condition::Always, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => Ok(()),
        (Condition::Matches(etag), Some((_, old))) if *etag == old.etag => Ok(()),
        (Condition::Matches(_), None) => Err(no(BucketError::NoObject(bucket.clone(), key.clone()))),
        (Condition::Absent | Condition::Matches(_), Some(_)) | (Condition::Present, None) => {
            Err(no(BucketError::Condition(key.clone())))
        }
    }
}

/// Puts an object in the place of what was there. Answers its sequence number, and the files that nobody needs now.
pub(crate) fn put(
    db: &Connection,
    new: &NewObject,
    condition: &Condition,
) -> Result<(i64, Vec<String>), StoreError> {
    check(db, (&new.bucket, &new.key), condition)?;
    let old = find(db, &new.bucket, &new.key)?;
    let unneeded = match old {
        Some((seq, _)) => delete(db, seq)?,
        None => Vec::new(),
    };
    db.prepare_cached(
        "INSERT INTO objects (bucket, key, size, etag, modified, meta) VALUES (?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        new.bucket.as_str(),
        new.key.as_str().as_bytes(),
        new.size.cast_signed(),
        new.etag,
        Timestamp::now().0,
        meta_text(&new.meta)?,
    ])?;
    let seq = db.last_insert_rowid();
    match &new.bytes {
        Bytes::Inline(bytes) => {
            db.prepare_cached("INSERT INTO object_bytes VALUES (?, ?)")?.execute(params![seq, bytes])?;
        }
        Bytes::Files(files) => {
            let mut insert = db.prepare_cached("INSERT INTO object_files VALUES (?, ?, ?, ?)")?;
            for (idx, file) in files.iter().enumerate() {
                let idx = i64::try_from(idx).unwrap_or(i64::MAX);
                insert.execute(params![seq, idx, file.name, file.size.cast_signed()])?;
            }
        }
    }
    // A copy may share files with what it replaced.
    let unneeded = unneeded.into_iter().filter(|name| !is_used(db, name).unwrap_or(true)).collect();
    Ok((seq, unneeded))
}

/// Removes an object's row. Answers the files that no other row names.
pub(crate) fn delete(db: &Connection, seq: i64) -> Result<Vec<String>, StoreError> {
    let files = extents(db, seq)?;
    db.prepare_cached("DELETE FROM objects WHERE seq = ?")?.execute([seq])?;
    let mut unneeded = Vec::new();
    for file in files {
        if !is_used(db, &file.name)? {
            unneeded.push(file.name);
        }
    }
    Ok(unneeded)
}

/// Whether any row names this file.
pub(crate) fn is_used(db: &Connection, name: &str) -> Result<bool, StoreError> {
    let text =
        "SELECT 1 FROM object_files WHERE name = ?1 UNION ALL SELECT 1 FROM upload_parts WHERE name = ?1";
    Ok(db.prepare_cached(text)?.exists([name])?)
}
