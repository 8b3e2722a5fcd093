//! Buckets of any S3 outside: this host's own endpoint is one.

use futures::StreamExt;
use wicket_buckets::OutsideS3;
use wicket_config::{ProviderId, StorageProvider};
use wicket_core::{ObjectError, ObjectRef};

use crate::support::{ACCESS, Endpoint, SECRET, noise};

fn provider(endpoint: &Endpoint, secret: &str) -> StorageProvider {
    StorageProvider {
        endpoint: Some(format!("http://{}", endpoint.address)),
        access_key: ACCESS.to_owned(),
        secret_key: secret.to_owned(),
        region: String::new(),
    }
}

fn object(key: &str) -> ObjectRef {
    let provider = ProviderId::default();
    ObjectRef {
        provider,
        bucket: "photos".parse().unwrap(),
        key: key.parse().unwrap(),
        size: None,
        etag: None,
    }
}

#[tokio::test]
async fn objects_go_out_and_come_back_small_and_in_parts() {
    let endpoint = Endpoint::start().await;
    let outside = OutsideS3::new(&provider(&endpoint, SECRET));
    let file = endpoint.folder.path().join("file");
    for (key, size) in [("empty", 0), ("small ü+", 1000), ("parts", (33 << 20) + 5)] {
        std::fs::write(&file, noise(size)).unwrap();
        outside.put_file(&object(key), Some("image/png"), &file).await.unwrap();
        let mut opened = outside.open(&object(key)).await.unwrap();
        assert_eq!((opened.size, opened.content_type.as_deref()), (size as u64, Some("image/png")));
        let mut bytes = Vec::new();
        while let Some(piece) = opened.body.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        assert!(bytes == noise(size), "{key}");
        let head = endpoint.client.head_object().bucket("photos").key(key).send().await.unwrap();
        assert_eq!(head.content_type(), Some("image/png"));
    }
    assert_eq!(endpoint.recorder.announced(), ["photos/empty", "photos/small ü+", "photos/parts"]);
}

#[tokio::test]
async fn what_fails_outside_is_told_without_the_secret() {
    let endpoint = Endpoint::start().await;
    let outside = OutsideS3::new(&provider(&endpoint, SECRET));
    let missing = outside.open(&object("none")).await.err().unwrap();
    assert!(matches!(missing, ObjectError::Missing { .. }), "{missing:?}");
    let wrong = OutsideS3::new(&provider(&endpoint, "a-wrong-secret"));
    let refused = wrong.open(&object("none")).await.err().unwrap();
    let text = format!("{refused:?} {wrong:?}");
    assert!(text.contains("SignatureDoesNotMatch"), "{text}");
    assert!(!text.contains("a-wrong-secret"), "{text}");
    let file = endpoint.folder.path().join("file");
    std::fs::write(&file, noise(20 << 20)).unwrap();
    let mut nowhere = object("a");
    nowhere.bucket = "nobucket".parse().unwrap();
    let missing = outside.open(&nowhere).await.err().unwrap();
    assert!(matches!(missing, ObjectError::Missing { .. }), "{missing:?}");
    let missing = outside.put_file(&nowhere, None, &file).await.unwrap_err();
    assert!(matches!(missing, ObjectError::Missing { .. }), "{missing:?}");
    assert!(outside.put_file(&object("a"), None, &endpoint.folder.path().join("no-file")).await.is_err());
    let uploads = endpoint.client.list_multipart_uploads().bucket("photos").send().await.unwrap();
    assert!(uploads.uploads().is_empty());
}
