//! The file itself: who may open it, whether it is ours and whole, and how SQLite is set for it.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::StoreError;

/// `PRAGMA application_id`: "wckt". `file` and we know the file by it.
const APPLICATION_ID: i32 = 0x7763_6b74;

/// A file that was not closed well and is larger is not read through at the start: that would take seconds.
const CHECK_UP_TO: u64 = 64 << 20;

/// How long a connection waits for another process (somebody's `sqlite3`) before it gives up.
const BUSY: Duration = Duration::from_secs(5);

/// Keeps other hosts out for as long as it lives. SQLite itself would let two processes share the file.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn take(db: &Path) -> Result<Self, StoreError> {
        let path = beside(db, "-lock");
        let file = private(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(db.to_owned())),
            Err(TryLockError::Error(source)) => Err(StoreError::Open { path, source }),
        }
    }
}

/// Opens the writer's connection; makes the file when there is none.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let not_closed_well = std::fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    let size = private(path)?.metadata().map_or(0, |file| file.len());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    claim(&conn, path)?;
    // WAL: readers and the writer never wait for each other, and a commit is one append and one fsync.
    conn.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: that fsync is in every commit, but for groups that do without (see `writer`).
    conn.pragma_update(None, "synchronous", "FULL")?;
    // The writer looks at the log itself, between groups (see `writer`).
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    // A log that grew under load gives the space back when it starts over.
    conn.pragma_update(None, "journal_size_limit", 16 << 20)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // Savepoints keep what they would take back in memory, not in temporary files.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cell_size_check", true)?;
    // 8 MiB: enough for the upper levels of every index with a million rows.
    conn.pragma_update(None, "cache_size", -8192)?;
    conn.set_prepared_statement_cache_capacity(128);
    if not_closed_well && size <= CHECK_UP_TO {
        check(&conn)?;
    }
    Ok(conn)
}

/// Opens a connection that cannot write.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -1024)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

/// A file that only its owner reads, made when missing. SQLite gives the files beside it the same mode.
fn private(path: &Path) -> Result<File, StoreError> {
    let refused = |source| StoreError::Open { path: path.to_owned(), source };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(refused)?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(refused)?;
    Ok(file)
}

pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Makes an empty file ours; refuses one that is somebody else's, before anything is written to it.
fn claim(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let foreign = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => StoreError::Foreign(path.to_owned()),
        Some(_) | None => error.into(),
    };
    let id: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(foreign)?;
    if id == APPLICATION_ID {
        return Ok(());
    }
    let tables: i64 =
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(foreign)?;
    if id != 0 || tables != 0 {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    Ok(conn.pragma_update(None, "application_id", APPLICATION_ID)?)
}

fn check(conn: &Connection) -> Result<(), StoreError> {
    let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(StoreError::Damaged(rusqlite::Error::SqliteFailure(code, Some(found))))
}
