//! Services as they are stored.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use wicket_config::{ModuleDigest, Service, ServiceName};
use wicket_core::{Deployment, Secret, Timestamp};
use wicket_store::{Part, StoreError, Tx};

use super::VersionInfo;

/// The catalog's tables. A version's secrets belong to it: rolling back brings them back too.
pub(crate) const PART: Part = Part {
    name: "catalog",
    migrations: &["
        CREATE TABLE services (
            name TEXT PRIMARY KEY,
            current INTEGER NOT NULL,
            token TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE service_versions (
            name TEXT NOT NULL REFERENCES services(name) ON DELETE CASCADE,
            version INTEGER NOT NULL,
            created INTEGER NOT NULL,
            definition TEXT NOT NULL,
            secrets TEXT NOT NULL,
            PRIMARY KEY (name, version)
        ) STRICT, WITHOUT ROWID;
    "],
};

/// Versions kept of each service, the current one included: enough to go back, bounded for those who deploy by the
/// minute.
const KEPT_VERSIONS: u32 = 20;

fn refused(error: serde_json::Error) -> StoreError {
    StoreError::Refused(Box::new(error))
}

/// The current version of every service.
pub(super) fn load(db: &Connection) -> Result<Vec<Arc<Deployment>>, StoreError> {
    let mut query = db.prepare(
        "SELECT v.name, v.version, v.definition, v.secrets FROM services s
         JOIN service_versions v ON v.name = s.name AND v.version = s.current ORDER BY s.name",
    )?;
    let rows = query.query_map([], stored)?;
    rows.map(|row| read(row?).map(Arc::new)).collect()
}

/// One version of one service.
pub(super) fn version(
    db: &Connection,
    name: &ServiceName,
    version: u32,
) -> Result<Option<Deployment>, StoreError> {
    let row = db
        .query_row(
            "SELECT name, version, definition, secrets FROM service_versions WHERE name = ? AND version = ?",
            params![name.as_str(), version],
            stored,
        )
        .optional()?;
    row.map(read).transpose()
}

/// A version as its row has it: name, version, definition, secrets.
type Stored = (String, u32, String, String);

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

/// What is stored of a version makes no sense to this host.
#[derive(Debug, thiserror::Error)]
#[error("the {what} of service `{name}`, version {version}, cannot be read: line {line}, column {column}")]
struct Unreadable {
    what: &'static str,
    name: String,
    version: u32,
    line: usize,
    column: usize,
}

fn read((name, version, definition, secrets): Stored) -> Result<Deployment, StoreError> {
    // Where and not what: the parser's own words may show a secret.
    let unreadable = |what| {
        let name = name.clone();
        move |error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            StoreError::refused(Unreadable { what, name, version, line, column })
        }
    };
    let secrets: BTreeMap<String, String> = serde_json::from_str(&secrets).map_err(unreadable("secrets"))?;
    let secrets = secrets.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
    let service: Service = serde_json::from_str(&definition).map_err(unreadable("definition"))?;
    Ok(Deployment { service, version, secrets })
}

/// Stores the next version of a service and makes it current.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    service: Service,
    secrets: BTreeMap<String, Secret>,
) -> Result<Deployment, StoreError> {
    let name = service.name.as_str();
    let newest: Option<u32> =
        tx.query_row("SELECT max(version) FROM service_versions WHERE name = ?", [name], |row| row.get(0))?;
    let version = newest.unwrap_or(0) + 1;
    let revealed: BTreeMap<&str, &str> =
        secrets.iter().map(|(name, s)| (name.as_str(), s.reveal())).collect();
    tx.execute(
        "INSERT INTO services (name, current, token) VALUES (?, ?, ?)
         ON CONFLICT (name) DO UPDATE SET current = excluded.current",
        params![name, version, hex::encode(rand::random::<[u8; 32]>())],
    )?;
    tx.execute(
        "INSERT INTO service_versions (name, version, created, definition, secrets) VALUES (?, ?, ?, ?, ?)",
        params![
            name,
            version,
            Timestamp::now().0,
            serde_json::to_string(&service).map_err(refused)?,
            serde_json::to_string(&revealed).map_err(refused)?,
        ],
    )?;
    tx.execute(
        "DELETE FROM service_versions WHERE name = ? AND version <= ?",
        params![name, version.saturating_sub(KEPT_VERSIONS)],
    )?;
    Ok(Deployment { service, version, secrets })
}

