//! Requests for the buckets.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::garble::{each, garbled};
use super::{Target, signed};

/// How long an answer is waited for, when it is not sure that there will be one.
const PATIENCE: Duration = Duration::from_millis(200);
const SOON: Duration = Duration::from_secs(30);

const WORDS: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    ": ",
    " ",
    "?",
    "&",
    "=",
    "%",
    "%00",
    "%2F",
    "/..",
    "//",
    "\0",
    "é",
    "<",
    ">",
    "</",
    "<Key>",
    "&lt;",
    "&#0;",
    "<!--",
    "<![CDATA[",
    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
    "&b;",
    "content-length: 5\r\n",
    "transfer-encoding: chunked\r\n",
    "aws-chunked",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "uploadId=",
    "partNumber=",
    "range: bytes=",
    "-1",
    "18446744073709551616",
    "if-match: *\r\n",
    "x-amz-copy-source: /photos/../x\r\n",
];

/// The status of what the buckets answer; 0 when they only close the connection.
#[track_caller]
fn status(target: &Target, bytes: &[u8]) -> u16 {
    let address = target.host.s3.trim_start_matches("http://").to_owned();
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("the buckets listen");
        let (mut reader, mut writer) = stream.split();
        let mut said = Vec::new();
        let talk = async {
            let _closed = writer.write_all(bytes).await;
            std::future::pending::<()>().await;
        };
        // They may wait for more of what was cut off.
        let answer = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut said));
        tokio::select! {
            () = talk => {}
            _reset_or_silence = answer => {}
        }
        let _closed = writer.shutdown().await;
        let rest = tokio::time::timeout(SOON, reader.read_to_end(&mut said)).await;
        let _reset = rest.expect("the buckets end a connection that was ended");
        said
    };
    let said = target.runtime.block_on(exchange);
    let said = String::from_utf8_lossy(&said).into_owned();
    let status = said.rsplit("HTTP/1.1 ").find_map(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0);
    assert!(status < 500 || status == 501, "{said} to {}", String::from_utf8_lossy(bytes));
    status
}

#[test]
fn a_garbled_request_for_the_buckets_is_refused() {
    let target = Target::start();
    let plain = [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /photos?list-type=2&prefix=in/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "PUT /photos/in/a.jpg HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n\r\nhello",
        "POST /photos?delete HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n<Delete/>",
    ];
    let mut seeds: Vec<Vec<u8>> = plain.iter().map(|text| text.as_bytes().to_vec()).collect();
    seeds.push(signed::request(&target.host, "PUT", "/photos", &[], b""));
    seeds.push(signed::request(&target.host, "PUT", "/photos/in/a.jpg", &[], b"hello"));
    seeds.push(signed::request(&target.host, "GET", "/photos/in/a.jpg", &[("range", "bytes=0-3")], b""));
    for seed in &seeds[4..] {
        assert_eq!(status(&target, seed) / 100, 2);
    }
    each(200, garbled(seeds, WORDS), |bytes| {
        status(&target, &bytes);
    });
    target.unharmed();
}

