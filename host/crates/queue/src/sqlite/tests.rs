//! What SQLite makes of the queries that must stay fast with a million rows.

use rusqlite::Connection;
use wicket_config::ServiceName;
use wicket_core::{EventId, Filter, InvocationId, State};

use super::{PART, lease, packed, prune, read};

fn plan(query: &str) -> String {
    let conn = Connection::open_in_memory().unwrap();
    PART.migrations.iter().for_each(|migration| conn.execute_batch(migration).unwrap());
    let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
    let steps = plan.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>();
    steps.unwrap().join("\n")
}

#[track_caller]
fn uses(query: &str, index: &str) {
    let plan = plan(query);
    assert!(plan.contains(index), "{query}\n{plan}");
    assert!(!plan.contains("SCAN invocations") && !plan.contains("TEMP B-TREE"), "{query}\n{plan}");
}

#[test]
fn a_lease_and_the_next_due_time_are_steps_down_an_index() {
    uses(lease::OLDEST_QUEUED, "INDEX waiting (service=? AND due<?)");
    uses(lease::OLDEST_EXPIRED, "INDEX leased (service=? AND due<?)");
    for index in ["waiting", "leased", "closing"] {
        uses(lease::NEXT, &format!("INDEX {index} (service=?"));
    }
}

#[test]
fn pruning_finds_the_oldest_by_index() {
    // From its beginning, and only so far as is wanted.
    assert_eq!(plan(prune::ENDED), "SCAN invocations USING INDEX ended");
    uses(prune::BURIED, "INDEX buried (finished<?)");
    uses(prune::PARTS, "INDEX closed_joins (closed>? AND closed<?)");
    uses(prune::JOINS, "INDEX closed_joins (closed>? AND closed<?)");
}

#[test]
fn a_call_in_a_pack_is_found_by_index() {
    uses(&format!("SELECT seq FROM invocations {}", packed::AROUND), "INDEX packs (id>? AND id<?)");
}

#[test]
fn lists_are_read_in_their_order() {
    let service: Option<ServiceName> = Some("a".parse().unwrap());
    let origin = Some(EventId("1".to_owned()));
    let of = |filter: Filter| read::query(&filter);
    uses(&of(Filter { service: service.clone(), ..Filter::default() }), "INDEX by_service");
    uses(
        &of(Filter { service: service.clone(), state: Some(State::Queued), ..Filter::default() }),
        "INDEX by_service",
    );
    let letters = Filter { service: service.clone(), dead_letters: true, ..Filter::default() };
    uses(&of(letters), "INDEX dead (service=? AND rowid<?)");
    uses(&of(Filter { service, origin: origin.clone(), ..Filter::default() }), "INDEX by_origin");
    uses(
        &of(Filter { origin, before: Some(InvocationId::random()), ..Filter::default() }),
        "INDEX by_origin",
    );
}
