use serde_json::{Value, json};

use super::*;

fn told(body: &Value) -> Vec<Created> {
    read(&Bytes::from(body.to_string())).unwrap().expect("a notification")
}

#[track_caller]
fn check(body: &Value, expected: &[(&str, &str)]) {
    let told = told(body);
    let places: Vec<_> = told.iter().map(|one| (one.bucket.as_str(), one.key.as_str())).collect();
    assert_eq!(places, expected, "{body}");
}

fn minio(name: &str, key: &str, outer: &str) -> Value {
    json!({"EventName": name, "Key": outer, "Records": [{
        "eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": "", "eventTime": "2026-11-24T12:00:00.5Z",
        "eventName": name, "userIdentity": {"principalId": "u"},
        "requestParameters": {"principalId": "u", "region": "", "sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "1"},
        "s3": {"s3SchemaVersion": "1.0", "configurationId": "Config",
            "bucket": {"name": "photos", "ownerIdentity": {"principalId": "u"}, "arn": "arn:aws:s3:::photos"},
            "object": {"key": key, "size": 7, "eTag": "abc", "contentType": "image/jpeg", "sequencer": "15D4"}},
        "source": {"host": "", "port": "", "userAgent": "x"}}]})
}

fn record(source: &str, name: Option<&str>, key: &str) -> Value {
    let mut record =
        json!({"eventSource": source, "s3": {"bucket": {"name": "photos"}, "object": {"key": key}}});
    if let Some(name) = name {
        record["eventName"] = name.into();
    }
    record
}

#[test]
fn every_sender_is_understood() {
    check(
        &minio("s3:ObjectCreated:Put", "in%2Fa+cat.jpg", "photos/in/a cat.jpg"),
        &[("photos", "in/a cat.jpg")],
    );
    check(&minio("s3:ObjectRemoved:Delete", "in%2Fa.jpg", "photos/in/a.jpg"), &[]);
    check(&minio("s3:ObjectCreated:Put", "in%2F", "photos/in/"), &[]);
    let one = |source, name, key| json!({"Records": [record(source, name, key)]});
    check(
        &one("aws:s3", Some("ObjectCreated:CompleteMultipartUpload"), "in/a+b.jpg"),
        &[("photos", "in/a b.jpg")],
    );
    check(&one("aws:s3", None, "in/a.jpg"), &[("photos", "in/a.jpg")]);
    check(&one("ceph:s3", Some("ObjectCreated:Put"), "in/a+b%20.jpg"), &[("photos", "in/a+b%20.jpg")]);
    check(&one("aws:s3", Some("ObjectCreatedTwice"), "a"), &[]);
    check(&one("aws:s3", Some("s3:TestEvent"), "a"), &[]);
    check(&json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"}), &[]);
    let several = json!({"Records": [
        record("aws:s3", Some("s3:ObjectCreated:Put"), "a"),
        record("aws:s3", Some("s3:ObjectRemoved:Delete"), "b"),
        record("aws:s3", Some("s3:ObjectCreated:Copy"), "c%2Fd"),
    ]});
    check(&several, &[("photos", "a"), ("photos", "c/d")]);
}

#[test]
fn what_is_told_goes_into_the_event() {
    let body = minio("s3:ObjectCreated:Put", "in%2Fa.jpg", "photos/in/a.jpg");
    let event = told(&body)[0].event(&ProviderId("minio.other".into()));
    assert_eq!(event.source, "/minio.other/photos");
    assert_eq!(event.subject.as_deref(), Some("in/a.jpg"));
    assert_eq!(event.time.to_string(), "2026-11-24T12:00:00.5Z");
    let object = event.object().unwrap();
    assert_eq!((object.size, object.etag.as_deref()), (Some(7), Some("abc")));
    assert_eq!(event.verbatim.as_deref(), Some(body.to_string().as_bytes()));
}

#[test]
fn a_creation_told_twice_is_one_event_and_two_creations_are_two() {
    let id = |body: &Value| told(body)[0].event(&ProviderId::default()).id;
    let body = minio("s3:ObjectCreated:Put", "in%2Fa.jpg", "photos/in/a.jpg");
    assert_eq!(id(&body), id(&body));
    let mut again = body.clone();
    again["Records"][0]["s3"]["object"]["sequencer"] = "15D5".into();
    assert_ne!(id(&body), id(&again));
    let bare = json!({"Records": [record("aws:s3", None, "a")]});
    assert_ne!(id(&bare), id(&bare), "nothing tells them apart, and none may be lost");
}

#[test]
fn of_several_records_each_event_keeps_its_own() {
    let body = json!({"Records": [record("aws:s3", None, "a"), record("aws:s3", None, "b")]});
    let told = told(&body);
    let kept: Value = serde_json::from_slice(&told[1].verbatim).unwrap();
    assert_eq!(kept, json!({"Records": [record("aws:s3", None, "b")]}));
}

#[test]
fn other_bodies_are_no_notifications() {
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "1",
        "hello",
        "{\"Records\":[]}",
        "{\"Records\":5}",
        "{\"Records\":[5]}",
        "{\"Records\":[{\"eventSource\":\"aws:sqs\",\"body\":\"x\"}]}",
        "{\"Records\":[{\"s3\":null}]}",
        "{\"Records\":[{\"eventSource\":\"OneTrigger\",\"objectKey\":\"f\"}]}",
        "{\"Event\":\"other\"}",
        "\u{0}",
    ] {
        assert_eq!(read(&Bytes::from(body)), Ok(None), "{body}");
    }
}

#[test]
fn a_broken_notification_says_everything_that_is_wrong() {
    let body = json!({"Records": [
        record("aws:s3", None, ""),
        {"eventSource": "aws:s3"},
        record("aws:s3", None, "fine"),
        {"s3": {"bucket": {"name": "NO"}, "object": {"key": "k"}}},
        {"s3": {"bucket": {"name": "photos"}, "object": {"key": "a%00b"}}},
    ]});
    let error = read(&Bytes::from(body.to_string())).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 4, "{error}");
    assert!(lines[0].starts_with("Records[0]: an object key has 1 to 1024 bytes"), "{error}");
    assert!(lines[1].starts_with("Records[1]: missing field `s3`"), "{error}");
    assert!(lines[2].starts_with("Records[3]: a bucket name has 3 to 63 bytes"), "{error}");
    assert!(lines[3].contains("control characters"), "{error}");
    let many = json!({"Records": vec![record("aws:s3", None, "k"); MAX_RECORDS + 1]});
    assert!(read(&Bytes::from(many.to_string())).is_err());
    let all_bad = json!({"Records": vec![record("aws:s3", None, ""); MAX_RECORDS]});
    let error = read(&Bytes::from(all_bad.to_string())).unwrap_err().to_string();
    assert_eq!(error.lines().count(), MAX_PROBLEMS);
}

#[test]
fn no_body_breaks_the_reader() {
    // Every text that differs from a good one in one place.
    let good =
        minio("s3:ObjectCreated:Put", "in%2Fa+%C3%A9.jpg", "photos/in/a é.jpg").to_string().into_bytes();
    for idx in 0..good.len() {
        for byte in [b'"', b'{', b'}', b'[', b'%', b'\\', 0, 0xff, b'9'] {
            let mut bad = good.clone();
            bad[idx] = byte;
            let _read = read(&Bytes::from(bad));
        }
        let _read = read(&Bytes::from(good[..idx].to_vec()));
    }
    let deep = format!("{{\"Records\":[{}", "[".repeat(100_000));
    assert_eq!(read(&Bytes::from(deep)), Ok(None));
}
