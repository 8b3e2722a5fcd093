use http::HeaderName;
use serde_json::{Value, json};

use super::*;

fn whole() -> Value {
    json!({
        "specversion": "1.0", "id": "A-1", "source": "/sensors/7", "type": "org.example.reading",
        "subject": "hall", "time": "2026-11-24T12:00:00Z", "datacontenttype": "application/json",
        "traceparent": "00-1", "count": 3, "ok": true, "nothing": null, "data": {"t": 21.50},
    })
}

fn read(value: &Value) -> Result<Event, ApiError> {
    structured(value.to_string().as_bytes())
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter().map(|(name, value)| (HeaderName::try_from(*name).unwrap(), value.parse().unwrap())).collect()
}

#[track_caller]
fn problems(result: Result<Event, ApiError>, expected: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.detail().message.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_structured_event_keeps_all_it_says() {
    let event = read(&whole()).unwrap();
    assert_eq!(
        (event.id.0.as_str(), event.source.as_str(), event.kind.as_str()),
        ("A-1", "/sensors/7", "org.example.reading")
    );
    assert_eq!(
        (event.subject.as_deref(), event.time.to_string().as_str()),
        (Some("hall"), "2026-11-24T12:00:00Z")
    );
    let extensions: Vec<_> =
        event.extensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(extensions, [("count", "3"), ("ok", "true"), ("traceparent", "00-1")]);
    assert_eq!((event.hops, event.origin.0.as_str()), (0, "A-1"));
}

#[test]
fn data_arrives_as_it_was_sent() {
    let data = |more: &str| {
        let body = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{more}}}"#);
        let event = structured(body.as_bytes()).unwrap();
        (event.content_type, event.data)
    };
    let inline = |text: &'static str| Data::Inline(Bytes::from_static(text.as_bytes()));
    let json = Some("application/json".to_owned());
    assert_eq!(data(""), (None, Data::None));
    assert_eq!(data(r#","data":{"t": 1.50}"#), (json.clone(), inline(r#"{"t": 1.50}"#)));
    assert_eq!(data(r#","data":"text""#), (json, inline(r#""text""#)));
    let plain = Some("text/plain".to_owned());
    assert_eq!(data(r#","datacontenttype":"text/plain","data":"text""#), (plain.clone(), inline("text")));
    assert_eq!(data(r#","datacontenttype":"text/plain","data_base64":"aGk=""#), (plain, inline("hi")));
}

#[test]
fn everything_wrong_is_told_at_once() {
    problems(
        read(
            &json!({"specversion": "0.3", "source": "", "type": 1.5, "time": "noon", "Bad-Name": "x", "subject": "",
            "data": 1, "data_base64": "!"}),
        ),
        &[
            "Bad-Name: a name of an attribute is 1 to 32 of a-z and 0-9",
            "type: an attribute is a string, a boolean or an integer",
            "data_base64: there is `data` too, and an event has one of them",
            "specversion: this is \"1.0\", not \"0.3\"",
            "id: it is missing",
            "source: it is empty",
            "type: it is missing",
            "subject: it is empty",
            "time: `noon` is not an RFC 3339 time",
        ],
    );
    problems(structured(b"5"), &[": an event is a JSON object"]);
    let mut bad = whole();
    bad["source"] = "not a uri".into();
    bad["id"] = "i".repeat(5000).into();
    problems(
        read(&bad),
        &["id: it is longer than 4096 bytes", "id: it is missing", "source: this is no URI reference"],
    );
    structured(b"{").unwrap_err();
    structured(&[0xff; 10]).unwrap_err();
    structured("[".repeat(100_000).as_bytes()).unwrap_err();
}

#[test]
fn a_batch_is_all_or_nothing() {
    let events = batch(json!([whole(), whole()]).to_string().as_bytes()).unwrap();
    assert_eq!(events.len(), 2);
    assert!(batch(b"[]").unwrap().is_empty());
    let mut bad = whole();
    bad["id"] = "".into();
    let error = batch(json!([whole(), bad, 7]).to_string().as_bytes()).unwrap_err();
    assert_eq!(error.detail().message, "[1].id: it is empty\n[2]: an event is a JSON object");
    let error = batch(json!(vec![7; MAX_BATCH]).to_string().as_bytes()).unwrap_err();
    assert_eq!(error.detail().message.lines().count(), MAX_PROBLEMS);
    assert_eq!(
        batch(json!(vec![7; MAX_BATCH + 1]).to_string().as_bytes()).unwrap_err().status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[test]
fn a_binary_event_is_in_its_headers() {
    let told = headers(&[
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("ce-subject", "caf%C3%A9"),
        ("ce-trace", "x"),
        ("content-type", "image/png"),
        ("host", "h"),
    ]);
    let event = binary(&told, Bytes::from_static(b"\x89PNG")).unwrap();
    assert_eq!((event.subject.as_deref(), event.content_type.as_deref()), (Some("café"), Some("image/png")));
    assert_eq!(event.data, Data::Inline(Bytes::from_static(b"\x89PNG")));
    assert_eq!(event.extensions["trace"], "x");
    let doubled =
        headers(&[("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-id", "2"), ("ce-datacontenttype", "x")]);
    problems(
        binary(&doubled, Bytes::new()),
        &[
            "ce-id: it is doubled, or no text",
            "ce-datacontenttype: in binary mode this is the header content-type",
            "ce-id: it is missing",
            "ce-source: it is missing",
            "ce-type: it is missing",
        ],
    );
}

#[test]
fn the_headers_tell_the_mode() {
    let of = |list: &[(&str, &str)]| mode(&headers(list));
    assert_eq!(
        of(&[("content-type", "Application/CloudEvents+JSON; charset=utf-8")]).unwrap(),
        Some(Mode::Structured)
    );
    assert_eq!(of(&[("content-type", "application/cloudevents-batch+json")]).unwrap(), Some(Mode::Batch));
    assert_eq!(
        of(&[("content-type", "application/json"), ("ce-specversion", "1.0")]).unwrap(),
        Some(Mode::Binary)
    );
    assert_eq!(of(&[("content-type", "application/json")]).unwrap(), None);
    assert_eq!(of(&[]).unwrap(), None);
    let error = of(&[("content-type", "application/cloudevents+avro")]).unwrap_err();
    assert_eq!(error.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