/// Makes a stored version current.
pub(super) fn set_current(tx: &mut Tx<'_>, name: &ServiceName, version: u32) -> Result<(), StoreError> {
    tx.execute("UPDATE services SET current = ? WHERE name = ?", params![version, name.as_str()])?;
    Ok(())
}

/// Forgets a service, all its versions and its token.
pub(super) fn delete(tx: &mut Tx<'_>, name: &ServiceName) -> Result<(), StoreError> {
    tx.execute("DELETE FROM services WHERE name = ?", [name.as_str()])?;
    Ok(())
}

/// All versions, newest first.
pub(super) fn versions(db: &Connection, name: &ServiceName) -> Result<Vec<VersionInfo>, StoreError> {
    let mut query = db.prepare(
        "SELECT v.version, v.created, v.definition, v.version = s.current FROM service_versions v
         JOIN services s ON s.name = v.name WHERE v.name = ? ORDER BY v.version DESC",
    )?;
    let rows = query.query_map([name.as_str()], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?))
    })?;
    rows.map(|row| {
        let (version, created, definition, current) = row?;
        let service: Service = serde_json::from_str(&definition).map_err(refused)?;
        Ok(VersionInfo {
            version,
            created: Timestamp(created),
            wasm: service.wasm,
            image: service.container.map(|container| container.image),
            current,
        })
    })
    .collect()
}

/// The modules that any version of any service names.
pub(super) fn modules(db: &Connection) -> Result<HashSet<ModuleDigest>, StoreError> {
    let mut query = db.prepare(
        "SELECT DISTINCT json_extract(definition, '$.wasm') FROM service_versions
         WHERE json_extract(definition, '$.wasm') IS NOT NULL",
    )?;
    let rows = query.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|digest| digest?.parse().map_err(StoreError::refused)).collect()
}

/// The models that versions of services name.
pub(super) fn models(db: &Connection) -> Result<HashSet<String>, StoreError> {
    let mut query = db.prepare(
        "SELECT DISTINCT json_extract(model.value, '$.sha256') FROM service_versions,
             json_each(definition, '$.models') AS model",
    )?;
    let rows = query.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|digest| Ok(digest?)).collect()
}

/// A service's token.
pub(super) fn token(db: &Connection, name: &ServiceName) -> Result<Option<Secret>, StoreError> {
    let token = db.query_row("SELECT token FROM services WHERE name = ?", [name.as_str()], |row| {
        row.get::<_, String>(0)
    });
    Ok(token.optional()?.map(Secret::new))
}

/// The tokens of all services.
pub(super) fn tokens(db: &Connection) -> Result<Vec<(ServiceName, Secret)>, StoreError> {
    let mut query = db.prepare("SELECT name, token FROM services ORDER BY name")?;
    let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| {
        let (name, token) = row?;
        Ok((name.parse().map_err(StoreError::refused)?, Secret::new(token)))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named_and_no_secret_is_shown() {
        let row = ("web".to_owned(), 3, "{}".to_owned(), "{}".to_owned());
        let told = wicket_core::chain(&read(row).unwrap_err());
        assert!(told.contains("the definition of service `web`, version 3, cannot be read"), "{told}");
        let row = ("web".to_owned(), 3, "{}".to_owned(), "\"hunter2\"".to_owned());
        let told = wicket_core::chain(&read(row).unwrap_err());
        assert!(told.contains("the secrets of service `web`") && !told.contains("hunter2"), "{told}");
    }
}
