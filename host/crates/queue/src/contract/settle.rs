//! Ends: well, for now, for good.

use wicket_core::{
    Blob, Failure, Filter, InvocationId, ObjectRef, QueueError, StagedObject, State, Timestamp,
};

use super::{LONG, SHORT, Subject, call, failed, lease, lease_now, push, run, service, settled};

fn output(key: &str) -> StagedObject {
    let object = ObjectRef {
        provider: wicket_config::ProviderId::default(),
        bucket: "results".parse().expect("a bucket name"),
        key: key.parse().expect("a key"),
        size: None,
        etag: None,
    };
    let blob = Blob::Inline(vec![0, 159, 146, 150].into());
    StagedObject { object, blob, size: 4, etag: "e".to_owned(), content_type: None }
}

/// The receipt, the outputs, the follow-ups: there is no moment between done and next.
pub async fn the_end_and_what_follows_are_one_step(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1")]).await;
    let held = lease(queue, "a", LONG).await;
    let id = held.invocation.id;
    let (outputs, follow_ups) = (vec![output("x"), output("y")], vec![run("b", "2"), run("c", "2")]);
    queue.complete(held, settled(1), outputs.clone(), follow_ups).await.expect("an end");
    assert_eq!(subject.published().await, outputs);
    lease(queue, "b", LONG).await;
    lease(queue, "c", LONG).await;
    let receipt = queue.receipt(id).await.expect("an answer").expect("a receipt");
    assert_eq!((receipt.state, receipt.due), (State::Succeeded, None));
    assert!(receipt.finished.is_some_and(|finished| finished >= receipt.accepted));
    assert_eq!(receipt.attempts, vec![settled(1).attempt]);
    assert_eq!(queue.logs(id).await.expect("logs"), vec![(1, settled(1).log)]);
    assert!(lease_now(queue, "a", LONG).await.is_none());
}

/// With the reason, and the log of every attempt.
pub async fn a_retry_waits_until_it_is_due_and_leaves_its_record(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1"), run("a", "2")]).await;
    let held = lease(queue, "a", LONG).await;
    let id = held.invocation.id;
    let due = Timestamp::now().after(SHORT);
    queue.retry(held, failed(1), due).await.expect("a retry");
    let receipt = queue.receipt(id).await.expect("an answer").expect("a receipt");
    assert_eq!((receipt.state, receipt.due, receipt.finished), (State::Queued, Some(due), None));

    let held = lease(queue, "a", LONG).await;
    assert_eq!(held.invocation.event.id.0, "2", "the other one is due earlier");
    let held = lease(queue, "a", LONG).await;
    assert_eq!((held.invocation.id, held.attempt), (id, 2));
    queue.complete(held, settled(2), Vec::new(), Vec::new()).await.expect("an end");
    let receipt = queue.receipt(id).await.expect("an answer").expect("a receipt");
    assert_eq!(receipt.attempts, vec![failed(1).attempt, settled(2).attempt]);
    assert_eq!(queue.logs(id).await.expect("logs"), vec![(1, failed(1).log), (2, settled(2).log)]);
}

/// A full set of attempts again, and nothing of the first set is lost.
pub async fn a_dead_letter_is_kept_and_redriven_with_its_history(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1")]).await;
    let held = lease(queue, "a", LONG).await;
    let id = held.invocation.id;
    queue.retry(held, failed(1), Timestamp::now()).await.expect("a retry");
    queue.bury(lease(queue, "a", LONG).await, failed(2)).await.expect("an end");
    assert!(lease_now(queue, "a", LONG).await.is_none());
    let dead = Filter { dead_letters: true, ..Filter::default() };
    let letters = queue.list(&dead).await.expect("a list");
    assert_eq!((letters.len(), letters[0].id, letters[0].state), (1, id, State::Failed));
    assert!(queue.event(id).await.expect("an answer").is_some(), "its event is kept");

    queue.redrive(id).await.expect("queued again");
    assert!(queue.list(&dead).await.expect("a list").is_empty());
    let held = lease(queue, "a", LONG).await;
    assert_eq!((held.invocation.id, held.attempt, held.number), (id, 1, 3), "the budget starts anew");
    queue.complete(held, settled(1), Vec::new(), Vec::new()).await.expect("an end");
    let receipt = queue.receipt(id).await.expect("an answer").expect("a receipt");
    let numbers: Vec<u32> = receipt.attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!((receipt.state, numbers), (State::Succeeded, vec![1, 2, 3]), "the numbering goes on");
    let logs: Vec<u32> = queue.logs(id).await.expect("logs").into_iter().map(|(number, _)| number).collect();
    assert_eq!(logs, [1, 2, 3]);
}

