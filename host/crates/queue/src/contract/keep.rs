//! How long things are remembered.

use std::time::Duration;

use tokio::time::timeout;
use wicket_core::{Filter, Forget, Log, Pushed, Receipt, Retention, State, Timestamp};

use super::{LONG, SHORT, Subject, call, failed, lease, log, push, run, service, settled};

const KEEP: Retention =
    Retention { age: LONG, dead_letter_age: LONG, receipt_bytes: u64::MAX, log_bytes: u64::MAX };

/// And with them that they were there: a duplicate is recognised only so long.
pub async fn what_is_old_is_forgotten_and_dead_letters_later(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, ["done", "dead", "runs", "waits"].map(|id| run("a", id)).to_vec()).await;
    let part = || super::join::part("a", "g", super::join::count(1), "p");
    push(queue, vec![part()]).await;
    let (done, dead) = (lease(queue, "a", LONG).await, lease(queue, "a", LONG).await);
    let _runs = lease(queue, "a", LONG).await;
    queue.complete(done, settled(1), Vec::new(), Vec::new()).await.expect("an end");
    queue.bury(dead, failed(1)).await.expect("an end");
    queue.record(vec![(call("a", State::Failed), Log::default())]).await.expect("recorded");
    assert_eq!(queue.prune(KEEP).await.expect("pruned"), 0);
    // Until all of that is some time ago.
    timeout(SHORT / 10, std::future::pending::<()>()).await.ok();

    assert_eq!(queue.prune(Retention { age: Duration::ZERO, ..KEEP }).await.expect("pruned"), 2);
    let again = push(queue, ["done", "dead", "runs", "waits"].map(|id| run("a", id)).to_vec()).await;
    use Pushed::{Duplicate, New};
    assert!(matches!(again[..], [New(_), Duplicate(_), Duplicate(_), Duplicate(_)]), "{again:?}");
    assert!(
        matches!(push(queue, vec![part()]).await[..], [New(_)]),
        "its join was forgotten, and it ran again"
    );
    let all = Retention { age: Duration::ZERO, dead_letter_age: Duration::ZERO, ..KEEP };
    assert_eq!(queue.prune(all).await.expect("pruned"), 1);
}

/// A duplicate of what is forgotten is new.
pub async fn what_is_to_be_forgotten_goes_and_what_runs_stays(subject: &impl Subject) {
    let queue = subject.queue();
    let ids = ["done", "dead", "runs", "waits"];
    push(queue, ids.map(|id| run("a", id)).to_vec()).await;
    let (done, dead) = (lease(queue, "a", LONG).await, lease(queue, "a", LONG).await);
    let runs = lease(queue, "a", LONG).await;
    let (done_id, runs_id) = (done.invocation.id, runs.invocation.id);
    queue.complete(done, settled(1), Vec::new(), Vec::new()).await.expect("an end");
    queue.bury(dead, failed(1)).await.expect("an end");
    queue.record(vec![(call("a", State::Failed), log("x"))]).await.expect("recorded");
    push(queue, vec![run("b", "other")]).await;
    let (a, b) = (service("a"), service("b"));
    let forget = async |of, which| queue.forget(of, which).await.expect("forgotten");

    assert_eq!(forget(&b, Forget::One(done_id)).await, 0, "it is another's");
    assert_eq!(forget(&a, Forget::One(runs_id)).await, 0);
    assert_eq!(forget(&a, Forget::Succeeded).await, 1);
    assert_eq!(queue.receipt(done_id).await.expect("read"), None);
    let again = push(queue, vec![run("a", "done")]).await;
    assert!(matches!(again[..], [Pushed::New(id)] if id == done_id), "{again:?}");
    assert_eq!(forget(&a, Forget::One(done_id)).await, 1, "it had not begun");
    assert_eq!(forget(&a, Forget::All).await, 3);
    let depth = queue.depth(&a).await.expect("a depth");
    assert_eq!((depth.queued, depth.running, depth.dead), (0, 1, 0));
    queue.complete(runs, settled(1), Vec::new(), Vec::new()).await.expect("what runs goes on");
    assert_eq!(queue.depth(&b).await.expect("a depth").queued, 1);
}

/// The receipts stay.
pub async fn the_oldest_logs_go_first(subject: &impl Subject) {
    let queue = subject.queue();
    let calls: Vec<_> = (0..300).map(|n| (call("a", State::Succeeded), log(&format!("{n:03}")))).collect();
    queue.record(calls.clone()).await.expect("recorded");
    let bytes = serde_json::to_vec(&calls[0].1).expect("JSON").len() as u64;
    queue.prune(Retention { log_bytes: 10 * bytes, ..KEEP }).await.expect("pruned");
    for (n, (receipt, log)) in calls.iter().enumerate() {
        let left = if n < 290 { Log::default() } else { log.clone() };
        assert_eq!(queue.logs(receipt.id).await.expect("logs"), vec![(1, left)], "{n}");
    }
}

/// Of what ended. What waits stays, and so do dead letters.
pub async fn the_oldest_receipts_go_first(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "waits"), run("b", "dead")]).await;
    let dead = lease(queue, "b", LONG).await;
    queue.bury(dead, failed(1)).await.expect("an end");
    let mut clock = Timestamp::now();
    let mut calls = Vec::new();
    for _ in 0..20 {
        clock = clock.after(Duration::from_micros(1));
        calls.push(Receipt { finished: Some(clock), ..call("a", State::Succeeded) });
        queue.record(vec![(calls[calls.len() - 1].clone(), Log::default())]).await.expect("recorded");
    }
    let bytes = 400 + serde_json::to_vec(&calls[0].attempts).expect("JSON").len() as u64;
    let keep = Retention { receipt_bytes: 5 * bytes, ..KEEP };
    assert_eq!(queue.prune(keep).await.expect("pruned"), 15);
    calls.drain(..15);
    calls.reverse();
    let left =
        queue.list(&Filter { state: Some(State::Succeeded), ..Filter::default() }).await.expect("a list");
    assert_eq!(left, calls);
    assert_eq!(queue.list(&Filter::default()).await.expect("a list").len(), 7);
    assert_eq!(queue.prune(Retention { receipt_bytes: 0, ..KEEP }).await.expect("pruned"), 5);
    assert_eq!(queue.list(&Filter::default()).await.expect("a list").len(), 2);
}
