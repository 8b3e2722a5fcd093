//! The store as queue and buckets use it: real files, the public surface.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join_all;
use tempfile::TempDir;
use wicket_store::{Part, Store, StoreError, Tx, rusqlite};

const NOTES: Part = Part { name: "notes", migrations: &["CREATE TABLE notes (text TEXT NOT NULL UNIQUE)"] };

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("node.db");
    (folder, file)
}

async fn note(store: &Store, text: impl Into<String>) -> Result<(), StoreError> {
    let text = text.into();
    store.write(move |tx| Ok(tx.execute("INSERT INTO notes VALUES (?1)", [text]).map(drop)?)).await
}

async fn count(store: &Store) -> i64 {
    store
        .read(|conn| Ok(conn.query_row("SELECT count(*) FROM notes", [], |row| row.get(0))?))
        .await
        .expect("a count")
}

/// Keeps the writer busy until the second future is polled, so that what is polled between the two shares a group.
/// The work that does so is the first of its group.
fn busy(
    store: &Store,
    well: bool,
) -> (impl Future<Output = Result<(), StoreError>>, impl Future<Output = ()>) {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let busy = store.write(move |tx| {
        tx.execute("INSERT INTO notes VALUES ('busy')", [])?;
        held.recv().map_err(StoreError::refused)?;
        if well { Ok(()) } else { Err(StoreError::refused("no")) }
    });
    (busy, async move { hold.send(()).expect("the writer waits") })
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let (_folder, file) = folder();
    let store = Store::open(&file, &[NOTES]).unwrap();
    let notes = (0..100).map(|n| note(&store, n.to_string()));
    assert!(join_all(notes).await.into_iter().all(|done| done.is_ok()));
    assert_eq!(count(&store).await, 100);
    store.close().await;

    let log = std::fs::metadata(file.with_extension("db-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0, "a closed store has all in its file");
    let store = Store::open(&file, &[NOTES]).unwrap();
    assert_eq!(count(&store).await, 100);
}

/// How SQLite syncs the commit that a work stands in: 2, always; 1, with a later one.
fn level(tx: &Tx<'_>) -> Result<i64, StoreError> {
    Ok(tx.pragma_query_value(None, "synchronous", |row| row.get(0))?)
}

#[tokio::test]
async fn a_commit_is_synced_unless_all_in_it_do_without() {
    let (_folder, file) = folder();
    let store = Store::open(&file, &[NOTES]).unwrap();
    for _ in 0..2 {
        assert_eq!(store.write(|tx| level(tx)).await.unwrap(), 2);
        assert_eq!(store.write_relaxed(|tx| level(tx)).await.unwrap(), 1);
    }
    // In one group with a synced work, and before one that must not share its commit.
    let (busy, go_on) = busy(&store, true);
    let (relaxed, synced) = (store.write_relaxed(|tx| level(tx)), store.write(|tx| level(tx)));
    let (_, relaxed, synced, ()) = tokio::join!(busy, relaxed, synced, go_on);
    assert_eq!((relaxed.unwrap(), synced.unwrap()), (2, 2));
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let first = store.write_relaxed(move |tx| {
        held.recv().map_err(StoreError::refused)?;
        level(tx)
    });
    let (synced, relaxed) = (store.write(|tx| level(tx)), store.write_relaxed(|tx| level(tx)));
    let go_on = async move { hold.send(()).expect("the writer waits") };
    let (first, synced, relaxed, ()) = tokio::join!(first, synced, relaxed, go_on);
    assert_eq!((first.unwrap(), synced.unwrap(), relaxed.unwrap()), (1, 2, 2));
}

#[tokio::test]
async fn a_work_that_fails_or_panics_takes_back_only_itself() {
    for first in [true, false] {
        let (_folder, file) = folder();
        let store = Store::open(&file, &[NOTES]).unwrap();
        let refused = store.write(|tx| -> Result<(), StoreError> {
            tx.execute("INSERT INTO notes VALUES ('refused')", [])?;
            Err(StoreError::refused("no"))
        });
        let panicked = store.write(|tx| -> Result<(), StoreError> {
            tx.execute("INSERT INTO notes VALUES ('panicked')", [])?;
            panic!("on purpose");
        });
        let twice = async { tokio::join!(note(&store, "twice"), note(&store, "twice")) };
        let (busy, go_on) = busy(&store, first);
        let (busy, refused, good, panicked, (one, two), ()) =
            tokio::join!(busy, refused, note(&store, "good"), panicked, twice, go_on);
        assert_eq!(busy.is_ok(), first, "{busy:?}");
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
        assert!(matches!(panicked, Err(StoreError::Panicked)), "{panicked:?}");
        good.unwrap();
        one.unwrap();
        assert!(matches!(two, Err(StoreError::Sqlite(_))), "{two:?}");
        assert_eq!(count(&store).await, 2 + i64::from(first));
    }
}

#[tokio::test]
async fn what_runs_after_the_commit_runs_only_when_there_was_one() {
    let (_folder, file) = folder();
    let store = Store::open(&file, &[NOTES]).unwrap();
    let ran = Arc::new(AtomicU32::new(0));
    for stays in [true, false] {
        let (ran, seen_early) = (Arc::clone(&ran), Arc::clone(&ran));
        let before = ran.load(Ordering::SeqCst);
        let result = store
            .write(move |tx| {
                tx.after_commit(move || {
                    ran.fetch_add(1, Ordering::SeqCst);
                    panic!("must not end the writer");
                });
                assert_eq!(seen_early.load(Ordering::SeqCst), before);
                if stays { Ok(()) } else { Err(StoreError::refused("no")) }
            })
            .await;
        assert_eq!(result.is_ok(), stays);
    }
    note(&store, "a later group").await.unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_and_says_so_until_there_is_space_again() {
    let (_folder, file) = folder();
    let store = Store::open(&file, &[NOTES]).unwrap();
    let most =
        |pages: i64| store.write(move |tx| Ok(tx.pragma_update(None, "max_page_count", pages).map(drop)?));
    most(8).await.unwrap();
    let big = |n: usize| format!("{n} {}", "x".repeat(3000));
    let results = join_all((0..40).map(|n| note(&store, big(n)))).await;
    let stored = results.iter().filter(|result| result.is_ok()).count();
    assert!(results.iter().all(|result| matches!(result, Ok(()) | Err(StoreError::Full(_)))), "{results:?}");
    assert!(stored < 40);
    assert_eq!(count(&store).await, i64::try_from(stored).unwrap(), "stored is what was acknowledged");

    most(1 << 20).await.unwrap();
    for n in 0..40 {
        note(&store, big(100 + n)).await.unwrap();
    }
}

#[tokio::test]
async fn where_the_commit_fails_nobody_is_acknowledged() {
    let (_folder, file) = folder();
    let store = Store::open(&file, &[NOTES]).unwrap();
    // A deferred constraint is looked at by the commit itself: the nearest to an I/O error there.
    let schema = "CREATE TABLE owner (id INTEGER PRIMARY KEY);
        CREATE TABLE thing (owner INTEGER REFERENCES owner DEFERRABLE INITIALLY DEFERRED)";
    store.write(|tx| Ok(tx.execute_batch(schema)?)).await.unwrap();
    let bad = store.write(|tx| Ok(tx.execute("INSERT INTO thing VALUES (1)", []).map(drop)?));
    let others = join_all((0..10).map(|n| note(&store, n.to_string())));
    let (busy, go_on) = busy(&store, true);
    let (_, bad, results, ()) = tokio::join!(busy, bad, others, go_on);
    assert!(matches!(bad, Err(StoreError::Sqlite(_))));
    assert!(results.iter().all(|result| matches!(result, Err(StoreError::Sqlite(_)))), "{results:?}");
    assert_eq!(count(&store).await, 0);
    note(&store, "it goes on").await.unwrap();
}

#[tokio::test]
async fn a_work_nobody_waits_for_any_more_does_not_run() {
    let (_folder, file) = folder();
    let store = Store::open(&file, &[NOTES]).unwrap();
    let (busy, go_on) = busy(&store, true);
    let leave = async {
        let mut cancelled = Box::pin(note(&store, "cancelled"));
        assert!(futures::poll!(cancelled.as_mut()).is_pending());
    };
    tokio::join!(busy, leave, go_on).0.unwrap();
    note(&store, "stays").await.unwrap();
    assert_eq!(count(&store).await, 2);
}

#[tokio::test]
async fn two_hosts_do_not_share_a_file() {
    let (_folder, file) = folder();
    let store = Store::open(&file, &[NOTES]).unwrap();
    let error = Store::open(&file, &[NOTES]).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)));
    assert!(error.to_string().contains("in use by another host"), "{error}");
    store.close().await;
    Store::open(&file, &[NOTES]).unwrap();
}

