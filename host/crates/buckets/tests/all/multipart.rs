//! Uploads in parts.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
};

use crate::support::{Endpoint, code, noise};

const MIB: usize = 1 << 20;

async fn begin(endpoint: &Endpoint, key: &str) -> String {
    let begun =
        endpoint.client.create_multipart_upload().bucket("photos").key(key).content_type("image/jpeg");
    begun.metadata("camera", "Leica").send().await.unwrap().upload_id.unwrap()
}

async fn part(endpoint: &Endpoint, key: &str, id: &str, number: i32, body: Vec<u8>) -> CompletedPart {
    let sent = endpoint.client.upload_part().bucket("photos").key(key).upload_id(id).part_number(number);
    let sent = sent.body(ByteStream::from(body)).send().await.unwrap();
    CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build()
}

fn complete(
    endpoint: &Endpoint,
    key: &str,
    id: &str,
    parts: &[CompletedPart],
) -> aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder {
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec())).build();
    endpoint
        .client
        .complete_multipart_upload()
        .bucket("photos")
        .key(key)
        .upload_id(id)
        .multipart_upload(parts)
}

#[tokio::test]
async fn parts_in_any_order_become_one_object_and_one_event() {
    let endpoint = Endpoint::start().await;
    let id = begin(&endpoint, "a").await;
    let third = part(&endpoint, "a", &id, 30, noise(10)).await;
    let first = part(&endpoint, "a", &id, 1, noise(5 * MIB)).await;
    part(&endpoint, "a", &id, 2, noise(6 * MIB)).await;
    // The same number again replaces it, and one that is not named is thrown away.
    let second = part(&endpoint, "a", &id, 2, noise(5 * MIB + 1)).await;
    part(&endpoint, "a", &id, 40, noise(7)).await;
    let head = endpoint.client.head_object().bucket("photos").key("a").send().await;
    assert_eq!(code(head), "404 NotFound");
    assert!(endpoint.recorder.announced().is_empty());
    let done = complete(&endpoint, "a", &id, &[first, second, third]).send().await.unwrap();
    assert!(done.e_tag().unwrap().ends_with("-3\""), "{done:?}");
    let whole = [noise(5 * MIB), noise(5 * MIB + 1), noise(10)].concat();
    assert_eq!(endpoint.get("a").await, whole);
    assert_eq!(endpoint.recorder.announced(), ["photos/a"]);
    assert_eq!(endpoint.recorder.events()[0].object().unwrap().size, Some(whole.len() as u64));
    endpoint.files_become(3).await;
    let head = endpoint.client.head_object().bucket("photos").key("a").send().await.unwrap();
    assert_eq!(
        (head.content_type(), head.metadata().unwrap()["camera"].as_str()),
        (Some("image/jpeg"), "Leica")
    );
    // A range over the seam of two parts, and a part by its number.
    let seam = format!("bytes={}-{}", 5 * MIB - 3, 5 * MIB + 3);
    let got = endpoint.client.get_object().bucket("photos").key("a").range(seam).send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), whole[5 * MIB - 3..5 * MIB + 4]);
    let got = endpoint.client.get_object().bucket("photos").key("a").part_number(2).send().await.unwrap();
    assert_eq!((got.parts_count(), got.content_length()), (Some(3), Some((5 * MIB + 1) as i64)));
    let got = endpoint.client.get_object().bucket("photos").key("a").part_number(4).send().await;
    assert_eq!(code(got), "416 InvalidPartNumber");
}

#[tokio::test]
async fn to_complete_twice_is_to_complete_once() {
    let endpoint = Endpoint::start().await;
    let id = begin(&endpoint, "a").await;
    let one = part(&endpoint, "a", &id, 1, noise(100)).await;
    let both = [
        complete(&endpoint, "a", &id, std::slice::from_ref(&one)),
        complete(&endpoint, "a", &id, std::slice::from_ref(&one)),
    ];
    let answers = futures::future::join_all(both.map(|complete| complete.send())).await;
    let tags: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().e_tag.unwrap()).collect();
    assert_eq!(tags[0], tags[1]);
    assert_eq!(endpoint.recorder.announced(), ["photos/a"]);
    // Not with other parts, and not when the object is another meanwhile.
    let other = CompletedPart::builder().part_number(2).e_tag("x").build();
    assert_eq!(code(complete(&endpoint, "a", &id, &[other]).send().await), "404 NoSuchUpload");
    endpoint.put("a", "new").await;
    assert_eq!(code(complete(&endpoint, "a", &id, &[one]).send().await), "404 NoSuchUpload");
    assert_eq!(endpoint.get("a").await, b"new");
}

