//! The right to run, and losing it.

use std::collections::BTreeSet;

use tokio::time::timeout;
use wicket_core::{Lease, Queue, QueueError, State, Timestamp, Waiting};

use super::{DEADLINE, LONG, SHORT, Subject, failed, lease, lease_now, push, run, service, settled};

/// However many ask at once.
pub async fn no_two_workers_get_the_same_invocation(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, (0..40).map(|n| run("a", &n.to_string())).collect()).await;
    let worker = async || {
        let mut got = Vec::new();
        while let Some(lease) = lease_now(queue, "a", LONG).await {
            got.push(lease.invocation.id);
        }
        got
    };
    let (a, b, c, d) = tokio::join!(worker(), worker(), worker(), worker());
    let all: Vec<_> = [a, b, c, d].concat();
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (40, 40));
}

/// A host that died, or hangs, does not hold the work for ever.
pub async fn a_lease_that_runs_out_comes_back_as_the_next_attempt(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1")]).await;
    let mut fence = 0;
    // However often it kills its host: who judges sees the attempts grow.
    for attempt in 1..=4 {
        let held = lease(queue, "a", SHORT).await;
        assert_eq!(held.attempt, attempt);
        assert!(held.fence > fence);
        fence = held.fence;
    }
}

/// A lease that ran out, and the newer one on the same invocation.
async fn late_and_newer(queue: &dyn Queue) -> (Lease, Lease) {
    let late = lease(queue, "a", SHORT).await;
    let newer = lease(queue, "a", LONG).await;
    assert_eq!(late.invocation.id, newer.invocation.id);
    (late, newer)
}

/// Whatever it tries, while another runs it and when it has ended.
pub async fn a_late_holder_changes_nothing(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1")]).await;
    let fenced =
        |result: Result<(), QueueError>| assert!(matches!(result, Err(QueueError::Fenced(_))), "{result:?}");
    let (late, newer) = late_and_newer(queue).await;
    fenced(queue.complete(late, settled(1), Vec::new(), vec![run("b", "follow-up")]).await);
    queue.release(newer).await.expect("a release");
    let (late, newer) = late_and_newer(queue).await;
    fenced(queue.retry(late, failed(1), newer.due).await);
    queue.release(newer).await.expect("a release");
    let (late, newer) = late_and_newer(queue).await;
    fenced(queue.bury(late, failed(1)).await);
    queue.release(newer).await.expect("a release");
    let (late, newer) = late_and_newer(queue).await;
    fenced(queue.release(late).await);
    queue.release(newer).await.expect("a release");
    let (late, held) = late_and_newer(queue).await;
    fenced(queue.extend(&late, LONG).await);
    assert!(lease_now(queue, "b", LONG).await.is_none(), "its follow-ups do not count");

    let id = held.invocation.id;
    queue.complete(held, settled(1), Vec::new(), Vec::new()).await.expect("an end");
    fenced(queue.complete(late, settled(1), Vec::new(), Vec::new()).await);
    let receipt = queue.receipt(id).await.expect("an answer").expect("a receipt");
    assert_eq!(receipt.attempts.len(), 1);
}

/// For as long as the work takes.
pub async fn an_extended_lease_stays(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1")]).await;
    let held = lease(queue, "a", SHORT).await;
    queue.extend(&held, LONG).await.expect("held on");
    let back = async {
        loop {
            queue.ready(&service("a")).await;
            if lease_now(queue, "a", LONG).await.is_some() {
                return;
            }
        }
    };
    assert!(timeout(SHORT * 3, back).await.is_err(), "it came back");
    queue.complete(held, settled(1), Vec::new(), Vec::new()).await.expect("an end");
}

/// A host that drains gives back what it has not begun.
pub async fn a_released_lease_keeps_its_place_and_does_not_count(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1"), run("a", "2")]).await;
    let held = lease(queue, "a", LONG).await;
    queue.release(held).await.expect("a release");
    timeout(DEADLINE, queue.ready(&service("a"))).await.expect("ready at once");
    let again = lease(queue, "a", LONG).await;
    assert_eq!((again.invocation.event.id.0.as_str(), again.attempt), ("1", 1));
}

/// What it needs is away: the invocation waits, says for what, and does not use up its attempts.
pub async fn a_postponed_lease_says_what_it_waits_for(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1")]).await;
    let waiting = Waiting { since: Timestamp::now(), reason: "no engine".to_owned() };
    for _ in 0..2 {
        let held = lease(queue, "a", LONG).await;
        let id = held.invocation.id;
        assert_eq!(held.attempt, 1);
        let due = Timestamp::now().after(SHORT);
        queue.postpone(held, waiting.clone(), due).await.expect("a wait");
        let receipt = queue.receipt(id).await.expect("read").expect("known");
        assert_eq!(
            (receipt.state, receipt.due, receipt.waiting),
            (State::Queued, Some(due), Some(waiting.clone()))
        );
        timeout(DEADLINE, queue.ready(&service("a"))).await.expect("due in a while");
    }
    let held = lease(queue, "a", LONG).await;
    let id = held.invocation.id;
    queue.complete(held, settled(1), Vec::new(), Vec::new()).await.expect("an end");
    let receipt = queue.receipt(id).await.expect("read").expect("known");
    assert_eq!((receipt.state, receipt.waiting), (State::Succeeded, None));
}
