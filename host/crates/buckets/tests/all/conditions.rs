//! Conditional requests.

use aws_sdk_s3::primitives::{ByteStream, DateTime};

use crate::raw::Raw;
use crate::support::{Endpoint, code};

#[tokio::test]
async fn a_conditional_read_answers_the_object_304_or_412() {
    let endpoint = Endpoint::start().await;
    let etag = endpoint.put("a", "hello").await;
    let get = || endpoint.client.get_object().bucket("photos").key("a");
    let head = || endpoint.client.head_object().bucket("photos").key("a");
    get().if_match(&etag).send().await.unwrap();
    get().if_match("*").send().await.unwrap();
    assert_eq!(code(get().if_match("\"other\"").send().await), "412 PreconditionFailed");
    assert_eq!(code(get().if_none_match(&etag).send().await), "304");
    assert_eq!(code(head().if_none_match(format!("W/{etag}")).send().await), "304");
    assert_eq!(code(get().if_none_match(format!("\"other\", {etag}")).send().await), "304");
    get().if_none_match("\"other\"").send().await.unwrap();
    assert_eq!(code(head().if_match("\"other\"").send().await), "412");

    let modified = *head().send().await.unwrap().last_modified().unwrap();
    let before = DateTime::from_secs(modified.secs() - 60);
    assert_eq!(code(get().if_modified_since(modified).send().await), "304");
    get().if_modified_since(before).send().await.unwrap();
    assert_eq!(code(get().if_unmodified_since(before).send().await), "412 PreconditionFailed");
    get().if_unmodified_since(modified).send().await.unwrap();
    // A tag says more than a time.
    get().if_match(&etag).if_unmodified_since(before).send().await.unwrap();
    get().if_none_match("\"other\"").if_modified_since(modified).send().await.unwrap();

    let answer = Raw::new("GET", "/photos/a").header("if-none-match", &etag).send(endpoint.address).await;
    assert_eq!((answer.status, answer.body.len()), (304, 0));
    assert_eq!(answer.header("etag"), Some(etag));
    assert!(answer.header("last-modified").is_some());
}

#[tokio::test]
async fn a_conditional_write_stores_or_changes_nothing() {
    let endpoint = Endpoint::start().await;
    let put = |body: &'static str| {
        endpoint.client.put_object().bucket("photos").key("a").body(ByteStream::from_static(body.as_bytes()))
    };
    assert_eq!(code(put("0").if_match("\"x\"").send().await), "404 NoSuchKey");
    let first = put("1").if_none_match("*").send().await.unwrap().e_tag.unwrap();
    assert_eq!(code(put("2").if_none_match("*").send().await), "412 PreconditionFailed");
    assert_eq!(code(put("2").if_match("\"other\"").send().await), "412 PreconditionFailed");
    let second = put("2").if_match(&first).send().await.unwrap().e_tag.unwrap();
    assert_eq!(code(put("3").if_match(&first).send().await), "412 PreconditionFailed");
    assert_eq!(code(put("3").if_none_match(&second).send().await), "501 NotImplemented");
    assert_eq!(code(put("3").if_none_match("*").if_match(&second).send().await), "400 InvalidRequest");
    assert_eq!(endpoint.get("a").await, b"2");
    assert_eq!(endpoint.recorder.announced().len(), 2);

    let delete = || endpoint.client.delete_object().bucket("photos").key("a");
    assert_eq!(code(delete().if_match(&first).send().await), "412 PreconditionFailed");
    delete().if_match(&second).send().await.unwrap();
    assert_eq!(code(delete().if_match(&second).send().await), "404 NoSuchKey");
}

#[tokio::test]
async fn of_many_who_create_the_same_key_one_wins() {
    let endpoint = Endpoint::start().await;
    let puts = (0..16).map(|n| {
        let put = endpoint.client.put_object().bucket("photos").key("a").if_none_match("*");
        put.body(ByteStream::from(format!("{n}").into_bytes())).send()
    });
    let answers = futures::future::join_all(puts).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(endpoint.recorder.announced(), ["photos/a"]);
}