#[tokio::test]
async fn a_wrong_completion_names_what_is_wrong_and_keeps_the_parts() {
    let endpoint = Endpoint::start().await;
    let id = begin(&endpoint, "a").await;
    let one = part(&endpoint, "a", &id, 1, noise(100)).await;
    let two = part(&endpoint, "a", &id, 2, noise(100)).await;
    let wrong = CompletedPart::builder().part_number(2).e_tag("\"00\"").build();
    let none = CompletedPart::builder().part_number(3).e_tag("\"00\"").build();
    let cases = [
        (vec![one.clone(), two.clone()], "400 EntityTooSmall"),
        (vec![two.clone(), one.clone()], "400 InvalidPartOrder"),
        (vec![one.clone(), one.clone()], "400 InvalidPartOrder"),
        (vec![wrong], "400 InvalidPart"),
        (vec![none], "400 InvalidPart"),
        (vec![CompletedPart::builder().part_number(0).e_tag("x").build()], "400 InvalidArgument"),
        (vec![], "400 MalformedXML"),
    ];
    for (parts, wanted) in cases {
        assert_eq!(code(complete(&endpoint, "a", &id, &parts).send().await), wanted);
    }
    assert_eq!(
        code(complete(&endpoint, "b", &id, std::slice::from_ref(&one)).send().await),
        "404 NoSuchUpload"
    );
    let size = complete(&endpoint, "a", &id, std::slice::from_ref(&one)).mpu_object_size(99).send().await;
    assert_eq!(code(size), "400 IncompleteBody");
    endpoint.put("a", "there").await;
    let absent = complete(&endpoint, "a", &id, std::slice::from_ref(&one)).if_none_match("*").send().await;
    assert_eq!(code(absent), "412 PreconditionFailed");
    complete(&endpoint, "a", &id, &[one]).send().await.unwrap();
    assert_eq!(endpoint.get("a").await, noise(100));

    let bad = endpoint.client.upload_part().bucket("photos").key("a").upload_id("none").part_number(1);
    assert_eq!(code(bad.body(ByteStream::from_static(b"x")).send().await), "404 NoSuchUpload");
    let id = begin(&endpoint, "a").await;
    for number in [0, 10_001, -1] {
        let bad = endpoint.client.upload_part().bucket("photos").key("a").upload_id(&id).part_number(number);
        assert_eq!(code(bad.body(ByteStream::from_static(b"x")).send().await), "400 InvalidArgument");
    }
}

#[tokio::test]
async fn an_upload_given_up_leaves_nothing() {
    let endpoint = Endpoint::start().await;
    let id = begin(&endpoint, "a").await;
    part(&endpoint, "a", &id, 1, noise(100)).await;
    part(&endpoint, "a", &id, 2, noise(200 << 10)).await;
    assert_eq!(endpoint.files(), 2);
    let abort = || endpoint.client.abort_multipart_upload().bucket("photos").key("a").upload_id(&id);
    abort().send().await.unwrap();
    assert_eq!(code(abort().send().await), "404 NoSuchUpload");
    endpoint.files_become(0).await;
    // It does not keep its bucket either.
    let id = begin(&endpoint, "a").await;
    part(&endpoint, "a", &id, 1, noise(100)).await;
    endpoint.client.delete_bucket().bucket("photos").send().await.unwrap();
    endpoint.files_become(0).await;
}

#[tokio::test]
async fn uploads_and_parts_are_listed_page_by_page() {
    let endpoint = Endpoint::start().await;
    let mut ids = Vec::new();
    for key in ["a/1", "a/1", "a/2", "b"] {
        ids.push((key.to_owned(), begin(&endpoint, key).await));
    }
    ids.sort();
    let (mut told, mut key, mut id) = (Vec::new(), None, None);
    loop {
        let list = endpoint.client.list_multipart_uploads().bucket("photos").max_uploads(1);
        let page = list.set_key_marker(key).set_upload_id_marker(id).send().await.unwrap();
        let uploads = page.uploads().iter();
        told.extend(uploads.map(|u| (u.key().unwrap().to_owned(), u.upload_id().unwrap().to_owned())));
        if page.is_truncated() != Some(true) {
            break;
        }
        (key, id) = (page.next_key_marker, page.next_upload_id_marker);
    }
    assert_eq!(told, ids);
    let list = endpoint.client.list_multipart_uploads().bucket("photos").delimiter("/").send().await.unwrap();
    assert_eq!((list.uploads().len(), list.common_prefixes()[0].prefix()), (1, Some("a/")));
    let list = endpoint.client.list_multipart_uploads().bucket("photos").prefix("a/2").send().await.unwrap();
    assert_eq!(list.uploads().len(), 1);

    let (key, id) = &ids[0];
    for number in [1, 5, 9] {
        part(&endpoint, key, id, number, noise(number as usize)).await;
    }
    let (mut told, mut marker) = (Vec::new(), None);
    loop {
        let list = endpoint.client.list_parts().bucket("photos").key(key).upload_id(id).max_parts(2);
        let page = list.set_part_number_marker(marker).send().await.unwrap();
        told.extend(page.parts().iter().map(|part| (part.part_number().unwrap(), part.size().unwrap())));
        if page.is_truncated() != Some(true) {
            break;
        }
        marker = page.next_part_number_marker;
    }
    assert_eq!(told, [(1, 1), (5, 5), (9, 9)]);
}

