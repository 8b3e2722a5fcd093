//! What only the queue on disk can show: crashes, a full disk, a file from a later day.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use wicket_config::ServiceName;
use wicket_core::{
    AttemptRecord, Blob, Delivery, Event, EventId, Invocation, InvocationId, Lease, Log, ObjectRef, Pushed,
    Queue, QueueError, Settled, StagedObject, State, Timestamp, Usage,
};
use wicket_queue::{PART, SqliteQueue};
use wicket_store::{Part, Publish, Store, StoreError, Tx};

const LONG: Duration = Duration::from_secs(600);
const BUCKET: Part = Part { name: "bucket", migrations: &["CREATE TABLE bucket (key TEXT NOT NULL UNIQUE)"] };

/// A bucket store in one table, so that a test sees whether it and the queue agree.
#[derive(Debug)]
struct Bucket;

impl Publish for Bucket {
    fn publish(&self, tx: &mut Tx<'_>, outputs: &[StagedObject]) -> Result<(), StoreError> {
        for output in outputs {
            tx.execute("INSERT INTO bucket VALUES (?1)", [output.object.key.as_str()])?;
        }
        Ok(())
    }
}

fn open(folder: &Path) -> (Store, Arc<SqliteQueue>) {
    let store = Store::open(&folder.join("node.db"), &[PART, BUCKET]).expect("a store");
    (store.clone(), SqliteQueue::new(store, Arc::new(Bucket)))
}

fn service(name: &str) -> ServiceName {
    name.parse().expect("a service name")
}

fn invocation(of: &str, id: &str) -> Invocation {
    Invocation::of(&service(of), Event::new("/crash", "dev.wicketgate.test", EventId(id.to_owned())))
}

fn output(id: &str) -> StagedObject {
    let object = ObjectRef {
        provider: Default::default(),
        bucket: "results".parse().expect("a bucket name"),
        key: id.parse().expect("a key"),
        size: None,
        etag: None,
    };
    let (etag, blob) = (String::new(), Blob::Inline(Vec::new().into()));
    StagedObject { object, blob, size: 0, etag, content_type: None }
}

fn settled() -> Settled {
    let attempt = AttemptRecord {
        number: 1,
        version: 1,
        executor: "test".to_owned(),
        started: Timestamp::now(),
        queue_us: 0,
        usage: Usage::default(),
        status: None,
        failure: None,
        placement: None,
    };
    Settled { attempt, log: Log::default() }
}

/// Ends an invocation of `a`: an output and an invocation of `b` follow.
async fn complete(queue: &SqliteQueue, lease: Lease) -> Result<(), QueueError> {
    let id = lease.invocation.event.id.0.clone();
    queue.complete(lease, settled(), vec![output(&id)], vec![Delivery::Run(invocation("b", &id))]).await
}

async fn published(store: &Store) -> BTreeSet<String> {
    let all = |conn: &wicket_store::Connection| {
        let mut query = conn.prepare("SELECT key FROM bucket")?;
        let keys = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(keys)
    };
    store.read(all).await.expect("keys")
}

/// What dies at the fail-point: three who push, one who works, and all that was acknowledged on stdout.
async fn busy(folder: &Path, run: &str, failpoint: &str) {
    let (_store, queue) = open(folder);
    wicket_store::arm(failpoint).expect("a fail-point");
    let say = |what: &str, id: &str| writeln!(std::io::stdout(), "\n@{what} {id}").expect("stdout");
    let pusher = async |who: &str| {
        for n in 0.. {
            let id = format!("{run}-{who}-{n}");
            queue.push(vec![Delivery::Run(invocation("a", &id))]).await.expect("a push");
            say("pushed", &id);
        }
    };
    let worker = async || {
        loop {
            queue.ready(&service("a")).await;
            let lease = queue.lease(&service("a"), Duration::from_millis(1)).await.expect("an answer");
            let Some(lease) = lease else { continue };
            let id = lease.invocation.event.id.0.clone();
            match complete(&queue, lease).await {
                Ok(()) => say("done", &id),
                Err(error) => assert!(matches!(error, QueueError::Fenced(_)), "{error:?}"),
            }
        }
    };
    tokio::join!(pusher("x"), pusher("y"), pusher("z"), worker());
}

