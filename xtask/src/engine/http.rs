//! One question to an engine, over its socket.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

/// Largest answer.
const LARGEST: u64 = 16 << 20;
/// Longest silence: it may be writing a large image to a slow disk.
const PATIENCE: Duration = Duration::from_secs(300);

/// Asks, with a file as the body; status and body of the answer.
pub(crate) fn ask(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<&Path>,
) -> anyhow::Result<(u16, Vec<u8>)> {
    let failed = || format!("{method} {path} at {}", socket.display());
    let answer = exchanged(socket, method, path, body).with_context(failed)?;
    parsed(&answer).context("the engine answers no HTTP").with_context(failed)
}

/// HTTP/1.0: the answer is plain, and ends where the connection does.
fn exchanged(socket: &Path, method: &str, path: &str, body: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut file = body.map(File::open).transpose()?;
    let size = file.as_ref().map(File::metadata).transpose()?.map_or(0, |about| about.len());
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/x-tar\r\nContent-Length: {size}\r\n\r\n"
    )?;
    if let Some(file) = &mut file {
        std::io::copy(file, &mut stream)?;
    }
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer)?;
    Ok(answer)
}

fn parsed(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer[end + 4..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let (status, body) = parsed(b"HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n{\"message\":\"no\"}").unwrap();
        assert_eq!((status, body.as_slice()), (404, &b"{\"message\":\"no\"}"[..]));
        for no_answer in [&b""[..], b"HTTP/1.0 404", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 \r\n\r\n"] {
            assert_eq!(parsed(no_answer), None);
        }
    }
}
