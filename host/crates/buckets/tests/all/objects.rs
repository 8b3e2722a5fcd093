//! Objects, one at a time.

use aws_sdk_s3::config::Region;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, Delete, MetadataDirective, ObjectAttributes, ObjectIdentifier,
};
use std::time::Duration;

use crate::raw;
use crate::support::{Endpoint, client, code, noise};

#[tokio::test]
async fn an_upload_is_announced_once_and_comes_back_whole() {
    let endpoint = Endpoint::start().await;
    for (key, size) in
        [("empty", 0), ("small", 10), ("edge", 64 << 10), ("over", (64 << 10) + 1), ("large", 3 << 20)]
    {
        let body = noise(size);
        let etag = endpoint.put(key, body.clone()).await;
        assert_eq!(etag, format!("\"{}\"", hex::encode(<md5::Md5 as md5::Digest>::digest(&body))), "{key}");
        assert_eq!(endpoint.get(key).await, body, "{key}");
    }
    // Up to 64 KiB live in the row.
    assert_eq!(endpoint.files(), 2);
    let events = endpoint.recorder.events();
    assert_eq!(events.len(), 5);
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event.id.clone()).collect();
    assert_eq!(ids.len(), 5, "each has an id of its own");
    let object = events[4].object().unwrap();
    assert_eq!(
        (object.bucket.as_str(), object.key.as_str(), object.size),
        ("photos", "large", Some(3 << 20))
    );
    // The same again is something new.
    endpoint.put("small", "other").await;
    assert_eq!(endpoint.recorder.announced().len(), 6);
    assert_ne!(endpoint.recorder.events()[5].id, endpoint.recorder.events()[1].id);
}

#[tokio::test]
async fn what_goes_with_an_object_comes_back_with_it() {
    let endpoint = Endpoint::start().await;
    let put = endpoint.client.put_object().bucket("photos").key("a").body(ByteStream::from_static(b"text"));
    let put = put
        .content_type("text/plain; charset=utf-8")
        .cache_control("max-age=60")
        .content_disposition("attachment; filename=\"a\"")
        .content_encoding("gzip")
        .content_language("de")
        .metadata("camera", "Leica M6")
        .metadata("place", "Zürich");
    put.send().await.unwrap();
    let head = endpoint.client.head_object().bucket("photos").key("a").send().await.unwrap();
    assert_eq!(head.content_type(), Some("text/plain; charset=utf-8"));
    assert_eq!(head.cache_control(), Some("max-age=60"));
    assert_eq!(head.content_disposition(), Some("attachment; filename=\"a\""));
    assert_eq!(head.content_encoding(), Some("gzip"));
    assert_eq!(head.content_language(), Some("de"));
    assert_eq!(head.content_length(), Some(4));
    assert_eq!(head.metadata().unwrap()["camera"], "Leica M6");
    let got = endpoint.client.get_object().bucket("photos").key("a").response_cache_control("no-store");
    let got = got.response_content_type("image/png").send().await.unwrap();
    assert_eq!((got.cache_control(), got.content_type()), (Some("no-store"), Some("image/png")));

    let large = "x".repeat(2049 - "note".len());
    let put = endpoint.client.put_object().bucket("photos").key("b").metadata("note", &large);
    assert_eq!(code(put.send().await), "400 MetadataTooLarge");
    let put = endpoint.client.put_object().bucket("photos").key("b").metadata("note", &large[1..]);
    put.send().await.unwrap();
}

#[tokio::test]
async fn ranges_are_cut_from_small_and_large_objects() {
    let endpoint = Endpoint::start().await;
    for size in [1000, 1 << 20] {
        let body = noise(size);
        endpoint.put("a", body.clone()).await;
        let cases = [
            ("bytes=0-0", 0..1),
            ("bytes=10-19", 10..20),
            ("bytes=990-", 990..size),
            ("bytes=-5", size - 5..size),
            ("bytes=500-9999999", 500..size),
            ("bytes=-9999999", 0..size),
        ];
        for (range, wanted) in cases {
            let got =
                endpoint.client.get_object().bucket("photos").key("a").range(range).send().await.unwrap();
            let told = format!("bytes {}-{}/{size}", wanted.start, wanted.end - 1);
            assert_eq!(got.content_range(), Some(told.as_str()), "{range}");
            assert_eq!(got.body.collect().await.unwrap().to_vec(), body[wanted], "{range}");
        }
        let got = endpoint.client.get_object().bucket("photos").key("a").range(format!("bytes={size}-"));
        assert_eq!(code(got.send().await), "416 InvalidRange");
        let head =
            endpoint.client.head_object().bucket("photos").key("a").range("bytes=1-3").send().await.unwrap();
        assert_eq!(head.content_length(), Some(3));
    }
}