/// One folder, and one crash after the other in it.
#[tokio::test]
async fn nothing_acknowledged_is_lost_wherever_the_process_dies() {
    const NAME: &str = "nothing_acknowledged_is_lost_wherever_the_process_dies";
    if let Some(folder) = std::env::var_os("CRASH_FOLDER") {
        let text = |name| {
            std::env::var_os(name).and_then(|value| value.into_string().ok()).expect("set by the parent")
        };
        return busy(Path::new(&folder), &text("CRASH_RUN"), &text("CRASH_AT")).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut pushed, mut done) = (BTreeSet::new(), BTreeSet::new());
    for run in 0..24 {
        let place = if run % 2 == 0 { "before" } else { "after" };
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .current_dir(folder.path())
            .env("CRASH_FOLDER", folder.path())
            .env("CRASH_RUN", run.to_string())
            .env("CRASH_AT", format!("store.commit.{place}:abort@{}", 1 + run * 2))
            .stderr(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.status), Some(6), "it was to abort");
        let said = String::from_utf8(child.stdout).unwrap();
        pushed.extend(said.lines().filter_map(|line| Some(line.strip_prefix("@pushed ")?.to_owned())));
        done.extend(said.lines().filter_map(|line| Some(line.strip_prefix("@done ")?.to_owned())));
    }
    assert!(pushed.len() > 100 && done.len() > 20, "{} and {}", pushed.len(), done.len());

    let (store, queue) = open(folder.path());
    for id in &done {
        let receipt = queue.receipt(invocation("a", id).id).await.unwrap().unwrap();
        assert_eq!(receipt.state, State::Succeeded, "{id} was acknowledged as done");
    }
    for id in &pushed {
        let receipt = queue.receipt(invocation("a", id).id).await.unwrap();
        let ended = receipt.unwrap_or_else(|| panic!("{id} is lost")).state == State::Succeeded;
        let next = queue.receipt(invocation("b", id).id).await.unwrap().is_some();
        let visible = published(&store).await.contains(id);
        assert_eq!((next, visible), (ended, ended), "the end of {id} and what follows it are one step");
    }
    // What a crash left leased comes back, and all of it ends exactly once.
    loop {
        let depth = queue.depth(&service("a")).await.unwrap();
        if depth.queued + depth.running == 0 {
            break;
        }
        timeout(LONG, queue.ready(&service("a"))).await.unwrap();
        if let Some(lease) = queue.lease(&service("a"), LONG).await.unwrap() {
            complete(&queue, lease).await.unwrap();
        }
    }
    let (ends, outputs) = (queue.depth(&service("b")).await.unwrap().queued, published(&store).await);
    assert_eq!(outputs.len() as u64, ends);
    assert!(pushed.is_subset(&outputs));
    store.close().await;
}

#[tokio::test]
async fn a_full_disk_accepts_nothing_keeps_what_it_has_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let (store, queue) = open(folder.path());
    let pages = |n: i64| store.write(move |tx| Ok(tx.pragma_update(None, "max_page_count", n)?));
    let large = |id: &str| {
        let mut large = invocation("a", id);
        large.event.verbatim = Some(vec![b'x'; 20_000].into());
        vec![Delivery::Run(large)]
    };
    pages(120).await.unwrap();
    let mut accepted = 0;
    let error = loop {
        match queue.push(large(&accepted.to_string())).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, QueueError::Full(_)), "{error:?}");
    assert_eq!(queue.receipt(invocation("a", &accepted.to_string()).id).await.unwrap(), None);
    assert_eq!(queue.depth(&service("a")).await.unwrap().queued, accepted);

    // Work goes on as far as it can, and what cannot be stored stays as it was.
    let lease = queue.lease(&service("a"), Duration::from_millis(1)).await.unwrap().unwrap();
    let id = lease.invocation.event.id.0.clone();
    let follow_up = large("follow-up");
    let error = queue.complete(lease, settled(), vec![output(&id)], follow_up).await.unwrap_err();
    assert!(matches!(error, QueueError::Full(_)), "{error:?}");
    assert!(published(&store).await.is_empty());

    pages(1 << 20).await.unwrap();
    assert!(matches!(queue.push(large("again")).await.unwrap()[..], [Pushed::New(_)]));
    for _ in 0..=accepted {
        timeout(LONG, queue.ready(&service("a"))).await.unwrap();
        let lease = queue.lease(&service("a"), LONG).await.unwrap().unwrap();
        complete(&queue, lease).await.unwrap();
    }
    assert_eq!(published(&store).await.len() as u64, accepted + 1);
}

#[tokio::test]
async fn a_push_in_anothers_transaction_stands_or_falls_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, queue) = open(folder.path());
    for stays in [false, true] {
        let inside = Arc::clone(&queue);
        let put = store.write(move |tx| {
            tx.execute("INSERT INTO bucket VALUES ('photo')", [])?;
            let pushed = inside.push_in(tx, vec![Delivery::Run(invocation("a", "photo"))])?;
            if stays { Ok(pushed) } else { Err(StoreError::refused("the upload was cut")) }
        });
        let of = service("a");
        let (put, woken) = tokio::join!(put, timeout(Duration::from_millis(200), queue.ready(&of)));
        assert_eq!((put.is_ok(), woken.is_ok()), (stays, stays));
        assert_eq!(queue.depth(&of).await.unwrap().queued, u64::from(stays));
    }
    assert!(queue.lease(&service("a"), LONG).await.unwrap().is_some());
}

