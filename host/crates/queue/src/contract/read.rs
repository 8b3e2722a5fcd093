//! Receipts and depths.

use std::time::Duration;

use wicket_core::{EventId, Filter, Forget, Log, Receipt, State};

use super::{LONG, SHORT, Subject, call, failed, lease, lease_now, log, push, run, service, settled};

/// `POST /run` and HTTP triggers.
pub async fn calls_that_never_were_queued_have_receipts_too(subject: &impl Subject) {
    let queue = subject.queue();
    let (good, bad) = (call("a", State::Succeeded), call("a", State::Failed));
    let calls = vec![(good.clone(), log("hello")), (bad.clone(), Log::default())];
    queue.record(calls.clone()).await.expect("recorded");
    queue.record(calls).await.expect("and once is enough");
    assert_eq!(queue.receipt(good.id).await.expect("an answer"), Some(good.clone()));
    assert_eq!(queue.logs(good.id).await.expect("logs"), vec![(1, log("hello"))]);
    assert_eq!(queue.logs(bad.id).await.expect("logs"), vec![(1, Log::default())]);
    assert_eq!(queue.event(good.id).await.expect("an answer"), None);
    let list = |filter: Filter| async move { queue.list(&filter).await.expect("a list") };
    assert_eq!(list(Filter::default()).await, vec![bad.clone(), good]);
    assert_eq!(list(Filter { state: Some(State::Failed), ..Filter::default() }).await, vec![bad]);
    assert!(list(Filter { dead_letters: true, ..Filter::default() }).await.is_empty());
    assert!(lease_now(queue, "a", LONG).await.is_none());
    assert_eq!(queue.depth(&service("a")).await.expect("a depth"), wicket_core::Depth::default());
}

/// However the queue stores them.
pub async fn many_calls_at_once_are_read_like_any(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "before")]).await;
    let calls: Vec<Receipt> = (0..60)
        .map(|n| {
            let of = if n % 2 == 0 { "a" } else { "b" };
            let state = if n % 20 == 7 { State::Failed } else { State::Succeeded };
            Receipt { subject: Some(format!("GET /{n}")), ..call(of, state) }
        })
        .collect();
    queue.record(calls.iter().map(|call| (call.clone(), Log::default())).collect()).await.expect("recorded");
    push(queue, vec![run("a", "after")]).await;
    for call in &calls {
        assert_eq!(queue.receipt(call.id).await.expect("an answer").as_ref(), Some(call));
        assert_eq!(queue.logs(call.id).await.expect("logs"), vec![(1, Log::default())]);
        assert_eq!(queue.event(call.id).await.expect("an answer"), None);
        let run = Filter { origin: Some(call.origin.clone()), ..Filter::default() };
        assert_eq!(queue.list(&run).await.expect("a list"), vec![call.clone()]);
        let rest = Filter { before: Some(call.id), ..run };
        assert_eq!(queue.list(&rest).await.expect("a list"), Vec::new());
    }
    let newer = wicket_core::InvocationId::random();
    assert_eq!(queue.receipt(newer).await.expect("an answer"), None);
    let error = queue.redrive(calls[0].id).await.expect_err("it is no dead letter");
    assert!(matches!(error, wicket_core::QueueError::NotDead(_, State::Succeeded)), "{error:?}");

    for (of, all) in [("a", 32), ("b", 30)] {
        let mut listed: Vec<Receipt> = Vec::new();
        loop {
            let before = listed.last().map(|receipt| receipt.id);
            let filter = Filter { service: Some(service(of)), before, limit: 7, ..Filter::default() };
            let page = queue.list(&filter).await.expect("a list");
            if page.is_empty() {
                break;
            }
            assert!(page.len() == 7 || listed.len() + page.len() == all);
            listed.extend(page);
        }
        listed.retain(|receipt| receipt.trigger != wicket_core::Trigger::Event);
        // Of one service and one state, newest first.
        for state in [State::Succeeded, State::Failed] {
            let is = |receipt: &&Receipt| receipt.service == service(of) && receipt.state == state;
            let expected: Vec<&Receipt> = calls.iter().rev().filter(is).collect();
            assert_eq!(listed.iter().filter(is).collect::<Vec<_>>(), expected);
            let filter = Filter { service: Some(service(of)), state: Some(state), ..Filter::default() };
            assert_eq!(queue.list(&filter).await.expect("a list").iter().collect::<Vec<_>>(), expected);
        }
        let letters = Filter { service: Some(service(of)), dead_letters: true, ..Filter::default() };
        assert_eq!(queue.list(&letters).await.expect("a list"), Vec::new());
    }
    let (gone, other) = (calls[4].id, service("b"));
    assert_eq!(queue.forget(&other, Forget::One(gone)).await.expect("an answer"), 0, "it is another's");
    assert_eq!(queue.forget(&service("a"), Forget::One(gone)).await.expect("forgotten"), 1);
    assert_eq!(queue.receipt(gone).await.expect("an answer"), None);
    assert_eq!(queue.forget(&service("a"), Forget::One(gone)).await.expect("an answer"), 0);
    // To the last of them, and then there is nothing to forget.
    for call in calls.iter().filter(|call| call.service == other && call.state == State::Succeeded) {
        assert_eq!(queue.forget(&other, Forget::One(call.id)).await.expect("forgotten"), 1);
    }
    assert_eq!(queue.forget(&other, Forget::Succeeded).await.expect("an answer"), 0);
    let keep = wicket_core::Retention {
        age: Duration::ZERO,
        dead_letter_age: LONG,
        receipt_bytes: u64::MAX,
        log_bytes: u64::MAX,
    };
    tokio::time::timeout(SHORT / 10, std::future::pending::<()>()).await.ok();
    assert_eq!(queue.prune(keep).await.expect("pruned"), 60 - 28);
    assert_eq!(queue.list(&Filter::default()).await.expect("a list").len(), 2);
}

