//! What the endpoint rests on: nothing half, nothing lost, nothing left over.

use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream as Body;
use bytes::Bytes;
use futures::StreamExt;
use wicket_buckets::{EndpointLimits, LocalBuckets, PART};
use wicket_core::ByteStream;
use wicket_store::{Publish, Store};

use crate::support::{Endpoint, Recorder, code, files, noise};

fn body(bytes: Vec<u8>) -> ByteStream {
    Box::pin(futures::stream::iter([Ok(Bytes::from(bytes))]))
}

async fn all(mut stream: ByteStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes
}

#[tokio::test]
async fn what_nobody_takes_is_not_stored() {
    let endpoint = Endpoint::start().await;
    endpoint.put("a", "before").await;
    endpoint.recorder.refuse(true);
    for size in [10, 300 << 10] {
        let put = endpoint.client.put_object().bucket("photos").key("a").body(Body::from(noise(size)));
        assert_eq!(code(put.send().await), "500 InternalError");
        endpoint.files_become(0).await;
    }
    endpoint.recorder.refuse(false);
    assert_eq!(endpoint.get("a").await, b"before");
    assert_eq!(endpoint.recorder.announced().len(), 1);
}

/// Who could guess the id of an upload's event could send an event of that id first, and the upload would start nothing.
#[tokio::test]
async fn nobody_can_guess_the_id_of_an_uploads_event() {
    let (one, other) = (Endpoint::start().await, Endpoint::start().await);
    for endpoint in [&one, &other] {
        endpoint.put("a", "the same in both").await;
        endpoint.put("b", "the same in both").await;
    }
    let [mine, theirs] = [&one, &other].map(|endpoint| {
        endpoint.recorder.events().iter().map(|event| event.id.to_string()).collect::<Vec<_>>()
    });
    assert_eq!(mine.len(), 2);
    assert!(mine.iter().zip(&theirs).all(|(mine, theirs)| mine != theirs), "{mine:?} {theirs:?}");
    // Still in the order in which they became visible.
    assert!(mine.is_sorted(), "{mine:?}");
}

#[tokio::test]
async fn a_reader_keeps_what_it_reads() {
    let endpoint = Endpoint::start().await;
    let (bucket, key) = ("photos".parse().unwrap(), "a".parse().unwrap());
    let first = noise(3 << 20);
    endpoint.put("a", first.clone()).await;
    let (_, mut reading) = endpoint.buckets.get(&bucket, &key, None).await.unwrap();
    let begun = reading.next().await.unwrap().unwrap();
    endpoint.put("a", noise(100 << 10)).await;
    endpoint.client.delete_object().bucket("photos").key("a").send().await.unwrap();
    endpoint.files_become(1).await;
    let rest = all(reading).await;
    assert_eq!([begun.to_vec(), rest].concat(), first);
    endpoint.files_become(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::disallowed_methods, reason = "the test waits for what it spawns")]