#[tokio::test]
async fn every_checksum_of_s3_is_checked_and_given_back() {
    let endpoint = Endpoint::start().await;
    for size in [100, 300 << 10] {
        for algorithm in ChecksumAlgorithm::values() {
            let algorithm = ChecksumAlgorithm::from(*algorithm);
            let put = endpoint.client.put_object().bucket("photos").key(algorithm.as_str());
            let put =
                put.checksum_algorithm(algorithm.clone()).body(ByteStream::from(noise(size))).send().await;
            let Ok(_) = put else { continue };
            let got = endpoint.client.get_object().bucket("photos").key(algorithm.as_str());
            let got = got.checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
            let given = [
                got.checksum_crc32(),
                got.checksum_crc32_c(),
                got.checksum_crc64_nvme(),
                got.checksum_sha1(),
                got.checksum_sha256(),
            ];
            assert_eq!(given.iter().flatten().count(), 1, "{algorithm} {size}");
            // The client checks it once more.
            assert_eq!(got.body.collect().await.unwrap().to_vec(), noise(size));
        }
    }
    let put = endpoint.client.put_object().bucket("photos").key("bad").checksum_crc32("AAAAAA==");
    assert_eq!(code(put.body(ByteStream::from_static(b"x")).send().await), "400 BadDigest");
    let put =
        endpoint.client.put_object().bucket("photos").key("bad").content_md5("AAAAAAAAAAAAAAAAAAAAAA==");
    assert_eq!(code(put.body(ByteStream::from(noise(100 << 10))).send().await), "400 BadDigest");
    let put = endpoint.client.put_object().bucket("photos").key("bad").content_md5("no");
    assert_eq!(code(put.body(ByteStream::from_static(b"x")).send().await), "400 InvalidDigest");
    assert_eq!(code(endpoint.client.head_object().bucket("photos").key("bad").send().await), "404 NotFound");
    assert!(!endpoint.recorder.announced().contains(&"photos/bad".to_owned()));
}

#[tokio::test]
async fn a_copy_shares_the_bytes_and_outlives_the_original() {
    let endpoint = Endpoint::start().await;
    let body = noise(200 << 10);
    let put = endpoint.client.put_object().bucket("photos").key("a b/ü+%2F").metadata("camera", "Leica");
    put.content_type("image/jpeg").body(ByteStream::from(body.clone())).send().await.unwrap();
    let source = "photos/a%20b/%C3%BC%2B%252F";
    let copy =
        endpoint.client.copy_object().bucket("photos").key("copy").copy_source(source).send().await.unwrap();
    assert!(copy.copy_object_result().unwrap().e_tag().is_some());
    let replaced = endpoint.client.copy_object().bucket("photos").key("other").copy_source(source);
    let replaced = replaced.metadata_directive(MetadataDirective::Replace).metadata("camera", "Nikon");
    replaced.content_type("text/plain").send().await.unwrap();
    assert_eq!(endpoint.files(), 1);

    endpoint.client.delete_object().bucket("photos").key("a b/ü+%2F").send().await.unwrap();
    assert_eq!(endpoint.get("copy").await, body);
    let head = endpoint.client.head_object().bucket("photos").key("copy").send().await.unwrap();
    assert_eq!(
        (head.metadata().unwrap()["camera"].as_str(), head.content_type()),
        ("Leica", Some("image/jpeg"))
    );
    let head = endpoint.client.head_object().bucket("photos").key("other").send().await.unwrap();
    assert_eq!(
        (head.metadata().unwrap()["camera"].as_str(), head.content_type()),
        ("Nikon", Some("text/plain"))
    );

    let itself = endpoint.client.copy_object().bucket("photos").key("copy").copy_source("photos/copy");
    assert_eq!(code(itself.clone().send().await), "400 InvalidRequest");
    itself.metadata_directive(MetadataDirective::Replace).send().await.unwrap();
    assert_eq!(endpoint.get("copy").await, body);

    let missing = endpoint.client.copy_object().bucket("photos").key("x").copy_source("photos/none");
    assert_eq!(code(missing.send().await), "404 NoSuchKey");
    let old = endpoint.client.copy_object().bucket("photos").key("x").copy_source("photos/copy");
    assert_eq!(code(old.copy_source_if_match("\"0\"").send().await), "412 PreconditionFailed");

    let both = ["copy", "other"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(both.to_vec())).build().unwrap();
    endpoint.client.delete_objects().bucket("photos").delete(delete).send().await.unwrap();
    endpoint.files_become(0).await;
    assert_eq!(endpoint.recorder.announced().len(), 4, "{:?}", endpoint.recorder.announced());
}

