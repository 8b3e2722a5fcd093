//! Bodies: streamed, and limited.

use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wicket_tests::{TestHost, failure};

use super::service;

#[tokio::test]
async fn requests_and_answers_are_streamed() {
    let host = TestHost::start();
    host.apply(&service("echo", "echo-http", ""));
    let mut wire = host.connect().await;
    wire.send("POST /echo/a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    // It answers before the request is whole, and every piece before the next one is sent.
    let head = wire.head().await.expect("an answer");
    assert_eq!(head.status, StatusCode::OK);
    for piece in ["one", "two", "three"] {
        wire.send(format!("{:x}\r\n{piece}\r\n", piece.len())).await;
        let mut came = Vec::new();
        while came.len() < piece.len() {
            came.extend(wire.chunk().await.expect("a piece").expect("more"));
        }
        assert_eq!(came, piece.as_bytes());
    }
    wire.send("0\r\n\r\n").await;
    assert_eq!(wire.chunk().await.expect("an end"), None);
    let receipt = host.receipt(head.invocation()).await;
    assert_eq!((failure(&receipt), &receipt["attempts"][0]["bytes_in"]), ("none", &11.into()), "{receipt}");
}

#[tokio::test]
async fn a_body_larger_than_memory_passes_through() {
    const SIZE: usize = 192 << 20;
    let host = TestHost::start();
    host.apply(&service("echo", "echo-http", "    limits: { body: 1GiB, cpu_time: 1m }"));
    let before = host.rss();
    let stream = TcpStream::connect(host.http.trim_start_matches("http://")).await.expect("a connection");
    let (mut reader, mut writer) = stream.into_split();
    let send = async {
        let head = format!(
            "POST /echo/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {SIZE}\r\n\r\n"
        );
        writer.write_all(head.as_bytes()).await.expect("the host reads");
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..SIZE >> 20 {
            writer.write_all(&piece).await.expect("the host reads");
        }
    };
    let receive = async {
        let (mut came, mut most, mut piece) = (0, 0, vec![0; 1 << 20]);
        loop {
            let n = reader.read(&mut piece).await.expect("the host answers");
            if n == 0 {
                return (came, most);
            }
            came += piece[..n].iter().filter(|byte| **byte == b'x').count();
            most = most.max(host.rss());
        }
    };
    let ((), (came, most)) = tokio::join!(send, receive);
    // One is in the name of a header.
    assert!((SIZE..SIZE + 10).contains(&came), "{came}");
    assert!(most < before + (48 << 20), "{before} bytes of memory became {most}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_announced_or_not() {
    let host = TestHost::start();
    host.apply(&service("small", "hostile-http", "    limits: { body: 1KiB }"));
    let post = async |bytes: String| {
        let mut wire = host.connect().await;
        wire.send(bytes).await;
        wire.answer().await.expect("an answer")
    };
    let head = "POST /small/slowly HTTP/1.1\r\nhost: a\r\n";
    let fits = post(format!("{head}content-length: 1024\r\n\r\n{}", "x".repeat(1024))).await;
    assert_eq!((fits.status, fits.text()), (StatusCode::OK, "1024".to_owned()));
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let fits = post(format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n")).await;
    assert_eq!((fits.status, fits.text()), (StatusCode::OK, "1024".to_owned()));
    for over in [
        format!("content-length: 1025\r\n\r\n{}", "x".repeat(1025)),
        format!("transfer-encoding: chunked\r\n\r\n{chunk}1\r\nx\r\n0\r\n\r\n"),
    ] {
        let refused = post(format!("{head}{over}")).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (StatusCode::PAYLOAD_TOO_LARGE, &"body_limit".into())
        );
        assert_eq!(failure(&host.receipt(refused.invocation()).await), "body");
    }
    // Who is still sending hears why nobody wants it.
    for lengths in ["content-length: 8000000", "transfer-encoding: chunked"] {
        let mut wire = host.connect().await;
        let body = format!("7a1200\r\n{}\r\n0\r\n\r\n", "x".repeat(8_000_000));
        let sent = wire.try_send(format!("{head}{lengths}\r\n\r\n{body}")).await;
        sent.expect("no reset under the answer");
        assert_eq!(
            wire.answer().await.expect("an answer").status,
            StatusCode::PAYLOAD_TOO_LARGE,
            "{lengths}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_whole_answer() {
    let host = TestHost::start();
    host.apply(&service("web", "hostile-http", "    limits: { output: 4MiB }"));
    let mut wire = host.connect().await;
    wire.send("GET /web/flood HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = wire.head().await.expect("it began to answer");
    let mut came = 0;
    let broken = loop {
        match wire.chunk().await {
            Ok(Some(chunk)) => came += chunk.len(),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken && came <= 4 << 20, "{came} bytes came, as if they were all");
    assert_eq!(failure(&host.receipt(head.invocation()).await), "output");
    // An answer without a body ends well, whatever the function would have said.
    let head = host.send(Method::HEAD, "/web/fine", &[], Default::default()).await;
    assert_eq!((head.status, failure(&host.receipt(head.invocation()).await)), (StatusCode::OK, "none"));
}