#[tokio::test]
async fn a_closed_store_ends_what_it_accepted_and_takes_nothing_more() {
    let (_folder, file) = folder();
    let store = Store::open(&file, &[NOTES]).unwrap();
    let other = store.clone();
    let accepted = note(&other, "accepted");
    let (accepted, ()) = tokio::join!(accepted, store.close());
    accepted.unwrap();
    assert!(matches!(note(&other, "late").await, Err(StoreError::Closed)));
    assert!(matches!(other.read(|_| Ok(())).await, Err(StoreError::Closed)));
    other.close().await;
    assert_eq!(count(&Store::open(&file, &[NOTES]).unwrap()).await, 1);
}

#[tokio::test]
async fn a_reader_cannot_write_and_sees_what_was_acknowledged() {
    let (_folder, file) = folder();
    let store = Store::open(&file, &[NOTES]).unwrap();
    for n in 0..20 {
        note(&store, n.to_string()).await.unwrap();
        assert_eq!(count(&store).await, n + 1);
    }
    let error = store.read(|conn| Ok(conn.execute("DELETE FROM notes", [])?)).await.unwrap_err();
    assert!(matches!(error, StoreError::Sqlite(_)), "{error:?}");
    let panicked = store.read(|_| -> Result<(), StoreError> { panic!("on purpose") }).await;
    assert!(matches!(panicked, Err(StoreError::Panicked)));
    assert_eq!(count(&store).await, 20);
}