#[tokio::test]
async fn many_objects_are_deleted_at_once_and_missing_ones_are_fine() {
    let endpoint = Endpoint::start().await;
    for n in 0..30 {
        endpoint.put(&format!("k{n}"), "x").await;
    }
    let named = |count: usize| {
        let objects = (0..count).map(|n| ObjectIdentifier::builder().key(format!("k{n}")).build().unwrap());
        Delete::builder().set_objects(Some(objects.collect())).build().unwrap()
    };
    let deleted = endpoint.client.delete_objects().bucket("photos").delete(named(1000)).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (1000, 0));
    let listed = endpoint.client.list_objects_v2().bucket("photos").send().await.unwrap();
    assert_eq!(listed.key_count(), Some(0));
    let many = endpoint.client.delete_objects().bucket("photos").delete(named(1001)).send().await;
    assert_eq!(code(many), "400 MalformedXML");
    endpoint.client.delete_object().bucket("photos").key("never was").send().await.unwrap();
}

#[tokio::test]
async fn a_bucket_goes_only_when_it_is_empty() {
    let endpoint = Endpoint::start().await;
    let again = endpoint.client.create_bucket().bucket("photos").send().await;
    assert_eq!(code(again), "409 BucketAlreadyOwnedByYou");
    endpoint.put("a", "x").await;
    assert_eq!(code(endpoint.client.delete_bucket().bucket("photos").send().await), "409 BucketNotEmpty");
    endpoint.client.head_bucket().bucket("photos").send().await.unwrap();
    endpoint.client.get_bucket_location().bucket("photos").send().await.unwrap();
    endpoint.client.delete_object().bucket("photos").key("a").send().await.unwrap();
    endpoint.client.delete_bucket().bucket("photos").send().await.unwrap();
    assert_eq!(code(endpoint.client.head_bucket().bucket("photos").send().await), "404 NotFound");
    assert_eq!(code(endpoint.client.list_objects_v2().bucket("photos").send().await), "404 NoSuchBucket");
    assert_eq!(code(endpoint.client.delete_bucket().bucket("photos").send().await), "404 NoSuchBucket");
    let put = endpoint.client.put_object().bucket("photos").key("a").body(ByteStream::from(noise(4 << 20)));
    assert_eq!(code(put.send().await), "404 NoSuchBucket");
    for name in ["Photos", "a", "a_b", "192.168.0.1"] {
        let made = endpoint.client.create_bucket().bucket(name).send().await;
        assert_eq!(code(made), "400 InvalidBucketName", "{name}");
    }
    endpoint.client.create_bucket().bucket("b.2").send().await.unwrap();
    endpoint.client.create_bucket().bucket("a-1").send().await.unwrap();
    let listed = endpoint.client.list_buckets().send().await.unwrap();
    let names: Vec<_> = listed.buckets().iter().filter_map(|bucket| bucket.name()).collect();
    assert_eq!(names, ["a-1", "b.2"]);
}

