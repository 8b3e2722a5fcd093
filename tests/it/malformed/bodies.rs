//! Bodies of the API: JSON, CloudEvents, notifications of S3-like senders.

use http::Method;
use proptest::prelude::*;
use proptest::sample::select;

use super::Target;
use super::garble::{each, garbled};

/// Words that mean something somewhere.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-0",
    "1e400",
    "18446744073709551616",
    "{}",
    "[]",
    "\"\"",
    "\u{0}",
    "é",
    "%00",
    "%2F..%2F",
    "%",
    "../",
    "specversion",
    "1.0",
    "id",
    "data_base64",
    "====",
    "Records",
    "s3",
    "ObjectCreated",
    "key",
    "bucket",
    "2026-99-99T99:99:99Z",
];

/// Bodies that are understood.
fn seeds() -> Vec<Vec<u8>> {
    let cloud = serde_json::json!({
        "specversion": "1.0", "id": "a-1", "source": "https://example.org/x", "type": "org.example.photo", "subject": "front-door",
        "time": "2026-11-24T12:00:00Z", "datacontenttype": "application/json", "dataschema": "https://example.org/s", "more": "x",
        "data": { "a": [1, 2.5, null, "x"] },
    });
    let base64 = serde_json::json!({ "specversion": "1.0", "id": "b", "source": "/x", "type": "t", "data_base64": "aGVsbG8=" });
    let record = serde_json::json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventTime": "2026-11-24T12:00:00.000Z",
        "eventName": "ObjectCreated:Put", "s3": { "s3SchemaVersion": "1.0", "configurationId": "c",
            "bucket": { "name": "photos", "arn": "arn:aws:s3:::photos" },
            "object": { "key": "in/a+b%2Fc.txt", "size": 10, "eTag": "e", "versionId": "v", "sequencer": "0055" } },
    });
    let minio = serde_json::json!({ "EventName": "s3:ObjectCreated:Put", "Key": "photos/in/a.txt", "Records": [record] });
    let bodies = [
        cloud.clone(),
        base64.clone(),
        serde_json::json!([cloud, base64]),
        serde_json::json!({ "Records": [record, record] }),
        minio,
        serde_json::json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos" }),
        serde_json::json!({ "bucket": "photos", "key": "in/a.txt", "storage_provider": "minio.default" }),
        serde_json::json!({ "invocation": "6f1ed002ab5595859014ebf0951522d9" }),
        serde_json::json!({ "version": 1 }),
        serde_json::json!({ "bucket_name": "photos", "visibility": "private", "allowed_users": [] }),
    ];
    bodies.iter().map(|body| body.to_string().into()).collect()
}

/// A host with something that listens to all of it.
fn start() -> Target {
    let target = Target::start();
    target.host.apply(
        "\
- node:
    name: listener
    wasm: {guest:exit}
    args: ['0']
    input: [{ path: photos/in }]
    events: [{ type: 'org.*' }, { source: '/x' }]",
    );
    target
}

const ROUTES: [(Method, &str); 7] = [
    (Method::POST, "/events"),
    (Method::POST, "/events?storage_provider=minio.default"),
    (Method::POST, "/job/listener"),
    (Method::POST, "/system/explain"),
    (Method::POST, "/system/services/listener/rollback"),
    (Method::POST, "/system/buckets"),
    (Method::PUT, "/system/buckets"),
];

const KINDS: [&str; 7] = [
    "application/json",
    "application/cloudevents+json",
    "application/cloudevents+json; charset=utf-8",
    "application/cloudevents-batch+json",
    "application/cloudevents+avro",
    "text/plain",
    "application/x-www-form-urlencoded",
];

#[test]
fn a_garbled_body_is_refused_or_understood() {
    let target = start();
    let cases = (select(ROUTES.to_vec()), select(KINDS.to_vec()), garbled(seeds(), WORDS));
    each(1200, cases, |((method, path), kind, body)| {
        target.admin(method, path, &[("content-type", kind)], &body);
    });
    // What was understood is in the queue, and nothing of it is torn.
    let listed = target.admin(Method::GET, "/system/invocations?limit=20", &[], b"");
    assert!(listed.json().is_array());
    target.unharmed();
}

#[test]
fn garbled_headers_of_a_binary_event_are_refused_or_understood() {
    let target = start();
    let value = prop_oneof![
        select(vec![
            "1.0",
            "0.3",
            "org.example.photo",
            "/x",
            "2026-11-24T12:00:00Z",
            "%00",
            "%",
            "%e2%82%ac",
            "%ff",
            "\"a\"",
            "",
            " ",
            "a\tb"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8], 0..40),
    ];
    let name = select(vec![
        "ce-specversion",
        "ce-id",
        "ce-source",
        "ce-type",
        "ce-subject",
        "ce-time",
        "ce-dataschema",
        "ce-more",
        "ce-",
        "ce-A_b",
        "ce-data",
        "ce-specversion-x",
        "content-type",
        "idempotency-key",
        "accept",
        "expect",
        "x-forwarded-for",
    ]);
    let whole =
        [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/x"), ("ce-type", "org.example.photo")];
    let cases = (
        prop::collection::vec((name, value), 0..6),
        any::<bool>(),
        select(vec!["/events", "/job/listener", "/run/listener"]),
    );
    let authorization = target.host.admin_header();
    each(400, cases, |(headers, complete, path)| {
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: {authorization}\r\nconnection: close\r\n"
        )
        .into_bytes();
        for (name, value) in whole.iter().filter(|_| complete) {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        for (name, value) in &headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"content-length: 4\r\n\r\nbody");
        let said = target.runtime.block_on(target.host.exchange(&bytes));
        let status = said.rsplit_once("HTTP/1.1 ").map_or("", |(_, rest)| &rest[..3]);
        assert!(
            ["2", "4"].contains(&&status[..1]) || status == "502",
            "{said} to {}",
            String::from_utf8_lossy(&bytes)
        );
    });
    target.unharmed();
}
