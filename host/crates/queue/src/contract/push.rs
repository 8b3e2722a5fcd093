//! Taking in, and waking who waits.

use std::collections::BTreeMap;

use tokio::time::timeout;
use wicket_core::{Data, Delivery, Event, Invocation, Pushed, Timestamp};

use super::{DEADLINE, LONG, SHORT, Subject, event, failed, lease, lease_now, push, run, service, settled};

/// First come, first served.
pub async fn what_is_pushed_comes_in_the_order_it_fell_due(subject: &impl Subject) {
    let queue = subject.queue();
    let pushed = push(queue, vec![run("a", "1"), run("a", "2"), run("b", "1")]).await;
    push(queue, vec![run("a", "3")]).await;
    assert!(pushed.iter().all(|pushed| matches!(pushed, Pushed::New(_))), "{pushed:?}");
    for id in ["1", "2", "3"] {
        let lease = lease(queue, "a", LONG).await;
        assert_eq!((lease.invocation.event.id.0.as_str(), lease.attempt), (id, 1));
        let Delivery::Run(Invocation { id, .. }) = run("a", id) else { unreachable!() };
        assert_eq!(lease.invocation.id, id, "the id derives from service and event");
        assert_eq!(lease.due, lease.accepted);
    }
    assert!(lease_now(queue, "a", LONG).await.is_none());
}

/// Delivered twice, run once.
pub async fn an_id_is_queued_once_whatever_became_of_it(subject: &impl Subject) {
    let queue = subject.queue();
    let pushed = push(queue, vec![run("a", "1"), run("a", "1"), run("a", "2")]).await;
    let [Pushed::New(first), Pushed::Duplicate(again), Pushed::New(other)] = pushed[..] else {
        panic!("{pushed:?}");
    };
    assert_eq!(first, again);
    assert_ne!(first, other);
    let duplicate = vec![Pushed::Duplicate(first)];
    let held = lease(queue, "a", LONG).await;
    assert_eq!(push(queue, vec![run("a", "1")]).await, duplicate, "while it runs");
    queue.complete(held, settled(1), Vec::new(), vec![run("a", "1")]).await.expect("an end");
    assert_eq!(push(queue, vec![run("a", "1")]).await, duplicate, "when it has ended");
    let held = lease(queue, "a", LONG).await;
    assert_eq!(held.invocation.id, other);
    queue.bury(held, failed(1)).await.expect("an end");
    assert_eq!(push(queue, vec![run("a", "2")]).await, vec![Pushed::Duplicate(other)], "when it is dead");
    assert!(lease_now(queue, "a", LONG).await.is_none());
}

/// Bytes, attributes, the original body: all of it.
pub async fn an_event_comes_back_as_it_was_pushed(subject: &impl Subject) {
    let queue = subject.queue();
    let mut pushed = event("1");
    pushed.data = Data::Inline((0..=255).collect::<Vec<u8>>().into());
    pushed.verbatim = Some(vec![0xFF; 300_000].into());
    pushed.content_type = Some("application/octet-stream".to_owned());
    pushed.extensions = BTreeMap::from([("traceparent".to_owned(), "00-é".to_owned())]);
    pushed.hops = 7;
    let invocation = Invocation::of(&service("a"), pushed.clone());
    push(queue, vec![Delivery::Run(invocation.clone())]).await;
    assert_eq!(queue.event(invocation.id).await.expect("an answer").as_ref(), Some(&pushed));
    let lease = lease(queue, "a", LONG).await;
    assert_eq!(lease.invocation, invocation);
    let nobody =
        Invocation::of(&service("a"), Event::new("/contract", "x", wicket_core::EventId("no".into())));
    assert_eq!(queue.event(nobody.id).await.expect("an answer"), None);
}

/// A service's queue is its own.
pub async fn nothing_of_one_service_goes_to_another(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1")]).await;
    assert!(lease_now(queue, "b", LONG).await.is_none());
    assert!(timeout(SHORT, queue.ready(&service("b"))).await.is_err(), "nothing to be ready for");
    lease(queue, "a", LONG).await;
}

/// Without polling, and with no gap between looking and listening.
pub async fn who_waits_is_woken_by_a_push(subject: &impl Subject) {
    let queue = subject.queue();
    for round in 0..20 {
        let (of, id) = (service("a"), round.to_string());
        let pushed = push(queue, vec![run("a", &id)]);
        let (ready, _) = tokio::join!(timeout(DEADLINE, queue.ready(&of)), pushed);
        ready.expect("woken");
        let held = lease_now(queue, "a", LONG).await.expect("what was pushed");
        queue.complete(held, settled(1), Vec::new(), Vec::new()).await.expect("an end");
        assert!(timeout(SHORT / 10, queue.ready(&of)).await.is_err(), "nothing is left");
    }
}

/// A timer, not a poll.
pub async fn who_waits_is_woken_when_a_retry_falls_due(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1")]).await;
    let held = lease(queue, "a", LONG).await;
    let due = Timestamp::now().after(SHORT);
    queue.retry(held, failed(1), due).await.expect("a retry");
    assert!(lease_now(queue, "a", LONG).await.is_none(), "too early");
    let held = lease(queue, "a", LONG).await;
    assert_eq!((held.attempt, held.due), (2, due));
}

/// The timer is set anew.
pub async fn an_earlier_retry_wakes_who_knew_of_a_later_one(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1"), run("a", "2")]).await;
    let (first, second) = (lease(queue, "a", LONG).await, lease(queue, "a", LONG).await);
    queue.retry(first, failed(1), Timestamp::now().after(LONG)).await.expect("a retry");
    let sooner = async {
        // Give the waiter time to go to sleep on the later one.
        timeout(SHORT, std::future::pending::<()>()).await.ok();
        queue.retry(second, failed(1), Timestamp::now().after(SHORT)).await.expect("a retry");
    };
    let (held, ()) = tokio::join!(lease(queue, "a", LONG), sooner);
    assert_eq!(held.invocation.event.id.0, "2");
}
