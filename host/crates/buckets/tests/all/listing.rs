//! Listings, page by page.

use crate::raw::Raw;
use crate::support::{Endpoint, code};

async fn filled(keys: &[&str]) -> Endpoint {
    let endpoint = Endpoint::start().await;
    for key in keys {
        endpoint.put(key, "x").await;
    }
    endpoint
}

const KEYS: [&str; 9] = ["a/1", "a/2", "a/b/3", "b/1", "c", "c/", "c/d", "d", "é/ü"];

/// All pages of version 2: keys and common prefixes as they are told.
async fn pages(
    endpoint: &Endpoint,
    prefix: &str,
    delimiter: &str,
    size: i32,
) -> (Vec<String>, Vec<String>, u32) {
    let (mut keys, mut prefixes, mut pages) = (Vec::new(), Vec::new(), 0);
    let mut token = None;
    loop {
        let list =
            endpoint.client.list_objects_v2().bucket("photos").max_keys(size).set_continuation_token(token);
        let list = list.set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()));
        let list = list.set_delimiter((!delimiter.is_empty()).then(|| delimiter.to_owned()));
        let page = list.send().await.unwrap();
        pages += 1;
        let count = page.contents().len() + page.common_prefixes().len();
        assert_eq!(page.key_count(), i32::try_from(count).ok());
        assert!(count <= size as usize);
        keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        prefixes.extend(page.common_prefixes().iter().map(|prefix| prefix.prefix().unwrap().to_owned()));
        token = page.next_continuation_token().map(str::to_owned);
        assert_eq!(page.is_truncated(), Some(token.is_some()));
        if token.is_none() {
            return (keys, prefixes, pages);
        }
    }
}

#[tokio::test]
async fn pages_of_any_size_tell_everything_once_and_in_order() {
    let endpoint = filled(&KEYS).await;
    for size in [1, 2, 3, 5, 1000] {
        let (keys, prefixes, count) = pages(&endpoint, "", "", size).await;
        assert_eq!((keys.as_slice(), prefixes.len()), (&KEYS.map(str::to_owned)[..], 0), "{size}");
        assert_eq!(count, (9u32).div_ceil(size as u32));
        let (keys, prefixes, _) = pages(&endpoint, "", "/", size).await;
        assert_eq!((keys, prefixes), (owned(&["c", "d"]), owned(&["a/", "b/", "c/", "é/"])), "{size}");
        let (keys, prefixes, _) = pages(&endpoint, "a/", "/", size).await;
        assert_eq!((keys, prefixes), (owned(&["a/1", "a/2"]), owned(&["a/b/"])), "{size}");
        let (keys, prefixes, _) = pages(&endpoint, "c/", "/", size).await;
        assert_eq!((keys, prefixes), (owned(&["c/", "c/d"]), owned(&[])), "{size}");
        let (keys, prefixes, _) = pages(&endpoint, "c", "", size).await;
        assert_eq!((keys, prefixes), (owned(&["c", "c/", "c/d"]), owned(&[])), "{size}");
        let (keys, prefixes, _) = pages(&endpoint, "", "/b", size).await;
        assert_eq!((keys.len(), prefixes), (8, owned(&["a/b"])), "{size}");
        assert_eq!(pages(&endpoint, "none", "", size).await, (owned(&[]), owned(&[]), 1));
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[tokio::test]
async fn version_one_goes_on_at_its_marker() {
    let endpoint = filled(&KEYS).await;
    let (mut keys, mut prefixes, mut marker) = (Vec::new(), Vec::new(), String::new());
    loop {
        let list = endpoint.client.list_objects().bucket("photos").delimiter("/").max_keys(2).marker(&marker);
        let page = list.send().await.unwrap();
        keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        prefixes.extend(page.common_prefixes().iter().map(|prefix| prefix.prefix().unwrap().to_owned()));
        let Some(next) = page.next_marker() else { break };
        marker = next.to_owned();
    }
    assert_eq!((keys, prefixes), (owned(&["c", "d"]), owned(&["a/", "b/", "c/", "é/"])));
}

#[tokio::test]
async fn limits_tokens_and_starts_are_as_in_s3() {
    let endpoint = filled(&KEYS).await;
    let list = || endpoint.client.list_objects_v2().bucket("photos");
    let after = list().start_after("c").send().await.unwrap();
    assert_eq!(after.contents()[0].key(), Some("c/"));
    assert_eq!(list().max_keys(0).send().await.unwrap().key_count(), Some(0));
    assert_eq!(list().max_keys(5000).send().await.unwrap().max_keys(), Some(1000));
    assert_eq!(code(list().max_keys(-1).send().await), "400 InvalidArgument");
    assert_eq!(code(list().continuation_token("no token!").send().await), "400 InvalidArgument");
    assert_eq!(code(list().prefix("x".repeat(1025)).send().await), "400 KeyTooLongError");
    let owner = list().fetch_owner(true).send().await.unwrap();
    assert!(owner.contents()[0].owner().is_some());
    let answer = Raw::new("GET", "/photos").query("encoding-type", "base64").send(endpoint.address).await;
    assert_eq!(answer.code(), "400 InvalidArgument");
}

#[tokio::test]
async fn a_bucket_of_100_000_keys_is_listed_without_being_read() {
    use wicket_buckets::ListQuery;
    let endpoint = Endpoint::start().await;
    let fill = endpoint.store.write(|tx| {
        for n in 0..100_000 {
            let key = format!("{:03}/{n:06}", n / 200).into_bytes();
            let row = "INSERT INTO objects (bucket, key, size, etag, modified, meta) VALUES ('photos', ?, 0, 'e', 0, '{}')";
            tx.prepare_cached(row)?.execute([key])?;
        }
        Ok(())
    });
    fill.await.unwrap();
    let bucket = "photos".parse().unwrap();
    // The quickest of a few: whoever else is busy on this machine is not to be measured.
    let timed = async |query: ListQuery| {
        let mut quickest = std::time::Duration::MAX;
        let mut found = None;
        for _ in 0..5 {
            let since = std::time::Instant::now();
            found = Some(endpoint.buckets.list(&bucket, query.clone()).await.unwrap());
            quickest = quickest.min(since.elapsed());
        }
        (found.unwrap(), quickest)
    };
    let query = ListQuery { limit: 1000, delimiter: Some("/".to_owned()), ..ListQuery::default() };
    let (page, folders) = timed(query).await;
    assert_eq!((page.prefixes.len(), page.next), (500, None));
    let (page, one) =
        timed(ListQuery { limit: 1000, prefix: "000/00000".to_owned(), ..ListQuery::default() }).await;
    assert_eq!((page.objects.len(), page.next), (10, None));
    let after = Some("499/099990".to_owned());
    let (page, tail) = timed(ListQuery { limit: 1000, after, ..ListQuery::default() }).await;
    assert_eq!(page.objects.len(), 9);
    // None of them reads all, which is this much:
    let all = endpoint.store.read(|db| {
        let since = std::time::Instant::now();
        let mut rows = db.prepare("SELECT key, size, etag, modified FROM objects ORDER BY bucket, key")?;
        let count = rows.query_map([], |row| row.get::<_, Vec<u8>>(0))?.filter(Result::is_ok).count();
        assert_eq!(count, 100_000);
        Ok(since.elapsed())
    });
    let all = all.await.unwrap();
    assert!(
        [folders, one, tail].iter().all(|time| *time < all / 3),
        "{folders:?} {one:?} {tail:?} of {all:?}"
    );
}
