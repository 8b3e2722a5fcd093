//! Why the store did not do what was asked.

use std::path::PathBuf;

use rusqlite::ErrorCode;
use rusqlite::ffi;

/// Why the store did not do what was asked. Whatever it is, nothing of the refused work is stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full; it goes on by itself when there is space again.
    #[error("the disk is full, nothing was stored: free some space in the data folder")]
    Full(#[source] rusqlite::Error),
    /// SQLite failed.
    #[error("the database failed")]
    Sqlite(#[source] rusqlite::Error),
    /// The file is damaged.
    #[error(
        "the database is damaged: restore the data folder from a backup, or rescue it with `sqlite3 FILE .recover`"
    )]
    Damaged(#[source] rusqlite::Error),
    /// The work itself said no.
    #[error("the work was refused")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The work panicked: a mistake in the host. The others of its group went through.
    #[error("the work panicked")]
    Panicked,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// Another host has this data folder open.
    #[error("{} is in use by another host: one data folder serves one host at a time", .0.display())]
    InUse(PathBuf),
    /// The file is something else.
    #[error("{} is not a database of this host: choose another data folder", .0.display())]
    Foreign(PathBuf),
    /// The file has tables of a newer host.
    #[error("{} was written by a newer host: its `{part}` tables have version {found}, this host knows {known}", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Whose tables.
        part: String,
        /// Their version.
        found: i64,
        /// The newest version this host knows.
        known: i64,
    },
    /// The file, or the one beside it that keeps others out, cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    /// The work's own no, with its reason.
    pub fn refused(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Refused(reason.into())
    }

    /// SQLite's own error, where there is one.
    pub(crate) fn sqlite(&self) -> Option<&rusqlite::Error> {
        match self {
            Self::Full(error) | Self::Sqlite(error) | Self::Damaged(error) => Some(error),
            Self::Refused(_)
            | Self::Panicked
            | Self::Closed
            | Self::InUse(_)
            | Self::Foreign(_)
            | Self::TooNew { .. }
            | Self::Open { .. } => None,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match (error.sqlite_error_code(), error.sqlite_error().map(|e| e.extended_code)) {
            // The memory-mapped index beside the log grows too, and has its own code for a full disk.
            (Some(ErrorCode::DiskFull), _) | (_, Some(ffi::SQLITE_IOERR_SHMSIZE)) => Self::Full(error),
            (Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase), _) => Self::Damaged(error),
            (Some(_) | None, _) => Self::Sqlite(error),
        }
    }
}

/// One more of the same, for the others of a failed group.
pub(crate) fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
        other => rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ERROR), Some(other.to_string())),
    }
}