#[tokio::test]
async fn a_part_is_copied_out_of_an_object() {
    let endpoint = Endpoint::start().await;
    let source = noise(6 * MIB);
    endpoint.put("source", source.clone()).await;
    let id = begin(&endpoint, "a").await;
    let copy = |number: i32| {
        let copy = endpoint.client.upload_part_copy().bucket("photos").key("a").upload_id(&id);
        copy.part_number(number).copy_source("photos/source")
    };
    let one = copy(1).send().await.unwrap().copy_part_result.unwrap();
    let two = copy(2).copy_source_range("bytes=10-19").send().await.unwrap().copy_part_result.unwrap();
    let end = format!("bytes=0-{}", source.len());
    assert_eq!(code(copy(3).copy_source_range(end).send().await), "400 InvalidArgument");
    assert_eq!(code(copy(3).copy_source_range("bytes=5-").send().await), "400 InvalidArgument");
    assert_eq!(code(copy(3).copy_source_if_none_match("*").send().await), "412 PreconditionFailed");
    let parts = [(1, one.e_tag), (2, two.e_tag)]
        .map(|(number, etag)| CompletedPart::builder().part_number(number).set_e_tag(etag).build());
    complete(&endpoint, "a", &id, &parts).send().await.unwrap();
    assert_eq!(endpoint.get("a").await, [&source[..], &source[10..20]].concat());
}

#[tokio::test]
async fn the_checksum_of_the_whole_is_checked_when_it_is_completed() {
    let endpoint = Endpoint::start().await;
    for (algorithm, kind) in [
        (ChecksumAlgorithm::Crc32, ChecksumType::FullObject),
        (ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject),
        (ChecksumAlgorithm::Crc32, ChecksumType::Composite),
        (ChecksumAlgorithm::Sha256, ChecksumType::Composite),
    ] {
        let begun = endpoint.client.create_multipart_upload().bucket("photos").key("a");
        let begun =
            begun.checksum_algorithm(algorithm.clone()).checksum_type(kind.clone()).send().await.unwrap();
        let id = begun.upload_id.unwrap();
        let mut parts = Vec::new();
        for (number, size) in [(1, 5 * MIB), (2, 17)] {
            let sent =
                endpoint.client.upload_part().bucket("photos").key("a").upload_id(&id).part_number(number);
            let sent =
                sent.checksum_algorithm(algorithm.clone()).body(ByteStream::from(noise(size))).send().await;
            parts.push(CompletedPart::builder().part_number(number).set_e_tag(sent.unwrap().e_tag).build());
        }
        let wrong = complete(&endpoint, "a", &id, &parts);
        let wrong = match algorithm {
            ChecksumAlgorithm::Crc32 => wrong.checksum_crc32("AAAAAA=="),
            ChecksumAlgorithm::Crc64Nvme => wrong.checksum_crc64_nvme("AAAAAAAAAAA="),
            _ => wrong.checksum_sha256("AAAA"),
        };
        assert_eq!(code(wrong.send().await), "400 BadDigest", "{algorithm} {kind}");
        let done = complete(&endpoint, "a", &id, &parts).send().await.unwrap();
        assert_eq!(done.checksum_type(), Some(&kind), "{algorithm}");
        // Where it is of all bytes, the client checks it once more.
        let got = endpoint.client.get_object().bucket("photos").key("a").checksum_mode(ChecksumMode::Enabled);
        let got = got.send().await.unwrap();
        assert_eq!(got.checksum_type(), Some(&kind));
        assert_eq!(got.body.collect().await.unwrap().to_vec(), [noise(5 * MIB), noise(17)].concat());
    }
}