#[tokio::test]
async fn a_presigned_url_opens_one_object_for_a_while() {
    let endpoint = Endpoint::start().await;
    let week = PresigningConfig::expires_in(Duration::from_secs(7 * 86_400)).unwrap();
    let put = endpoint.client.put_object().bucket("photos").key("a b").presigned(week.clone()).await.unwrap();
    let path = put.uri().split_once(&endpoint.address.to_string()).unwrap().1.to_owned();
    let host = format!("host: {}\r\nconnection: close\r\n", endpoint.address);
    let request = format!("PUT {path} HTTP/1.1\r\n{host}content-length: 5\r\n\r\nhello");
    assert_eq!(raw::exchange(endpoint.address, &[request.as_bytes()], false).await.status, 200);
    // Nobody signed that it is a copy of another object.
    let source = "x-amz-copy-source: /photos/a%20b\r\n";
    let request = format!("PUT {path} HTTP/1.1\r\n{host}{source}content-length: 0\r\n\r\n");
    let refused = raw::exchange(endpoint.address, &[request.as_bytes()], false).await;
    assert_eq!(refused.code(), "403 AccessDenied");
    // Also under another spelling of the same name, and not when the URL says two things.
    let encoded = path.replace("X-Amz-SignedHeaders", "X-Amz-Signed%48eaders");
    let request = format!("PUT {encoded} HTTP/1.1\r\n{host}{source}content-length: 0\r\n\r\n");
    let refused = raw::exchange(endpoint.address, &[request.as_bytes()], false).await;
    assert_eq!(refused.code(), "403 AccessDenied", "{encoded}");
    let twice = format!("{path}&X-Amz-Signed%48eaders=host%3Bx-amz-copy-source");
    let request = format!("PUT {twice} HTTP/1.1\r\n{host}{source}content-length: 0\r\n\r\n");
    let refused = raw::exchange(endpoint.address, &[request.as_bytes()], false).await;
    assert_eq!(refused.code(), "400 AuthorizationQueryParametersError", "{twice}");
    let get = endpoint.client.get_object().bucket("photos").key("a b").presigned(week).await.unwrap();
    let path = get.uri().split_once(&endpoint.address.to_string()).unwrap().1.to_owned();
    let request = format!("GET {path} HTTP/1.1\r\n{host}\r\n");
    assert_eq!(raw::exchange(endpoint.address, &[request.as_bytes()], false).await.body, b"hello");

    let spoiled = [
        (path.replace("a%20b", "a"), "403 SignatureDoesNotMatch"),
        (
            path.replace("X-Amz-Expires=604800", "X-Amz-Expires=604801"),
            "400 AuthorizationQueryParametersError",
        ),
        (path.replace("X-Amz-Expires=604800", "X-Amz-Expires=600000"), "403 SignatureDoesNotMatch"),
        (path.split('?').next().unwrap().to_owned(), "403 AccessDenied"),
    ];
    for (path, wanted) in spoiled {
        let request = format!("GET {path} HTTP/1.1\r\n{host}\r\n");
        assert_eq!(
            raw::exchange(endpoint.address, &[request.as_bytes()], false).await.code(),
            wanted,
            "{path}"
        );
    }
    let past = PresigningConfig::builder()
        .start_time(std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
        .expires_in(Duration::from_secs(60));
    let old = endpoint
        .client
        .get_object()
        .bucket("photos")
        .key("a b")
        .presigned(past.build().unwrap())
        .await
        .unwrap();
    let path = old.uri().split_once(&endpoint.address.to_string()).unwrap().1;
    let request = format!("GET {path} HTTP/1.1\r\n{host}\r\n");
    assert_eq!(
        raw::exchange(endpoint.address, &[request.as_bytes()], false).await.code(),
        "403 AccessDenied"
    );
}

#[tokio::test]
async fn a_signature_holds_for_this_region_and_for_s3() {
    let endpoint = Endpoint::start().await;
    endpoint.put("a", "hello").await;
    for (region, service, what) in [
        ("eu-west-1", "s3", "the region `eu-west-1` is wrong; expecting `us-east-1`"),
        ("auto", "s3", "the region `auto` is wrong; expecting `us-east-1`"),
        ("us-east-1", "sts", "the service `sts` is wrong; expecting `s3`"),
    ] {
        let answer = raw::Raw::new("GET", "/photos/a").scope(region, service).send(endpoint.address).await;
        assert_eq!(answer.code(), "400 AuthorizationHeaderMalformed");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains(what) && text.contains("<Region>us-east-1</Region>"), "{text}");
    }
    // The algorithm's name is not signed: under another one, nothing else may go unseen.
    let (head, _) = raw::Raw::new("PUT", "/photos/b").signed(endpoint.address);
    let head = head.replace("authorization: AWS4-HMAC-SHA256 ", "authorization: Whatever ");
    let added = b"x-amz-copy-source: /photos/a\r\ncontent-length: 0\r\n\r\n";
    let answer = raw::exchange(endpoint.address, &[head.as_bytes(), added], false).await;
    assert_eq!(answer.code(), "400 InvalidRequest");
    // A comma in the region hides nothing behind it.
    let answer = raw::Raw::new("GET", "/photos/a").scope("eu,west", "sts").send(endpoint.address).await;
    assert_eq!(answer.code(), "400 AuthorizationHeaderMalformed");
    let elsewhere = endpoint.client.config().to_builder().region(Region::new("eu-west-1")).build();
    let hour = PresigningConfig::expires_in(Duration::from_secs(3600)).unwrap();
    let get = aws_sdk_s3::Client::from_conf(elsewhere).get_object().bucket("photos").key("a");
    let url = get.presigned(hour).await.unwrap();
    let path = url.uri().split_once(&endpoint.address.to_string()).unwrap().1;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", endpoint.address);
    let answer = raw::exchange(endpoint.address, &[request.as_bytes()], false).await;
    assert_eq!(answer.code(), "400 AuthorizationQueryParametersError");
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.contains("the region `eu-west-1` is wrong; expecting `us-east-1`"), "{text}");
}