async fn readers_of_a_key_that_is_replaced_all_the_time_see_one_or_the_other() {
    let endpoint = Arc::new(Endpoint::start().await);
    let bodies = Arc::new([vec![1u8; 70 << 10], vec![2u8; 90 << 10]]);
    endpoint.put("a", bodies[0].clone()).await;
    let readers = (0..6).map(|_| {
        let (endpoint, bodies) = (endpoint.clone(), bodies.clone());
        tokio::spawn(async move {
            for _ in 0..300 {
                let (bucket, key) = ("photos".parse().unwrap(), "a".parse().unwrap());
                let (_, stream) = endpoint.buckets.get(&bucket, &key, None).await.unwrap();
                assert!(bodies.contains(&all(stream).await));
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    let (bucket, key) = ("photos".parse().unwrap(), "a".parse().unwrap());
    let mut n = 0;
    while readers.iter().any(|reader| !reader.is_finished()) {
        n += 1;
        let body = body(bodies[n % 2].clone());
        endpoint.buckets.put(&bucket, &key, wicket_buckets::ObjectMeta::default(), body).await.unwrap();
    }
    assert!(n > 5, "{n}");
    for reader in readers {
        reader.await.unwrap();
    }
    endpoint.files_become(1).await;
}

#[tokio::test]
async fn staged_outputs_appear_together_or_never() {
    let endpoint = Endpoint::start().await;
    let (bucket, buckets) = ("results".parse().unwrap(), endpoint.buckets.clone());
    let mut staged = Vec::new();
    for (key, size) in [("small", 10), ("large", 200 << 10)] {
        let key = key.parse().unwrap();
        let kind = Some("image/png".to_owned());
        staged.push(buckets.stage(&bucket, &key, kind, body(noise(size)), 1 << 20).await.unwrap());
    }
    assert!(
        buckets.stage(&bucket, &"x".parse().unwrap(), None, body(noise(200 << 10)), 100 << 10).await.is_err()
    );
    endpoint.files_become(1).await;
    assert!(buckets.exists(&bucket).await.is_err());
    let (publisher, outputs) = (buckets.clone(), staged.clone());
    let refused = endpoint.store.write::<(), _>(move |tx| {
        publisher.publish(tx, &outputs)?;
        Err(wicket_store::StoreError::refused("the lease is somebody else's"))
    });
    assert!(refused.await.is_err());
    assert!(buckets.exists(&bucket).await.is_err());
    let (publisher, outputs) = (buckets.clone(), staged.clone());
    endpoint.store.write(move |tx| publisher.publish(tx, &outputs)).await.unwrap();
    for (key, size) in [("small", 10), ("large", 200 << 10)] {
        let (info, stream) = buckets.get(&bucket, &key.parse().unwrap(), None).await.unwrap();
        assert_eq!((info.meta.content_type.as_deref(), all(stream).await), (Some("image/png"), noise(size)));
    }
    let late = buckets
        .stage(&bucket, &"late".parse().unwrap(), None, body(noise(200 << 10)), 1 << 20)
        .await
        .unwrap();
    assert_eq!(endpoint.files(), 2);
    buckets.discard(vec![late]);
    endpoint.files_become(1).await;
}

#[tokio::test]
async fn a_start_finds_everything_and_clears_what_nobody_names() {
    let endpoint = Endpoint::start().await;
    endpoint.put("small", "x").await;
    endpoint.put("large", noise(200 << 10)).await;
    let upload = endpoint.client.create_multipart_upload().bucket("photos").key("m").send().await.unwrap();
    let id = upload.upload_id.unwrap();
    for (key, id) in [
        ("m", id.clone()),
        ("old", {
            let old =
                endpoint.client.create_multipart_upload().bucket("photos").key("old").send().await.unwrap();
            old.upload_id.unwrap()
        }),
    ] {
        let part = endpoint.client.upload_part().bucket("photos").key(key).upload_id(id).part_number(1);
        part.body(Body::from(noise(10))).send().await.unwrap();
    }
    endpoint
        .store
        .write(|tx| Ok(tx.execute("UPDATE uploads SET created = 0 WHERE key = ?", [b"old"])?))
        .await
        .unwrap();
    // An output of an attempt that never ended, as a crash leaves it.
    let key = "x".parse().unwrap();
    let buckets = endpoint.buckets.clone();
    buckets.stage(&"results".parse().unwrap(), &key, None, body(noise(200 << 10)), 1 << 20).await.unwrap();
    drop(buckets);
    let folder = endpoint.end().await;
    std::fs::write(folder.path().join("objects/00/readme.txt"), "not ours").unwrap();
    assert_eq!(files(folder.path()), 5);

    let endpoint = Endpoint::on(folder, EndpointLimits::default()).await;
    endpoint.files_become(3).await;
    assert_eq!(endpoint.get("large").await, noise(200 << 10));
    assert_eq!(endpoint.get("small").await, b"x");
    let parts = endpoint.client.list_parts().bucket("photos").key("m").upload_id(id).send().await.unwrap();
    assert_eq!(parts.parts().len(), 1);
    let uploads = endpoint.client.list_multipart_uploads().bucket("photos").send().await.unwrap();
    assert_eq!(uploads.uploads().len(), 1);
    assert!(endpoint.folder.path().join("objects/00/readme.txt").exists());
}

#[tokio::test]
async fn a_closed_store_refuses_and_stores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("wicket.db"), &[PART]).unwrap();
    let recorder = Arc::new(Recorder::default());
    let buckets =
        LocalBuckets::open(store.clone(), &folder.path().join("objects"), recorder.clone()).await.unwrap();
    let (bucket, key) = ("photos".parse().unwrap(), "a".parse().unwrap());
    buckets.create(&bucket).await.unwrap();
    store.close().await;
    let put = buckets.put(&bucket, &key, wicket_buckets::ObjectMeta::default(), body(noise(200 << 10))).await;
    assert!(put.is_err());
    crate::support::wait("the file goes", || files(folder.path()) == 0).await;
    assert!(recorder.announced().is_empty());
}

#[tokio::test]
async fn a_full_disk_stores_nothing_says_so_and_goes_on_when_there_is_space() {
    let endpoint = Endpoint::start().await;
    let most = |pages: i64| {
        let store = &endpoint.store;
        store.write(move |tx| Ok(tx.pragma_update(None, "max_page_count", pages).map(drop)?))
    };
    most(60).await.unwrap();
    let mut stored = Vec::new();
    for n in 0..20 {
        let put = endpoint.client.put_object().bucket("photos").key(format!("k{n}"));
        match put.body(Body::from(noise(60_000))).send().await {
            Ok(_) => stored.push(format!("photos/k{n}")),
            refused => assert_eq!(code(refused), "507 InsufficientStorage"),
        }
    }
    assert!(!stored.is_empty() && stored.len() < 20);
    assert_eq!(endpoint.recorder.announced(), stored);
    most(1 << 20).await.unwrap();
    endpoint.put("again", noise(60_000)).await;
}
