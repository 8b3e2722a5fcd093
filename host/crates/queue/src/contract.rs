//! What every queue must do, told as stories. A queue passes them all:
//!
//! ```text
//! wicket_queue::contract!(make);   // async fn make() -> impl Subject
//! ```

mod join;
mod keep;
mod lease;
mod push;
mod read;
mod settle;

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use wicket_config::ServiceName;
use wicket_core::{
    AttemptRecord, Delivery, Event, EventId, Failure, Invocation, Lease, Log, LogLine, LogStream, Pushed,
    Queue, Receipt, Settled, StagedObject, State, Timestamp, Trigger, Usage,
};

pub use join::*;
pub use keep::*;
pub use lease::*;
pub use push::*;
pub use read::*;
pub use settle::*;

/// A queue under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The queue, empty at first.
    fn queue(&self) -> &dyn Queue;
    /// The outputs that became visible.
    async fn published(&self) -> Vec<StagedObject>;
}

/// Makes a test of every story of the contract.
#[macro_export]
macro_rules! contract {
    ($make:path) => {
        $crate::contract! { @all $make,
            what_is_pushed_comes_in_the_order_it_fell_due
            an_id_is_queued_once_whatever_became_of_it
            an_event_comes_back_as_it_was_pushed
            nothing_of_one_service_goes_to_another
            who_waits_is_woken_by_a_push
            who_waits_is_woken_when_a_retry_falls_due
            an_earlier_retry_wakes_who_knew_of_a_later_one
            no_two_workers_get_the_same_invocation
            a_lease_that_runs_out_comes_back_as_the_next_attempt
            a_late_holder_changes_nothing
            an_extended_lease_stays
            a_released_lease_keeps_its_place_and_does_not_count
            a_postponed_lease_says_what_it_waits_for
            the_end_and_what_follows_are_one_step
            a_retry_waits_until_it_is_due_and_leaves_its_record
            a_dead_letter_is_kept_and_redriven_with_its_history
            only_a_dead_letter_is_redriven
            what_waits_or_runs_is_cancelled_and_what_ended_is_not
            an_abandoned_service_leaves_dead_letters_of_all_that_waited
            a_join_by_count_starts_one_invocation_on_all_parts
            a_part_counts_once
            a_late_part_begins_the_next_join
            a_join_by_window_waits_for_quiet
            a_join_by_both_takes_what_comes_first
            a_join_that_grows_too_large_is_complete
            follow_ups_complete_a_join
            what_waits_in_joins_can_be_queued_as_it_is
            calls_that_never_were_queued_have_receipts_too
            many_calls_at_once_are_read_like_any
            receipts_are_listed_newest_first_by_page_and_filter
            depths_follow_every_step
            what_is_old_is_forgotten_and_dead_letters_later
            the_oldest_logs_go_first
            the_oldest_receipts_go_first
            what_is_to_be_forgotten_goes_and_what_runs_stays
        }
    };
    (@all $make:path, $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::contract::$name(&$make().await).await;
            }
        )*
    };
}

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(600);
/// So short that a test waits for it.
const SHORT: Duration = Duration::from_millis(400);
/// When a test gives up waiting.
const DEADLINE: Duration = Duration::from_secs(30);

fn service(name: &str) -> ServiceName {
    name.parse().expect("a service name")
}

fn event(id: &str) -> Event {
    let mut event = Event::new("/contract", "dev.wicketgate.test", EventId(id.to_owned()));
    event.subject = Some(id.to_owned());
    event
}

fn run(of: &str, id: &str) -> Delivery {
    Delivery::Run(Invocation::of(&service(of), event(id)))
}

async fn push(queue: &dyn Queue, deliveries: Vec<Delivery>) -> Vec<Pushed> {
    queue.push(deliveries).await.expect("a push")
}

/// What can be leased now.
async fn lease_now(queue: &dyn Queue, of: &str, ttl: Duration) -> Option<Lease> {
    queue.lease(&service(of), ttl).await.expect("an answer")
}

/// The next lease, as a dispatcher comes by it.
async fn lease(queue: &dyn Queue, of: &str, ttl: Duration) -> Lease {
    let waited = async {
        loop {
            queue.ready(&service(of)).await;
            if let Some(lease) = lease_now(queue, of, ttl).await {
                return lease;
            }
        }
    };
    timeout(DEADLINE, waited).await.expect("a lease")
}

fn attempt(number: u32, failure: Option<Failure>) -> AttemptRecord {
    AttemptRecord {
        number,
        version: 1,
        executor: "test".to_owned(),
        started: Timestamp(1),
        queue_us: 2,
        usage: Usage { cpu_us: 3, ..Usage::default() },
        status: Some(0),
        failure,
        placement: None,
    }
}

fn log(text: &str) -> Log {
    let line = LogLine { time: Timestamp(1), stream: LogStream::Stdout, text: text.to_owned() };
    Log { lines: vec![line], dropped: 0 }
}

fn settled(number: u32) -> Settled {
    Settled { attempt: attempt(number, None), log: log(&format!("attempt {number}")) }
}

fn failed(number: u32) -> Settled {
    let failure = Failure::Function { message: "no".to_owned(), permanent: false };
    Settled { attempt: attempt(number, Some(failure)), log: log(&format!("attempt {number}")) }
}

/// As the HTTP trigger makes it: the call is its own event.
fn call(of: &str, state: State) -> Receipt {
    let id = wicket_core::InvocationId::random();
    let event = EventId(id.to_string());
    Receipt {
        id,
        service: service(of),
        trigger: Trigger::Run,
        origin: event.clone(),
        event,
        source: "/run".to_owned(),
        subject: None,
        state,
        accepted: Timestamp::now(),
        finished: Some(Timestamp::now()),
        due: None,
        waiting: None,
        attempts: vec![attempt(1, None)],
    }
}
