//! Fan-in.

use wicket_config::{Join, JoinBy, Span};
use wicket_core::{Data, Delivery, Event, EventId, JoinPart, Lease, Pushed, kinds};

use super::{DEADLINE, LONG, SHORT, Subject, event, lease, lease_now, push, run, service, settled};
use crate::MAX_PARTS;

pub(super) fn count(n: u32) -> Join {
    Join { by: JoinBy::Folder, count: Some(n), window: None }
}

fn window(span: std::time::Duration) -> Join {
    Join { by: JoinBy::Folder, count: None, window: Some(Span(span)) }
}

pub(super) fn part(of: &str, group: &str, rule: Join, id: &str) -> Delivery {
    part_of(of, group, rule, event(id))
}

fn part_of(of: &str, group: &str, rule: Join, event: Event) -> Delivery {
    Delivery::Part(JoinPart { service: service(of), group: group.to_owned(), rule, event })
}

fn subjects(lease: &Lease) -> Vec<&str> {
    let Data::Parts(parts) = &lease.invocation.event.data else { panic!("{:?}", lease.invocation.event) };
    parts.iter().filter_map(|part| part.subject.as_deref()).collect()
}

/// In the order of their subjects, one hop further, in the workflow run of the first.
pub async fn a_join_by_count_starts_one_invocation_on_all_parts(subject: &impl Subject) {
    let queue = subject.queue();
    let deep = |id: &str, hops| {
        let mut event = event(id);
        (event.hops, event.origin) = (hops, EventId(format!("origin of {id}")));
        event
    };
    let parts = [deep("c", 2), deep("a", 5)].map(|event| part_of("sheet", "photos/in", count(3), event));
    assert_eq!(push(queue, parts.to_vec()).await, [Pushed::Waiting, Pushed::Waiting]);
    push(queue, vec![part("sheet", "photos/other", count(3), "x")]).await;
    assert!(lease_now(queue, "sheet", LONG).await.is_none());
    let last = push(queue, vec![part_of("sheet", "photos/in", count(3), deep("b", 0))]).await;
    let held = lease(queue, "sheet", LONG).await;
    assert_eq!(last, [Pushed::New(held.invocation.id)]);
    assert_eq!(subjects(&held), ["a", "b", "c"]);
    let event = &held.invocation.event;
    assert_eq!((event.kind.as_str(), event.source.as_str()), (kinds::JOINED, "/joins/sheet"));
    assert_eq!(event.subject.as_deref(), Some("photos/in"));
    assert_eq!((event.hops, event.origin.0.as_str()), (6, "origin of c"));
    assert_eq!(queue.depth(&service("sheet")).await.expect("a depth").waiting_parts, 1);
}

/// While its join waits, and after.
pub async fn a_part_counts_once(subject: &impl Subject) {
    let queue = subject.queue();
    let one = || part("sheet", "g", count(2), "1");
    let answers = push(queue, vec![one(), one()]).await;
    assert!(matches!(answers[..], [Pushed::Waiting, Pushed::Duplicate(_)]), "{answers:?}");
    assert!(lease_now(queue, "sheet", LONG).await.is_none());
    push(queue, vec![part("sheet", "g", count(2), "2")]).await;
    let held = lease(queue, "sheet", LONG).await;
    queue.complete(held, settled(1), Vec::new(), Vec::new()).await.expect("an end");
    assert!(matches!(push(queue, vec![one()]).await[..], [Pushed::Duplicate(_)]));
    assert_eq!(queue.depth(&service("sheet")).await.expect("a depth").waiting_parts, 0);
    // The same event in another group is another part.
    assert_eq!(push(queue, vec![part("sheet", "h", count(2), "1")]).await, [Pushed::Waiting]);
}

/// Nothing is lost, and the second is another invocation.
pub async fn a_late_part_begins_the_next_join(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![part("sheet", "g", count(1), "1"), part("sheet", "g", count(1), "2")]).await;
    let (first, second) = (lease(queue, "sheet", LONG).await, lease(queue, "sheet", LONG).await);
    assert_ne!(first.invocation.id, second.invocation.id);
    assert_eq!((subjects(&first), subjects(&second)), (vec!["1"], vec!["2"]));
}

