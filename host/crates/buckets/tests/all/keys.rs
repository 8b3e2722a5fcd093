//! Keys of every legal shape. A key is not a path.

use crate::raw::{Raw, exchange};
use crate::support::{Endpoint, code, noise};

fn keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "plain.jpg",
        "with space and  two",
        "plus+sign",
        "percent%2Fencoded",
        "100%",
        "a/b/c.jpg",
        "a//b",
        "/leading",
        "//two",
        "trailing/",
        "../../../etc/passwd",
        "a/../b",
        "..",
        ".",
        "./x",
        "~",
        "über/straße/日本/🦀.png",
        "e\u{301}",
        "\u{e9}",
        "tab\there",
        "quote\"and'tick",
        "amp&lt<gt>",
        "q?uery#frag",
        "semi;colon:at@eq=comma,",
        "back\\slash",
        "(brackets)[square]{curly}|pipe^caret`",
        "con",
        "trailing space ",
    ]
    .map(str::to_owned)
    .into();
    keys.push("k".repeat(1024));
    keys.push("ü".repeat(512));
    keys
}

#[tokio::test]
async fn every_legal_key_is_stored_listed_announced_and_removed() {
    let endpoint = Endpoint::start().await;
    let outside = std::fs::read_dir(endpoint.folder.path()).unwrap().count();
    for (n, key) in keys().into_iter().enumerate() {
        // A large one is a file: where, is not the key's choice.
        let body = noise(if n % 2 == 0 { n } else { (70 << 10) + n });
        endpoint.put(&key, body.clone()).await;
        assert_eq!(endpoint.get(&key).await, body, "{key}");
        assert_eq!(endpoint.recorder.announced().pop(), Some(format!("photos/{key}")));
    }
    let listed = endpoint.client.list_objects_v2().bucket("photos").send().await.unwrap();
    let mut listed: Vec<String> =
        listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect();
    let mut wanted = keys();
    wanted.sort();
    assert_eq!(listed, wanted, "in byte order");
    let encoded = endpoint.client.list_objects_v2().bucket("photos");
    let encoded = encoded.encoding_type(aws_sdk_s3::types::EncodingType::Url).send().await.unwrap();
    listed = encoded
        .contents()
        .iter()
        .map(|object| {
            percent_encoding::percent_decode_str(object.key().unwrap()).decode_utf8().unwrap().into_owned()
        })
        .collect();
    assert_eq!(listed, wanted);
    let raw: Vec<&str> = encoded.contents().iter().filter_map(|object| object.key()).collect();
    assert!(raw.contains(&"plus%2Bsign") && raw.contains(&"a//b") && raw.contains(&"percent%252Fencoded"));

    assert_eq!(std::fs::read_dir(endpoint.folder.path()).unwrap().count(), outside);
    for key in keys() {
        endpoint.client.delete_object().bucket("photos").key(key).send().await.unwrap();
    }
    endpoint.files_become(0).await;
    endpoint.client.delete_bucket().bucket("photos").send().await.unwrap();
}

#[tokio::test]
async fn a_key_too_long_or_with_a_nul_is_refused() {
    let endpoint = Endpoint::start().await;
    let put = endpoint.client.put_object().bucket("photos").key("k".repeat(1025)).send().await;
    assert_eq!(code(put), "400 KeyTooLongError");
    let answer = Raw::new("PUT", &format!("/photos/{}", "k".repeat(1025))).send(endpoint.address).await;
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert!(text.contains("<Message>an object's key has at most 1024 bytes</Message><RequestId>"), "{text}");
    let answer = Raw::new("PUT", "/photos/a%00b").send(endpoint.address).await;
    assert_eq!(answer.code(), "400 InvalidArgument");
    let delete = "<Delete><Object><Key>ok</Key></Object><Object><Key></Key></Object></Delete>";
    let answer = Raw::new("POST", "/photos").query("delete", "").body(delete).send(endpoint.address).await;
    let text = String::from_utf8(answer.body).unwrap();
    assert_eq!(answer.status, 200, "{text}");
    assert!(text.contains("<Deleted><Key>ok</Key></Deleted>") && text.contains("<Error><Code>"), "{text}");
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused() {
    let endpoint = Endpoint::start().await;
    for path in ["/photos/%ff", "/photos/%C3", "/%ff/a"] {
        let answer = Raw::new("PUT", path).send(endpoint.address).await;
        assert_eq!(answer.code(), "400 InvalidURI", "{path}");
    }
    let answer = exchange(endpoint.address, &[b"GET photos a HTTP/1.1\r\nhost: x\r\n\r\n"], false).await;
    assert_eq!(answer.status, 400);
    let answer =
        exchange(endpoint.address, &[b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"], false).await;
    assert_eq!(answer.status, 400);
    assert_eq!(endpoint.put("still here", "x").await.len(), 34);
}