#[tokio::test]
async fn who_does_not_sign_with_the_keys_gets_nothing() {
    let endpoint = Endpoint::start().await;
    endpoint.put("a", "secret").await;
    let other = client(endpoint.address, "test-access", "other");
    assert_eq!(code(other.get_object().bucket("photos").key("a").send().await), "403 SignatureDoesNotMatch");
    let other = client(endpoint.address, "nobody", "test-secret");
    assert_eq!(code(other.get_object().bucket("photos").key("a").send().await), "403 InvalidAccessKeyId");
    for line in [
        "GET /photos/a",
        "GET /",
        "GET /photos?list-type=2",
        "PUT /photos/b",
        "DELETE /photos/a",
        "PUT /mine",
    ] {
        let request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let answer = raw::exchange(endpoint.address, &[request.as_bytes()], false).await;
        assert_eq!(answer.code(), "403 AccessDenied", "{line}");
    }
    assert_eq!(endpoint.recorder.announced(), ["photos/a"]);
    let keys = wicket_buckets::Keys::new("name", "hidden");
    assert_eq!(format!("{keys:?}"), "Keys { access: \"name\", .. }");
}

#[tokio::test]
async fn attributes_and_what_a_bucket_does_not_have() {
    let endpoint = Endpoint::start().await;
    endpoint.put("a", "hello").await;
    let asked = endpoint.client.get_object_attributes().bucket("photos").key("a");
    let asked =
        asked.object_attributes(ObjectAttributes::ObjectSize).object_attributes(ObjectAttributes::Etag);
    let told = asked.send().await.unwrap();
    assert_eq!(told.object_size(), Some(5));
    assert_eq!(told.e_tag().map(|tag| tag.trim_matches('"')), Some("5d41402abc4b2a76b9719d911017c592"));
    let client = &endpoint.client;
    assert!(client.get_bucket_versioning().bucket("photos").send().await.unwrap().status().is_none());
    assert_eq!(client.get_bucket_acl().bucket("photos").send().await.unwrap().grants().len(), 1);
    assert!(client.get_object_tagging().bucket("photos").key("a").send().await.unwrap().tag_set().is_empty());
    assert_eq!(code(client.get_bucket_tagging().bucket("photos").send().await), "404 NoSuchTagSet");
    assert_eq!(code(client.get_bucket_policy().bucket("photos").send().await), "404 NoSuchBucketPolicy");
    assert_eq!(code(client.get_bucket_cors().bucket("none").send().await), "404 NoSuchBucket");
    let tagged = client.put_object().bucket("photos").key("b").tagging("a=b");
    assert_eq!(code(tagged.send().await), "501 NotImplemented");
    let public =
        client.put_object().bucket("photos").key("b").acl(aws_sdk_s3::types::ObjectCannedAcl::PublicRead);
    assert_eq!(code(public.send().await), "400 AccessControlListNotSupported");
    let version = client.get_object().bucket("photos").key("a").version_id("v1");
    assert_eq!(code(version.send().await), "404 NoSuchVersion");
}