/// What is given must all match.
pub async fn receipts_are_listed_newest_first_by_page_and_filter(subject: &impl Subject) {
    let queue = subject.queue();
    for n in 0..6 {
        push(queue, vec![run("a", &n.to_string()), run("b", &n.to_string())]).await;
    }
    let held = lease(queue, "a", LONG).await;
    let list = |filter: Filter| async move {
        let receipts = queue.list(&filter).await.expect("a list");
        receipts
            .into_iter()
            .map(|receipt| format!("{}{}", receipt.service, receipt.event))
            .collect::<Vec<_>>()
    };
    let a = || Filter { service: Some(service("a")), ..Filter::default() };
    assert_eq!(list(Filter::default()).await.len(), 12);
    assert_eq!(list(a()).await, ["a5", "a4", "a3", "a2", "a1", "a0"]);
    assert_eq!(list(Filter { state: Some(State::Running), ..Filter::default() }).await, ["a0"]);
    assert_eq!(list(Filter { state: Some(State::Queued), ..a() }).await.len(), 5);
    let origin = Some(EventId("3".to_owned()));
    assert_eq!(list(Filter { origin: origin.clone(), ..Filter::default() }).await, ["b3", "a3"]);
    assert_eq!(list(Filter { origin, ..a() }).await, ["a3"]);

    let of = |source: &str| Filter { source: Some(source.to_owned()), ..a() };
    assert_eq!(list(of("/contract")).await.len(), list(a()).await.len());
    assert!(list(of("/elsewhere")).await.is_empty());
    let page = queue.list(&Filter { limit: 2, ..a() }).await.expect("a list");
    let before = Some(page[1].id);
    assert_eq!(list(Filter { before, limit: 2, ..a() }).await, ["a3", "a2"]);
    assert!(list(Filter { before: Some(wicket_core::InvocationId::random()), ..a() }).await.is_empty());
    queue.complete(held, settled(1), Vec::new(), Vec::new()).await.expect("an end");
    assert_eq!(list(Filter { state: Some(State::Succeeded), ..Filter::default() }).await, ["a0"]);
}

/// They are counted where they change.
pub async fn depths_follow_every_step(subject: &impl Subject) {
    let queue = subject.queue();
    let depth = async || {
        let depth = queue.depth(&service("a")).await.expect("a depth");
        (depth.queued, depth.running, depth.dead, depth.waiting_parts)
    };
    assert_eq!(depth().await, (0, 0, 0, 0));
    push(queue, (0..4).map(|n| run("a", &n.to_string())).collect()).await;
    push(queue, vec![super::join::part("a", "g", super::join::count(2), "p")]).await;
    assert_eq!(depth().await, (4, 0, 0, 1));
    let held = lease(queue, "a", LONG).await;
    assert_eq!(depth().await, (3, 1, 0, 1));
    queue.complete(held, settled(1), Vec::new(), Vec::new()).await.expect("an end");
    let held = lease(queue, "a", LONG).await;
    let dead = held.invocation.id;
    queue.bury(held, failed(1)).await.expect("an end");
    assert_eq!(depth().await, (2, 0, 1, 1));
    queue.redrive(dead).await.expect("queued again");
    push(queue, vec![super::join::part("a", "g", super::join::count(2), "q")]).await;
    assert_eq!(depth().await, (4, 0, 0, 0));
}
