use super::*;
use crate::EventId;

fn service(name: &str, input: &str, output: &str) -> Arc<Service> {
    let split = |path: &str| {
        let (bucket, folder) = path.split_once('/').unwrap_or((path, ""));
        serde_json::json!({ "bucket": bucket, "folder": folder })
    };
    let list = |path: &str| {
        if path.is_empty() { vec![] } else { vec![split(path)] }
    };
    let text = serde_json::json!({
        "name": name, "wasm": "0".repeat(64), "input": list(input), "output": list(output),
    });
    Arc::new(serde_json::from_value(text).unwrap())
}

fn with(service: Arc<Service>, change: impl FnOnce(&mut Service)) -> Arc<Service> {
    let mut service = Arc::unwrap_or_clone(service);
    change(&mut service);
    Arc::new(service)
}

fn created(bucket: &str, key: &str) -> Event {
    let object = ObjectRef {
        provider: ProviderId::default(),
        bucket: bucket.parse().unwrap(),
        key: key.parse().unwrap(),
        size: None,
        etag: None,
    };
    Event::object_created(object, EventId("1".into()))
}

#[track_caller]
fn check(services: &[Arc<Service>], event: &Event, expected: &[&str]) {
    let router = Router::compile(services.to_vec());
    let name = |delivery: &Delivery| match delivery {
        Delivery::Run(invocation) => invocation.service.to_string(),
        Delivery::Part(part) => format!("{}@{}", part.service, part.group),
    };
    let started: Vec<String> = router.route(event).iter().map(name).collect();
    assert_eq!(started, expected);
    let explained: Vec<String> =
        router.explain(event).into_iter().filter(|e| e.matches).map(|e| e.service.to_string()).collect();
    let plain: Vec<&str> = expected.iter().map(|name| name.split('@').next().unwrap()).collect();
    assert_eq!(explained, plain, "explain tells what route does");
}

#[test]
fn an_object_starts_the_services_of_its_folder() {
    let services =
        [service("all", "photos", ""), service("in", "photos/in", ""), service("other", "music", "")];
    check(&services, &created("photos", "in/a.jpg"), &["all", "in"]);
    check(&services, &created("photos", "inner/a.jpg"), &["all"]);
    check(&services, &created("photos", "in"), &["all"]);
    check(&services, &created("photos", "in/"), &[]);
    check(&services, &created("photos", "in/../x"), &["all", "in"]);
}

#[test]
fn prefix_and_suffix_each_are_a_choice_and_both_must_hold() {
    let filtered = with(service("s", "photos/in", ""), |s| {
        s.input[0].prefix = vec!["a".into(), "b".into()];
        s.input[0].suffix = vec![".jpg".into(), ".png".into()];
    });
    check(std::slice::from_ref(&filtered), &created("photos", "in/b.png"), &["s"]);
    check(std::slice::from_ref(&filtered), &created("photos", "in/c.png"), &[]);
    check(std::slice::from_ref(&filtered), &created("photos", "in/a.gif"), &[]);
    let why = Router::compile(vec![filtered]).explain(&created("photos", "in/a.gif"));
    assert_eq!(why[0].reasons, ["minio.default/photos/in: `a.gif` ends with none of [\".jpg\", \".png\"]"]);
}

#[test]
fn a_join_gets_parts_of_its_folder() {
    let joined = with(service("sheet", "photos/thumbs", ""), |s| {
        s.join = Some(wicket_config::Join { by: JoinBy::Folder, count: Some(2), window: None });
    });
    check(&[joined], &created("photos", "thumbs/trip/a.jpg"), &["sheet@photos/thumbs/trip"]);
}

#[test]
fn a_filter_takes_events_by_their_attributes() {
    let filter =
        EventFilter { kind: Some("org.example.*".into()), source: Some("/camera".into()), subject: None };
    let listener = with(service("alarm", "", ""), |s| s.events = vec![filter]);
    let event = |source: &str| Event::new(source, "org.example.seen", EventId("1".into()));
    check(std::slice::from_ref(&listener), &event("/camera"), &["alarm"]);
    check(&[listener], &event("/camera/2"), &[]);
}

#[test]
fn an_event_that_has_gone_too_far_starts_nothing_and_says_so() {
    let mut event = created("photos", "in/a");
    event.hops = MAX_HOPS + 1;
    check(&[service("s", "photos/in", "")], &event, &[]);
    let why = Router::compile(vec![service("s", "photos/in", "")]).explain(&event);
    assert!(why[0].reasons[0].contains("loop"), "{why:?}");
}

#[test]
fn a_circle_is_found_when_it_is_made() {
    let names = |cycle: Option<Cycle>| cycle.map(|c| c.to_string().split(": ").nth(1).unwrap().to_owned());
    let straight = [service("a", "bkt/in", "bkt/mid"), service("b", "bkt/mid", "bkt/out")];
    assert_eq!(find_cycle(&straight), None);
    let own = [service("a", "bkt/in", "bkt/in/deep")];
    assert_eq!(names(find_cycle(&own)).as_deref(), Some("a → a"));
    let whole = [service("a", "bkt", "bkt/out")];
    assert_eq!(names(find_cycle(&whole)).as_deref(), Some("a → a"));
    let two = [service("a", "one/in", "two/in"), service("b", "two/in", "one")];
    assert_eq!(names(find_cycle(&two)).as_deref(), Some("a → b → a"));
    let apart = [with(service("a", "one/in", "one/in"), |s| {
        s.input[0].suffix = vec![".mp4".into()];
        s.output[0].suffix = vec![".jpg".into()];
    })];
    assert_eq!(find_cycle(&apart), None);
}
