//! What a crash leaves: all that was acknowledged, with its event, and nothing else.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use tokio_util::sync::CancellationToken;
use wicket_buckets::{Keys, LocalBuckets, PART, S3Endpoint};
use wicket_core::Event;
use wicket_store::{Announce, Part, Store, StoreError, Tx};

use crate::support::{ACCESS, SECRET, client, files, noise, wait};

/// A queue of one table, to see whether objects and events agree.
const EVENTS: Part = Part { name: "events", migrations: &["CREATE TABLE events (key TEXT NOT NULL)"] };

#[derive(Debug)]
struct Table;

impl Announce for Table {
    fn created(&self, tx: &mut Tx<'_>, event: &Event) -> Result<(), StoreError> {
        tx.execute("INSERT INTO events VALUES (?)", [event.subject.as_deref()])?;
        Ok(())
    }
}

async fn open(folder: &Path) -> (Store, Arc<LocalBuckets>) {
    let store = Store::open(&folder.join("wicket.db"), &[PART, EVENTS]).unwrap();
    let buckets = LocalBuckets::open(store.clone(), &folder.join("objects"), Arc::new(Table)).await.unwrap();
    buckets.sweep().await.unwrap();
    (store, buckets)
}

fn size(key: &str) -> usize {
    match key.split('-').next() {
        Some("small") => 1000,
        Some("large") => 100 << 10,
        _ => (5 << 20) + 10,
    }
}

/// Tells the parent, before the next upload begins.
fn say(key: &str) {
    std::io::stdout().write_all(format!("\n@stored {key}\n").as_bytes()).unwrap();
}

/// What dies at the fail-point: uploads of every kind, and all that was acknowledged on stdout.
#[expect(clippy::disallowed_methods, reason = "the process ends before it could wait")]
async fn busy(folder: &Path, run: &str, failpoint: &str) {
    let (_store, buckets) = open(folder).await;
    buckets.create(&"photos".parse().unwrap()).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(listener.local_addr().unwrap(), ACCESS, SECRET);
    let endpoint = S3Endpoint::new(buckets, Keys::new(ACCESS, SECRET));
    tokio::spawn(endpoint.serve(listener, CancellationToken::new()));
    wicket_store::arm(failpoint).unwrap();
    let single = async |kind: &str| {
        for n in 0.. {
            let key = format!("{kind}-{run}-{n}");
            let put =
                client.put_object().bucket("photos").key(&key).body(ByteStream::from(noise(size(&key))));
            put.send().await.unwrap();
            say(&key);
        }
    };
    let parts = async || {
        for n in 0.. {
            let key = format!("parts-{run}-{n}");
            let begun = client.create_multipart_upload().bucket("photos").key(&key).send().await.unwrap();
            let id = begun.upload_id.unwrap();
            let whole = noise(size(&key));
            let mut done = Vec::new();
            for (number, bytes) in (1..).zip(whole.chunks(5 << 20)) {
                let part = client.upload_part().bucket("photos").key(&key).upload_id(&id).part_number(number);
                let sent = part.body(ByteStream::from(bytes.to_vec())).send().await.unwrap();
                done.push(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build());
            }
            let done = CompletedMultipartUpload::builder().set_parts(Some(done)).build();
            let complete = client.complete_multipart_upload().bucket("photos").key(&key).upload_id(id);
            complete.multipart_upload(done).send().await.unwrap();
            say(&key);
        }
    };
    tokio::join!(single("small"), single("large"), parts());
}

/// One folder, and one crash after the other in it.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the parent tells its child by the environment")]
async fn what_was_acknowledged_is_there_with_its_event_wherever_the_process_dies() {
    const NAME: &str = "crash::what_was_acknowledged_is_there_with_its_event_wherever_the_process_dies";
    if let Ok(folder) = std::env::var("CRASH_FOLDER") {
        let text = |name| std::env::var(name).unwrap();
        return busy(Path::new(&folder), &text("CRASH_RUN"), &text("CRASH_AT")).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let places = [
        "buckets.file.written",
        "buckets.file.durable",
        "buckets.row.written",
        "store.commit.before",
        "store.commit.after",
    ];
    let mut stored = BTreeSet::new();
    for (run, place) in places.iter().cycle().take(10).enumerate() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env("CRASH_FOLDER", folder.path())
            .env("CRASH_RUN", run.to_string())
            .env("CRASH_AT", format!("{place}:abort@{}", 2 + run))
            .stderr(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.status), Some(6), "it was to abort");
        let said = String::from_utf8(child.stdout).unwrap();
        stored.extend(said.lines().filter_map(|line| Some(line.strip_prefix("@stored ")?.to_owned())));
    }
    assert!(stored.len() > 20, "{}", stored.len());

    let (store, buckets) = open(folder.path()).await;
    let read = store.read(|db| {
        let mut events = db.prepare("SELECT key FROM events ORDER BY key")?;
        let events: Vec<String> = events.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut keys = db.prepare("SELECT CAST(key AS TEXT) FROM objects ORDER BY key")?;
        let keys: Vec<String> = keys.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let named = "SELECT (SELECT count(*) FROM object_files) + (SELECT count(*) FROM upload_parts)";
        Ok((events, keys, db.query_row(named, [], |row| row.get::<_, u32>(0))?))
    });
    let (events, keys, named) = read.await.unwrap();
    assert_eq!(events, keys, "an object and its event are one");
    let keys: BTreeSet<String> = keys.into_iter().collect();
    let lost: Vec<_> = stored.difference(&keys).collect();
    assert!(lost.is_empty(), "{lost:?}");
    for key in &keys {
        let (_, mut stream) =
            buckets.get(&"photos".parse().unwrap(), &key.parse().unwrap(), None).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = futures::StreamExt::next(&mut stream).await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        assert!(bytes == noise(size(key)), "{key}");
    }
    wait("no file that no row names", || files(folder.path()) == named as usize).await;
}