/// And the others say what they are.
pub async fn only_a_dead_letter_is_redriven(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1")]).await;
    let id = lease(queue, "a", LONG).await.invocation.id;
    let error = queue.redrive(id).await.expect_err("it runs");
    assert!(matches!(error, QueueError::NotDead(of, State::Running) if of == id), "{error:?}");
    let nobody = InvocationId::random();
    let error = queue.redrive(nobody).await.expect_err("nobody");
    assert!(matches!(error, QueueError::Unknown(of) if of == nobody), "{error:?}");
    let call = call("a", State::Failed);
    queue.record(vec![(call.clone(), Default::default())]).await.expect("recorded");
    let error = queue.redrive(call.id).await.expect_err("a failed call is no dead letter");
    assert!(matches!(error, QueueError::NotDead(_, State::Failed)), "{error:?}");
}

/// Nobody gets it any more, its holder has lost it, and it can be redriven as any dead letter.
pub async fn what_waits_or_runs_is_cancelled_and_what_ended_is_not(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, vec![run("a", "1")]).await;
    let held = lease(queue, "a", LONG).await;
    let running = held.invocation.id;
    push(queue, vec![run("a", "2")]).await;
    let filter = Filter { state: Some(State::Queued), ..Filter::default() };
    let waiting = queue.list(&filter).await.expect("a list")[0].id;
    for id in [running, waiting] {
        queue.cancel(id, "by the admin").await.expect("cancelled");
        let receipt = queue.receipt(id).await.expect("an answer").expect("a receipt");
        let failure = receipt.attempts.last().and_then(|attempt| attempt.failure.clone());
        assert_eq!(receipt.state, State::Failed);
        assert_eq!(failure, Some(Failure::Cancelled { message: "by the admin".to_owned() }));
        assert_eq!(receipt.attempts.last().map(|attempt| attempt.number), Some(1));
        let twice = queue.cancel(id, "again").await.expect_err("it has ended");
        assert!(matches!(twice, QueueError::Ended(of) if of == id), "{twice:?}");
    }
    assert!(lease_now(queue, "a", LONG).await.is_none());
    let late = queue.complete(held, settled(1), vec![output("x")], vec![run("b", "1")]).await;
    assert!(matches!(late, Err(QueueError::Fenced(_))), "{late:?}");
    assert!(subject.published().await.is_empty());
    let depth = queue.depth(&service("a")).await.expect("a depth");
    assert_eq!((depth.queued, depth.running, depth.dead), (0, 0, 2));
    queue.redrive(running).await.expect("queued again");
    let held = lease(queue, "a", LONG).await;
    assert_eq!((held.invocation.id, held.attempt, held.number), (running, 1, 2));
    let nobody = InvocationId::random();
    let error = queue.cancel(nobody, "").await.expect_err("nobody");
    assert!(matches!(error, QueueError::Unknown(of) if of == nobody), "{error:?}");
}

/// Queued, running, or waiting in a join.
pub async fn an_abandoned_service_leaves_dead_letters_of_all_that_waited(subject: &impl Subject) {
    let queue = subject.queue();
    push(queue, (0..5).map(|n| run("a", &n.to_string())).collect()).await;
    push(queue, vec![run("b", "1"), super::join::part("a", "g", super::join::count(3), "p")]).await;
    let held = lease(queue, "a", LONG).await;
    assert_eq!(queue.abandon(&service("a"), "the service was removed").await.expect("gone"), 6);
    assert!(lease_now(queue, "a", LONG).await.is_none());
    let late = queue.complete(held, settled(1), Vec::new(), Vec::new()).await;
    assert!(matches!(late, Err(QueueError::Fenced(_))), "{late:?}");
    let filter = Filter { service: Some(service("a")), dead_letters: true, ..Filter::default() };
    let letters = queue.list(&filter).await.expect("a list");
    assert_eq!(letters.len(), 6);
    for letter in &letters {
        let failure = letter.attempts.last().and_then(|attempt| attempt.failure.clone());
        assert_eq!(failure, Some(Failure::Host { message: "the service was removed".to_owned() }));
    }
    let depth = queue.depth(&service("a")).await.expect("a depth");
    assert_eq!((depth.queued, depth.running, depth.dead, depth.waiting_parts), (0, 0, 6, 0));
    lease(queue, "b", LONG).await;
}
