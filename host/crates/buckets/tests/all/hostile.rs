//! Requests that lie, stop, or never end. Nothing of them is stored.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wicket_buckets::EndpointLimits;
use wicket_core::Timestamp;

use crate::raw::{Raw, exchange};
use crate::support::{Endpoint, code, noise};

/// Nothing was stored, nothing announced, and the endpoint goes on.
async fn unharmed(endpoint: &Endpoint) {
    endpoint.files_become(0).await;
    assert!(endpoint.recorder.announced().is_empty());
    assert_eq!(Raw::new("HEAD", "/photos/a").send(endpoint.address).await.status, 404);
}

#[tokio::test]
async fn a_body_shorter_than_announced_stores_nothing() {
    let endpoint = Endpoint::start().await;
    for size in [10, 300 << 10] {
        let body = noise(size);
        for (sha256, streaming) in [("UNSIGNED-PAYLOAD", false), ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", true)]
        {
            let mut request = Raw::new("PUT", "/photos/a").sha256(sha256);
            let mut sent = body.clone();
            if streaming {
                request = request
                    .header("x-amz-decoded-content-length", size + 1)
                    .header("x-amz-trailer", "x-amz-checksum-crc32");
                sent = [format!("{:x}\r\n", size + 1).as_bytes(), &body].concat();
            }
            let (head, _) = request.signed(endpoint.address);
            let length = format!("content-length: {}\r\n\r\n", sent.len() + 50);
            let answer = exchange(endpoint.address, &[head.as_bytes(), length.as_bytes(), &sent], true).await;
            assert!(matches!(answer.code().as_str(), "0" | "400 IncompleteBody"), "{answer:?}");
            unharmed(&endpoint).await;
        }
    }
}

#[tokio::test]
async fn a_chunked_body_is_taken_at_its_word() {
    let endpoint = Endpoint::start().await;
    let crc = "x-amz-checksum-crc32";
    let hello = "x-amz-checksum-crc32:NhCmhg==";
    let cases = [
        (5, format!("5\r\nhello\r\n0\r\n{hello}\r\n\r\n"), "200"),
        (5, format!("2\r\nhe\r\n3\r\nllo\r\n0\r\n{hello}\r\n\r\n"), "200"),
        (6, format!("5\r\nhello\r\n0\r\n{hello}\r\n\r\n"), "400 IncompleteBody"),
        (4, format!("5\r\nhello\r\n0\r\n{hello}\r\n\r\n"), "400 IncompleteBody"),
        (5, "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n".to_owned(), "400 BadDigest"),
        (5, "5\r\nhello\r\n0\r\n\r\n".to_owned(), "400 BadDigest"),
        (5, "5\r\nhello\r\n".to_owned(), "400 BadDigest"),
        (5, "5\r\nhel".to_owned(), "400 IncompleteBody"),
        (5, "zz\r\nhello\r\n0\r\n\r\n".to_owned(), "400 IncompleteBody"),
        (5, "ffffffffffffffff\r\nhello".to_owned(), "400 BadDigest"),
        (5, "5\r\nhelloXX0\r\n\r\n".to_owned(), "400 IncompleteBody"),
        (5, format!("{}\r\nhello", "0".repeat(5000)), "400 IncompleteBody"),
    ];
    for (length, body, wanted) in cases {
        let put = Raw::new("PUT", "/photos/a").sha256("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        let put = put.header("content-encoding", "aws-chunked").header("x-amz-trailer", crc);
        let answer = put
            .header("x-amz-decoded-content-length", length)
            .body(body.clone())
            .send(endpoint.address)
            .await;
        assert_eq!(answer.code(), wanted, "{body}");
    }
    assert_eq!(endpoint.get("a").await, b"hello");
    assert_eq!(endpoint.recorder.announced().len(), 2);
    let head = endpoint.client.head_object().bucket("photos").key("a").send().await.unwrap();
    assert_eq!(head.content_encoding(), None, "a coding of the transfer is not one of the object");
}

#[tokio::test]
async fn signed_chunks_are_each_checked() {
    let endpoint = Endpoint::start().await;
    let body = noise(100 << 10);
    for spoil in [None, Some(10), Some(70 << 10)] {
        let put = Raw::new("PUT", "/photos/a").sha256("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        let put = put.header("x-amz-decoded-content-length", body.len());
        let (head, signer) = put.signed(endpoint.address);
        let (mut sent, mut before) = (Vec::new(), signer.seed.clone());
        for chunk in body.chunks(64 << 10).chain([&[][..]]) {
            before = signer.chunk(&before, chunk);
            sent.extend_from_slice(format!("{:x};chunk-signature={before}\r\n", chunk.len()).as_bytes());
            sent.extend_from_slice(chunk);
            sent.extend_from_slice(b"\r\n");
        }
        if let Some(at) = spoil {
            sent[at + 200] ^= 1;
        }
        let length = format!("content-length: {}\r\n\r\n", sent.len());
        let answer = exchange(endpoint.address, &[head.as_bytes(), length.as_bytes(), &sent], false).await;
        let wanted = if spoil.is_some() { "403 SignatureDoesNotMatch" } else { "200" };
        assert_eq!(answer.code(), wanted, "{spoil:?}");
    }
    assert_eq!(endpoint.get("a").await, body);
    assert_eq!(endpoint.recorder.announced().len(), 1);

    let put = Raw::new("PUT", "/photos/b").sha256("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    let put = put.header("x-amz-decoded-content-length", 1 << 30);
    let chunk = format!("40000000;chunk-signature={}\r\n", "0".repeat(64));
    let answer = put.body(chunk).send(endpoint.address).await;
    assert_eq!(answer.code(), "400 InvalidRequest", "a chunk that would be held is not taken");
}

#[tokio::test]
async fn what_is_not_what_was_signed_stores_nothing() {
    let endpoint = Endpoint::start().await;
    let put = || Raw::new("PUT", "/photos/a").body("hello");
    let answer = put().sha256("0".repeat(64)).send(endpoint.address).await;
    assert_eq!(answer.code(), "400 XAmzContentSHA256Mismatch");
    let answer = put().sha256("nonsense").send(endpoint.address).await;
    assert_eq!(answer.code(), "403 SignatureDoesNotMatch");
    assert_eq!(put().secret("guess").send(endpoint.address).await.code(), "403 SignatureDoesNotMatch");
    for minutes in [-20, 20] {
        let time = Timestamp(Timestamp::now().0 + minutes * 60_000_000);
        assert_eq!(put().time(time).send(endpoint.address).await.code(), "403 RequestTimeTooSkewed");
    }
    for (name, value) in [
        ("authorization", "AWS test-access:c2lnbmF0dXJl"),
        ("authorization", "AWS4-HMAC-SHA256 nonsense"),
        ("authorization", "Basic b3NjYXI6eA=="),
    ] {
        let request = format!(
            "PUT /photos/a HTTP/1.1\r\nhost: x\r\n{name}: {value}\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"
        );
        let answer = exchange(endpoint.address, &[request.as_bytes()], false).await;
        assert_eq!(answer.status / 100, 4, "{value}: {answer:?}");
    }
    let form = "POST /photos HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\n\
                connection: close\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(exchange(endpoint.address, &[form.as_bytes()], false).await.code(), "501 NotImplemented");
    unharmed(&endpoint).await;
}

#[tokio::test]
async fn sizes_without_end_are_refused_before_they_come() {
    let endpoint = Endpoint::start().await;
    let put = || Raw::new("PUT", "/photos/a").sha256("UNSIGNED-PAYLOAD");
    let (head, _) = put().signed(endpoint.address);
    let large = format!("content-length: {}\r\n\r\n", (5u64 << 30) + 1);
    let answer = exchange(endpoint.address, &[head.as_bytes(), large.as_bytes()], true).await;
    assert_eq!(answer.code(), "400 EntityTooLarge");
    let chunked = b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let answer = exchange(endpoint.address, &[head.as_bytes(), chunked], false).await;
    assert_eq!(answer.code(), "411 MissingContentLength");
    let encrypted =
        put().header("x-amz-server-side-encryption", "AES256").body("x").send(endpoint.address).await;
    assert_eq!(encrypted.code(), "501 NotImplemented");
    let complete = Raw::new("POST", "/photos/a").query("uploadId", "x").body(vec![b'<'; 9 << 20]);
    assert_eq!(complete.send(endpoint.address).await.code(), "400 MaxMessageLengthExceeded");
    for xml in ["<", "<Delete/>", "<Delete><Object/></Delete>", "<a><b></a>", "\u{0}", ""] {
        let answer = Raw::new("POST", "/photos").query("delete", "").body(xml).send(endpoint.address).await;
        assert_eq!(answer.status, 400, "{xml}: {answer:?}");
    }
    let header =
        Raw::new("GET", "/photos/a").header("x-amz-meta-x", "y".repeat(600_000)).send(endpoint.address).await;
    assert_eq!(header.status, 431);
    unharmed(&endpoint).await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let endpoint = Endpoint::start().await;
    let (head, _) = Raw::new("PUT", "/photos/a").sha256("UNSIGNED-PAYLOAD").signed(endpoint.address);
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    stream.write_all(format!("{head}content-length: 10000000\r\n\r\n").as_bytes()).await.unwrap();
    stream.write_all(&noise(1 << 20)).await.unwrap();
    endpoint.files_become(1).await;
    drop(stream);
    unharmed(&endpoint).await;
}

#[tokio::test]
async fn a_refused_upload_tells_its_sender_why() {
    let endpoint = Endpoint::start().await;
    // All of it is on its way before the answer is read.
    let answer =
        Raw::new("PUT", "/nobucket/a").sha256("UNSIGNED-PAYLOAD").body(noise(7 << 20)).send(endpoint.address);
    assert_eq!(answer.await.code(), "404 NoSuchBucket");
    // And who asks first is told before it sends.
    let (head, _) = Raw::new("PUT", "/nobucket/a").sha256("UNSIGNED-PAYLOAD").signed(endpoint.address);
    let asks = b"content-length: 1000000\r\nexpect: 100-continue\r\n\r\n";
    let answer = exchange(endpoint.address, &[head.as_bytes(), asks], false).await;
    assert_eq!(answer.code(), "404 NoSuchBucket");
}

#[tokio::test]
async fn what_was_begun_is_finished_when_the_host_stops() {
    let endpoint = Endpoint::start().await;
    let body = noise(1 << 20);
    let (head, _) = Raw::new("PUT", "/photos/a").sha256("UNSIGNED-PAYLOAD").signed(endpoint.address);
    let mut busy = TcpStream::connect(endpoint.address).await.unwrap();
    busy.write_all(format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes()).await.unwrap();
    busy.write_all(&body[..500_000]).await.unwrap();
    let mut idle = TcpStream::connect(endpoint.address).await.unwrap();
    endpoint.files_become(1).await;
    endpoint.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(10), idle.read_to_end(&mut Vec::new())).await;
    assert_eq!(ended.expect("an idle connection ends at once").unwrap(), 0);
    assert!(!endpoint.serving.is_finished());
    busy.write_all(&body[500_000..]).await.unwrap();
    let mut answer = Vec::new();
    busy.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    tokio::time::timeout(Duration::from_secs(10), endpoint.serving).await.expect("it ends").unwrap();
    assert!(TcpStream::connect(endpoint.address).await.is_err());
    assert_eq!(endpoint.recorder.announced(), ["photos/a"]);
}

#[tokio::test]
async fn who_is_too_slow_is_let_go_and_makes_room() {
    let short = Duration::from_millis(300);
    let limits = EndpointLimits { connections: 1, uploads: 1, head: short, body: short, write: short };
    let endpoint = Endpoint::start_with(limits).await;
    endpoint.put("large", noise(40 << 20)).await;
    // With one connection at once, this is answered when the one before is let go.
    let next =
        async || assert_eq!(Raw::new("HEAD", "/photos/large").send(endpoint.address).await.status, 200);

    let mut silent = TcpStream::connect(endpoint.address).await.unwrap();
    silent.write_all(b"GET /photos/a HTT").await.unwrap();
    next().await;

    let (head, _) = Raw::new("PUT", "/photos/a").sha256("UNSIGNED-PAYLOAD").signed(endpoint.address);
    let mut stalled = TcpStream::connect(endpoint.address).await.unwrap();
    stalled.write_all(format!("{head}content-length: 1000000\r\n\r\n").as_bytes()).await.unwrap();
    stalled.write_all(&noise(100_000)).await.unwrap();
    next().await;
    let mut told = Vec::new();
    stalled.read_to_end(&mut told).await.unwrap();
    assert!(String::from_utf8_lossy(&told).contains("<Code>RequestTimeout</Code>"), "{told:?}");

    let (head, _) = Raw::new("GET", "/photos/large").signed(endpoint.address);
    let mut deaf = TcpStream::connect(endpoint.address).await.unwrap();
    deaf.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    next().await;
    let mut got = Vec::new();
    let _cut_off = deaf.read_to_end(&mut got).await;
    assert!(got.len() < 40 << 20, "{}", got.len());
    endpoint.files_become(1).await;
}

/// The head of an upload of so many bytes.
fn upload(endpoint: &Endpoint, path: &str, size: usize) -> String {
    let (head, _) = Raw::new("PUT", path).sha256("UNSIGNED-PAYLOAD").signed(endpoint.address);
    format!("{head}content-length: {size}\r\n\r\n")
}

/// Sends a piece every 20 ms, until the other side is gone.
async fn trickle(stream: &mut (impl AsyncWriteExt + Unpin), piece: &[u8]) {
    while stream.write_all(piece).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn who_sends_next_to_nothing_is_let_go() {
    let limits = EndpointLimits { body: Duration::from_millis(300), ..EndpointLimits::default() };
    let endpoint = Endpoint::start_with(limits).await;
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    stream.write_all(upload(&endpoint, "/photos/a", 1_000_000).as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut told = Vec::new();
    let both = async {
        tokio::select! { _ = reader.read_to_end(&mut told) => {}, () = trickle(&mut writer, b"x") => {} }
    };
    tokio::time::timeout(Duration::from_secs(10), both).await.expect("it is let go");
    assert!(String::from_utf8_lossy(&told).contains("<Code>RequestTimeout</Code>"), "{told:?}");
    unharmed(&endpoint).await;
}

#[tokio::test]
async fn large_uploads_at_once_are_bounded_and_small_ones_go_on() {
    let limits = EndpointLimits { uploads: 1, body: Duration::from_millis(300), ..EndpointLimits::default() };
    let endpoint = Endpoint::start_with(limits).await;
    let mut busy = TcpStream::connect(endpoint.address).await.unwrap();
    busy.write_all(upload(&endpoint, "/photos/large", 1 << 30).as_bytes()).await.unwrap();
    busy.write_all(&noise(100 << 10)).await.unwrap();
    endpoint.files_become(1).await;
    let others = async {
        let put = endpoint.client.put_object().bucket("photos").key("b");
        assert_eq!(code(put.body(noise(100 << 10).into()).send().await), "503 SlowDown");
        endpoint.put("small", "x").await;
    };
    let piece = noise(32 << 10);
    tokio::select! {
        () = trickle(&mut busy, &piece) => panic!("the first upload was cut off"),
        () = others => {}
    }
    drop(busy);
    endpoint.files_become(0).await;
    endpoint.put("b", noise(100 << 10)).await;
}