#[tokio::test]
async fn what_a_later_version_added_does_not_disturb() {
    let folder = tempfile::tempdir().unwrap();
    let (store, queue) = open(folder.path());
    queue.push(vec![Delivery::Run(invocation("a", "1"))]).await.unwrap();
    let lease = queue.lease(&service("a"), LONG).await.unwrap().unwrap();
    let id = lease.invocation.id;
    complete(&queue, lease).await.unwrap();
    let grow = "UPDATE invocations SET attempts = json_set(attempts, '$[0].gpu_us', 7, '$[0].node', 'other')";
    store.write(move |tx| Ok(tx.execute(grow, [])?)).await.unwrap();
    assert_eq!(queue.receipt(id).await.unwrap().unwrap().attempts.len(), 1);
    assert_eq!(queue.receipt(InvocationId::random()).await.unwrap(), None);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_any_more_is_a_dead_letter_and_the_next_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let (store, queue) = open(folder.path());
    queue.push(["1", "2"].map(|id| Delivery::Run(invocation("a", id))).to_vec()).await.unwrap();
    store.write(|tx| Ok(tx.execute("UPDATE events SET event = x'00' WHERE seq = 1", [])?)).await.unwrap();
    assert!(queue.lease(&service("a"), LONG).await.unwrap().is_none());
    assert_eq!(queue.lease(&service("a"), LONG).await.unwrap().unwrap().invocation.event.id.0, "2");
    let receipt = queue.receipt(invocation("a", "1").id).await.unwrap().unwrap();
    let failure = receipt.attempts[0].failure.as_ref().unwrap().to_string();
    assert!(failure.contains("cannot be read"), "{failure}");
    assert_eq!(queue.depth(&service("a")).await.unwrap().dead, 1);
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let (store, queue) = open(folder.path());
    queue.push((0..3).map(|n| Delivery::Run(invocation("a", &n.to_string()))).collect()).await.unwrap();
    let lease = queue.lease(&service("a"), LONG).await.unwrap().unwrap();
    complete(&queue, lease).await.unwrap();
    let held = queue.lease(&service("a"), Duration::from_millis(50)).await.unwrap().unwrap();
    store.close().await;
    assert!(matches!(queue.push(Vec::new()).await, Err(QueueError::Storage(_))), "the store is closed");

    let (_store, queue) = open(folder.path());
    let depth = queue.depth(&service("a")).await.unwrap();
    assert_eq!((depth.queued, depth.running), (1, 1));
    let second = queue.lease(&service("a"), LONG).await.unwrap().unwrap();
    assert_eq!(second.invocation, invocation_as_stored(&second, "2"));
    timeout(LONG, queue.ready(&service("a"))).await.unwrap();
    let again = queue.lease(&service("a"), LONG).await.unwrap().unwrap();
    assert_eq!((again.invocation.id, again.attempt), (held.invocation.id, 2), "its lease ran out meanwhile");
}

#[tokio::test]
async fn who_opens_the_queue_need_not_wait_for_the_leases_of_a_process_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (store, queue) = open(folder.path());
    queue.push(vec![Delivery::Run(invocation("a", "1"))]).await.unwrap();
    queue.lease(&service("a"), LONG).await.unwrap().unwrap();
    store.close().await;
    let (_store, queue) = open(folder.path());
    assert!(queue.lease(&service("a"), LONG).await.unwrap().is_none(), "it is held");
    assert_eq!(queue.end_leases().await.unwrap(), 1);
    let again = queue.lease(&service("a"), LONG).await.unwrap().unwrap();
    assert_eq!(again.attempt, 2, "a host that dies of it must find that out");
    assert_eq!(queue.end_leases().await.unwrap(), 1);
}

#[tokio::test]
async fn a_clock_that_is_set_forward_takes_no_lease_from_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let (store, queue) = open(folder.path());
    queue.push(["1", "2"].map(|id| Delivery::Run(invocation("a", id))).to_vec()).await.unwrap();
    let held = queue.lease(&service("a"), LONG).await.unwrap().unwrap();
    let other = queue.lease(&service("a"), Duration::from_millis(50)).await.unwrap().unwrap();
    // As it is for what stands in the file: all leases ran out long ago.
    store.write(|tx| Ok(tx.execute("UPDATE invocations SET due = 1 WHERE state = 1", [])?)).await.unwrap();
    timeout(LONG, queue.ready(&service("a"))).await.unwrap();
    let again = loop {
        // The one whose time has passed comes back,
        if let Some(again) = queue.lease(&service("a"), LONG).await.unwrap() {
            break again;
        }
        timeout(LONG, queue.ready(&service("a"))).await.unwrap();
    };
    assert_eq!((again.invocation.id, again.attempt), (other.invocation.id, 2));
    // and the other one is still his who has it.
    assert!(queue.lease(&service("a"), LONG).await.unwrap().is_none());
    complete(&queue, held).await.unwrap();
}

/// The same invocation at the time at which it was made.
fn invocation_as_stored(lease: &Lease, id: &str) -> Invocation {
    let mut invocation = invocation("a", id);
    invocation.event.time = lease.invocation.event.time;
    invocation
}
