//! An event as the bytes that a function reads: what came through the door, or the notification an S3 would send.

use bytes::Bytes;
use serde_json::{Value, json};
use wicket_core::{Data, Event, ObjectRef};

/// The body of an event: verbatim if it came as one, its inline data, or an S3-style notification of its objects.
pub fn body(event: &Event) -> Bytes {
    if let Some(verbatim) = &event.verbatim {
        return verbatim.clone();
    }
    match &event.data {
        Data::None => Bytes::new(),
        Data::Inline(bytes) => bytes.clone(),
        Data::Object(object) => text(&records(vec![record(event, object)])),
        Data::Parts(parts) => {
            let all = parts.iter().flat_map(|part| part.objects().into_iter().map(move |o| record(part, o)));
            text(&records(all.collect()))
        }
    }
}

/// The media type of [`body`].
pub fn content_type(event: &Event) -> Option<&str> {
    match (&event.data, &event.verbatim) {
        (Data::None | Data::Inline(_), _) => event.content_type.as_deref(),
        (Data::Object(_) | Data::Parts(_), _) => Some("application/json"),
    }
}

fn text(value: &Value) -> Bytes {
    value.to_string().into()
}

fn records(records: Vec<Value>) -> Value {
    let first = records.first();
    let name = |at: &str| first.and_then(|record| record.pointer(at)).and_then(Value::as_str).unwrap_or("");
    let key = format!("{}/{}", name("/s3/bucket/name"), name("/s3/object/key"));
    json!({ "EventName": "s3:ObjectCreated:Put", "Key": key, "Records": records })
}

fn record(event: &Event, object: &ObjectRef) -> Value {
    json!({
        "eventVersion": "2.1",
        "eventSource": "wicketgate:s3",
        "awsRegion": "",
        "eventTime": event.time.to_string(),
        "eventName": "s3:ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": { "name": object.bucket.as_str() },
            "object": {
                "key": object.key.as_str(),
                "size": object.size,
                "eTag": object.etag,
                "sequencer": event.id.0,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wicket_core::EventId;

    #[test]
    fn an_object_event_reads_like_an_s3_notification() {
        let object = ObjectRef {
            provider: wicket_config::ProviderId::default(),
            bucket: "photos".parse().unwrap(),
            key: "in/a cat.jpg".parse().unwrap(),
            size: Some(7),
            etag: None,
        };
        let event = Event::object_created(object, EventId("1".into()));
        let value: Value = serde_json::from_slice(&body(&event)).unwrap();
        assert_eq!(value["Key"], "photos/in/a cat.jpg");
        assert_eq!(value["Records"][0]["s3"]["object"]["key"], "in/a cat.jpg");
        assert_eq!(content_type(&event), Some("application/json"));
    }

    #[test]
    fn what_came_verbatim_goes_on_verbatim() {
        let mut event = Event::new("s", "k", EventId("1".into()));
        event.data = Data::Inline(Bytes::from_static(b"data"));
        assert_eq!(&body(&event)[..], b"data");
        event.verbatim = Some(Bytes::from_static(b"whole"));
        assert_eq!(&body(&event)[..], b"whole");
    }
}