#[test]
fn a_garbled_body_for_the_buckets_is_refused() {
    let target = Target::start();
    assert_eq!(status(&target, &signed::request(&target.host, "PUT", "/photos", &[], b"")), 200);
    let seeds: Vec<Vec<u8>> = [
        "<Delete><Object><Key>a</Key></Object><Object><Key>b/c</Key><VersionId>null</VersionId></Object><Quiet>true</Quiet></Delete>",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag></Part></CompleteMultipartUpload>",
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>",
        "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    let places = select(vec![
        ("POST", "/photos?delete="),
        ("POST", "/photos/a?uploadId=0"),
        ("POST", "/photos/a?uploads="),
        ("PUT", "/more"),
        ("PUT", "/photos/a?tagging="),
        ("PUT", "/photos?versioning="),
        ("PUT", "/photos?notification="),
        ("PUT", "/photos/a?partNumber=1&uploadId=6f1ed002ab5595859014ebf0951522d9"),
    ]);
    each(500, (places, garbled(seeds, WORDS)), |((method, place), body)| {
        status(&target, &signed::request(&target.host, method, place, &[], &body));
    });
    let deep = "<a>".repeat(20_000) + &"</a>".repeat(20_000);
    let bomb = "<!DOCTYPE a [<!ENTITY b \"cccccccc\"><!ENTITY d \"&b;&b;&b;&b;\">]><Delete><Object><Key>&d;&d;&d;</Key></Object></Delete>";
    let many = format!("<Delete>{}</Delete>", "<Object><Key>a</Key></Object>".repeat(1_001));
    for body in [deep.as_str(), bomb, &many, &"x".repeat(3 << 20)] {
        let status =
            status(&target, &signed::request(&target.host, "POST", "/photos?delete=", &[], body.as_bytes()));
        assert!((400..500).contains(&status), "{status} to {}", &body[..100]);
    }
    target.unharmed();
}

#[test]
fn a_garbled_query_for_the_buckets_is_refused_or_understood() {
    let target = Target::start();
    assert_eq!(status(&target, &signed::request(&target.host, "PUT", "/photos", &[], b"")), 200);
    assert_eq!(status(&target, &signed::request(&target.host, "PUT", "/photos/a", &[], b"hello")), 200);
    let value = select(vec![
        "",
        "0",
        "1",
        "-1",
        "1000",
        "1001",
        "2147483648",
        "18446744073709551616",
        "x",
        "%00",
        "%FF",
        "%2F",
        "..",
        "a",
        "%C3%A9",
        "true",
        "url",
        "bytes%3D0-1",
        "6f1ed002ab5595859014ebf0951522d9",
        "%25",
        "null",
        "Thu%2C%2001%20Jan%202099",
    ]);
    let name = select(vec![
        "continuation-token",
        "delimiter",
        "delete",
        "encoding-type",
        "fetch-owner",
        "key-marker",
        "list-type",
        "marker",
        "max-keys",
        "max-parts",
        "max-uploads",
        "part-number-marker",
        "partNumber",
        "prefix",
        "response-content-type",
        "start-after",
        "upload-id-marker",
        "uploadId",
        "uploads",
        "versionId",
        "versions",
    ]);
    let header = select(vec![
        ("range", "bytes=0-"),
        ("range", "bytes=-0"),
        ("range", "bytes=9-1"),
        ("range", "bytes=18446744073709551615-"),
        ("range", "bytes=0-0,2-2"),
        ("range", "lines=1"),
        ("if-match", "\"x\""),
        ("if-none-match", "*"),
        ("if-modified-since", "yesterday"),
        ("x-amz-copy-source", "photos/a"),
        ("x-amz-copy-source", "/photos/%ff"),
        ("x-amz-copy-source", "photos"),
        ("x-amz-copy-source-range", "bytes=5-1"),
        ("content-md5", "x"),
        ("x-amz-checksum-crc32", "AAAA"),
        ("x-amz-decoded-content-length", "-1"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-meta-a", "\u{e9}"),
        ("x-amz-sdk-checksum-algorithm", "CRC99"),
        ("x-amz-storage-class", "DEEP"),
        ("x-amz-acl", "public-read"),
        ("expect", "100-continue"),
    ]);
    let queries = prop::collection::btree_map(name, value, 0..5);
    let method = select(vec!["GET", "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"]);
    let path = select(vec![
        "/",
        "/photos",
        "/photos/",
        "/photos/a",
        "/photos/none",
        "/none/a",
        "/photos//",
        "/photos/%2e%2e/x",
        "/photos/a%00b",
        "/%",
    ]);
    each(
        600,
        (method, path, queries, prop::collection::vec(header, 0..3)),
        |(method, path, query, headers)| {
            let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let place =
                if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) };
            status(&target, &signed::request(&target.host, method, &place, &headers, b""));
        },
    );
    target.unharmed();
}