/// Every part begins the wait anew.
pub async fn a_join_by_window_waits_for_quiet(subject: &impl Subject) {
    let queue = subject.queue();
    let began = tokio::time::Instant::now();
    let rule = window(SHORT * 4);
    push(queue, vec![part("sheet", "g", rule.clone(), "1")]).await;
    assert!(tokio::time::timeout(SHORT * 2, queue.ready(&service("sheet"))).await.is_err(), "too early");
    push(queue, vec![part("sheet", "g", rule.clone(), "2")]).await;
    let held = lease(queue, "sheet", LONG).await;
    assert!(began.elapsed() >= SHORT * 6, "the second part began the window anew: {:?}", began.elapsed());
    assert_eq!(subjects(&held), ["1", "2"]);

    // A part that comes after the window, when nobody has looked yet, is late too.
    let short = window(std::time::Duration::from_millis(1));
    push(queue, vec![part("sheet", "h", short.clone(), "1")]).await;
    tokio::time::timeout(DEADLINE, queue.ready(&service("sheet"))).await.expect("the window has passed");
    push(queue, vec![part("sheet", "h", short, "2")]).await;
    assert_eq!(subjects(&lease(queue, "sheet", LONG).await), ["1"]);
    assert_eq!(subjects(&lease(queue, "sheet", LONG).await), ["2"]);
}

/// Full, or quiet.
pub async fn a_join_by_both_takes_what_comes_first(subject: &impl Subject) {
    let queue = subject.queue();
    let rule = |span| Join { window: Some(Span(span)), ..count(2) };
    push(queue, vec![part("sheet", "full", rule(LONG), "1"), part("sheet", "full", rule(LONG), "2")]).await;
    assert_eq!(subjects(&lease(queue, "sheet", LONG).await), ["1", "2"]);
    push(queue, vec![part("sheet", "quiet", rule(SHORT), "1")]).await;
    assert_eq!(subjects(&lease(queue, "sheet", LONG).await), ["1"]);
}

/// Whatever its rule says.
pub async fn a_join_that_grows_too_large_is_complete(subject: &impl Subject) {
    let queue = subject.queue();
    let parts = (0..=MAX_PARTS).map(|n| part("sheet", "g", count(u32::MAX), &n.to_string())).collect();
    let answers = push(queue, parts).await;
    assert!(matches!(answers[MAX_PARTS as usize - 1], Pushed::New(_)));
    assert_eq!(answers[MAX_PARTS as usize], Pushed::Waiting, "the one too many begins the next");
    assert_eq!(subjects(&lease(queue, "sheet", LONG).await).len(), MAX_PARTS as usize);
}

/// Stage after stage, in one step with the end of the one before.
pub async fn follow_ups_complete_a_join(subject: &impl Subject) {
    let queue = subject.queue();
    for id in ["1", "2"] {
        push(queue, vec![run("thumbnail", id)]).await;
        let held = lease(queue, "thumbnail", LONG).await;
        let next = vec![part("sheet", "g", count(2), id), run("tell", id)];
        queue.complete(held, settled(1), Vec::new(), next).await.expect("an end");
        lease(queue, "tell", LONG).await;
    }
    assert_eq!(subjects(&lease(queue, "sheet", LONG).await), ["1", "2"]);
}

/// Its rule is gone: nothing else would end it.
pub async fn what_waits_in_joins_can_be_queued_as_it_is(subject: &impl Subject) {
    let queue = subject.queue();
    let groups: Vec<String> = (0..40).map(|n| format!("g{n:02}")).collect();
    push(queue, groups.iter().map(|group| part("sheet", group, count(3), group)).collect()).await;
    push(queue, vec![part("other", "g", count(3), "1"), run("third", "1")]).await;
    let mut services = queue.services().await.expect("services");
    services.sort();
    assert_eq!(services, ["other", "sheet", "third"].map(service));
    queue.close_joins(&service("sheet")).await.expect("closed");
    let mut found = Vec::new();
    for _ in &groups {
        let held = lease(queue, "sheet", LONG).await;
        found.extend(subjects(&held).into_iter().map(str::to_owned));
        queue.complete(held, settled(1), Vec::new(), Vec::new()).await.expect("an end");
    }
    found.sort();
    assert_eq!(found, groups);
    let mut services = queue.services().await.expect("services");
    services.sort();
    assert_eq!(services, ["other", "third"].map(service));
}