#[tokio::test]
async fn the_log_stays_bounded_under_load() {
    let (_folder, file) = folder();
    let store = Store::open(&file, &[NOTES]).unwrap();
    for round in 0..40 {
        let texts = (0..64).map(|n| note(&store, format!("{round} {n} {}", "x".repeat(30_000))));
        assert!(join_all(texts).await.into_iter().all(|done| done.is_ok()));
    }
    // 77 MB went through it.
    let log = std::fs::metadata(file.with_extension("db-wal")).unwrap().len();
    assert!(log < 40 << 20, "the log has {log} bytes");
}

#[test]
fn only_its_owner_reads_the_file() {
    let (folder, file) = folder();
    let _store = Store::open(&file, &[NOTES]).unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
}

#[tokio::test]
async fn what_is_not_ours_is_refused_and_left_alone() {
    let (folder, file) = folder();
    let refused = |file: &Path| match Store::open(file, &[NOTES]) {
        Err(StoreError::Foreign(_)) => (),
        other => panic!("{other:?}"),
    };
    let text = b"To whom it may concern: this is a letter, and longer than a header of SQLite.\n".repeat(20);
    std::fs::write(&file, &text).unwrap();
    refused(&file);
    assert_eq!(std::fs::read(&file).unwrap(), text);

    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE shopping (item)").unwrap();
    refused(&other);
    let missing = Store::open(&folder.path().join("no/such/folder.db"), &[NOTES]).unwrap_err();
    assert!(matches!(missing, StoreError::Open { .. }), "{missing:?}");
}

#[tokio::test]
async fn a_damaged_file_is_named_as_such() {
    let (_folder, file) = folder();
    let store = Store::open(&file, &[NOTES]).unwrap();
    for n in 0..200 {
        note(&store, format!("{n} {}", "x".repeat(2000))).await.unwrap();
    }
    store.close().await;
    let mut bytes = std::fs::read(&file).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page[..64].fill(0xAB);
    }
    std::fs::write(&file, bytes).unwrap();
    let error = match Store::open(&file, &[NOTES]) {
        Err(error) => error,
        Ok(store) => note(&store, "x").await.unwrap_err(),
    };
    assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
}

#[tokio::test]
async fn migrations_are_applied_once_and_a_newer_file_is_refused() {
    const GROWN: Part = Part {
        name: "notes",
        migrations: &[NOTES.migrations[0], "ALTER TABLE notes ADD COLUMN color TEXT DEFAULT 'red'"],
    };
    let (_folder, file) = folder();
    let store = Store::open(&file, &[NOTES]).unwrap();
    note(&store, "old").await.unwrap();
    store.close().await;
    for _ in 0..2 {
        let store = Store::open(&file, &[GROWN]).unwrap();
        let color: String = store
            .read(|conn| Ok(conn.query_row("SELECT color FROM notes", [], |row| row.get(0))?))
            .await
            .unwrap();
        assert_eq!(color, "red");
        store.close().await;
    }
    let error = Store::open(&file, &[NOTES]).unwrap_err().to_string();
    assert!(error.contains("newer host") && error.contains("version 2, this host knows 1"), "{error}");
}
