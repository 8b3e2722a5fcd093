//! Connections to the HTTP listener, byte by byte, for what no well-behaved client sends.

use std::io;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Answer, TestHost};

/// Longest wait for anything.
const SOON: Duration = Duration::from_secs(60);

/// One TCP connection.
#[derive(Debug)]
pub struct Wire {
    stream: BufReader<TcpStream>,
}

impl TestHost {
    /// Connects to the HTTP listener.
    ///
    /// # Panics
    ///
    /// When there is no connection to be had.
    pub async fn connect(&self) -> Wire {
        let address = self.http.trim_start_matches("http://");
        let stream =
            timeout(SOON, TcpStream::connect(address)).await.expect("in time").expect("a connection");
        Wire { stream: BufReader::new(stream) }
    }

    /// Sends bytes on a connection of their own, and reads all that comes until the host closes it.
    pub async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut wire = self.connect().await;
        wire.send(bytes).await;
        String::from_utf8_lossy(&wire.rest().await).into_owned()
    }
}

impl Wire {
    /// The stream below.
    pub fn tcp(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends bytes; that the host has closed the connection meanwhile is seen when it is read.
    ///
    /// # Panics
    ///
    /// When the host takes nothing for a minute.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _closed = self.try_send(bytes).await;
    }

    /// Sends bytes; an error when the host does not read them all.
    ///
    /// # Panics
    ///
    /// When the host takes nothing for a minute.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        timeout(SOON, self.stream.write_all(bytes.as_ref())).await.expect("the host reads")
    }

    /// The next answer, whole. None when the connection ended before its first byte.
    ///
    /// # Panics
    ///
    /// When there is none for a minute, or it breaks off.
    pub async fn answer(&mut self) -> Option<Answer> {
        let mut answer = self.head().await?;
        let text =
            |name: &str| answer.headers.get(name).map(|value| value.to_str().expect("text").to_owned());
        if text("transfer-encoding").as_deref() == Some("chunked") {
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk().await.expect("an answer does not break off") {
                body.extend(chunk);
            }
            answer.body = body.into();
        } else if let Some(length) = text("content-length") {
            let mut body = vec![0; length.parse().expect("a length")];
            let read = timeout(SOON, self.stream.read_exact(&mut body)).await.expect("an answer in time");
            read.expect("an answer does not break off");
            answer.body = body.into();
        } else if !answer.status.is_informational() && answer.status != StatusCode::NO_CONTENT {
            answer.body = self.rest().await.into();
        }
        Some(answer)
    }

    /// The next answer up to the end of its headers. None when the connection ended before its first byte.
    ///
    /// # Panics
    ///
    /// When there is none for a minute.
    pub async fn head(&mut self) -> Option<Answer> {
        let line = self.line().await.ok().filter(|line| !line.is_empty())?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let mut headers = HeaderMap::new();
        loop {
            let line = self.line().await.expect("a head does not break off");
            let Some((name, value)) = line.split_once(": ") else { break };
            let name: HeaderName = name.parse().expect("a header's name");
            headers.append(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        Some(Answer { status, headers, body: Default::default() })
    }

    /// The next chunk of an answer's body; none is its end.
    pub async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line().await?;
        let size =
            usize::from_str_radix(&line, 16).map_err(|_| io::Error::other(format!("no size: {line:?}")))?;
        let mut chunk = vec![0; size + 2];
        timeout(SOON, self.stream.read_exact(&mut chunk)).await.expect("an answer in time")?;
        chunk.truncate(size);
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }

    /// Everything until the host closes the connection, well or not.
    ///
    /// # Panics
    ///
    /// When it does not close it within a minute.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _reset = timeout(SOON, self.stream.read_to_end(&mut rest)).await.expect("the host closes");
        rest
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        timeout(SOON, self.stream.read_until(b'\n', &mut line)).await.expect("an answer in time")?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}
