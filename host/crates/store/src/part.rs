//! The tables of queue and buckets, and how they are brought up to date.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::StoreError;

/// One crate's tables in the file.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Its name in the table `schema_parts`.
    pub name: &'static str,
    /// SQL that brings the tables from version n to n + 1, from nothing on. Never change one that was released.
    pub migrations: &'static [&'static str],
}

/// Applies what is missing of every part, all in one transaction.
pub(crate) fn migrate(conn: &mut Connection, path: &Path, parts: &[Part]) -> Result<(), StoreError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_parts (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT",
    )?;
    for part in parts {
        let found: Option<i64> = tx
            .query_row("SELECT version FROM schema_parts WHERE name = ?1", [part.name], |row| row.get(0))
            .optional()?;
        let found = found.unwrap_or(0);
        let known = i64::try_from(part.migrations.len()).unwrap_or(i64::MAX);
        let missing = usize::try_from(found).ok().and_then(|found| part.migrations.get(found..));
        let Some(missing) = missing else {
            return Err(StoreError::TooNew {
                path: path.to_owned(),
                part: part.name.to_owned(),
                found,
                known,
            });
        };
        if missing.is_empty() && found != 0 {
            continue;
        }
        for migration in missing {
            tx.execute_batch(migration)?;
        }
        tx.execute(
            "INSERT INTO schema_parts (name, version) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET version = excluded.version",
            (part.name, known),
        )?;
    }
    Ok(tx.commit()?)
}
