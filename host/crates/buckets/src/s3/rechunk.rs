//! Bodies in `aws-chunked` coding, cut into small chunks. The protocol's decoder holds a chunk until its end, and some
//! clients send a body of any size as one chunk.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Largest chunk with a signature: it cannot be cut. Clients send 64 KiB to 1 MiB.
const SIGNED: u64 = 16 << 20;
/// Longest first line of a chunk.
const LINE: usize = 1024;

/// A chunk with a signature is too large to be held.
#[derive(Debug, thiserror::Error)]
#[error("a signed chunk of {0} bytes: at most 16 MiB are taken")]
pub(crate) struct TooLarge(u64);

/// Cuts chunks without a signature into those of single reads, and passes all else on as it is. What is malformed is
/// passed on too: the decoder tells.
#[derive(Debug)]
pub(crate) struct Rechunk {
    state: State,
    line: BytesMut,
}

#[derive(Debug)]
enum State {
    /// In a chunk's first line.
    Line,
    /// So much of the chunk is to come, cut anew.
    Cut(u64),
    /// So much of the chunk and its line end is to come, as it is.
    Pass(u64),
    /// So many bytes of the line end after a cut chunk.
    LineEnd(u8),
    /// After the last chunk, or in what is no chunk.
    Rest,
}

impl Rechunk {
    pub(crate) fn new() -> Self {
        Self { state: State::Line, line: BytesMut::new() }
    }

    /// Takes what was read, and puts what is to be decoded into `out`.
    pub(crate) fn feed(&mut self, mut bytes: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), TooLarge> {
        while !bytes.is_empty() {
            match self.state {
                State::Line => {
                    let end = bytes.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
                    self.line.extend_from_slice(&bytes.split_to(end.unwrap_or(bytes.len())));
                    if end.is_some() || self.line.len() > LINE {
                        self.state = self.begin(out)?;
                    }
                }
                State::Cut(left) => {
                    let cut = bytes.split_to(at_most(left, bytes.len()));
                    let left = left - cut.len() as u64;
                    out.push_back(format!("{:x}\r\n", cut.len()).into());
                    out.push_back(cut);
                    out.push_back(Bytes::from_static(b"\r\n"));
                    self.state = if left > 0 { State::Cut(left) } else { State::LineEnd(2) };
                }
                State::Pass(left) => {
                    let pass = bytes.split_to(at_most(left, bytes.len()));
                    let left = left - pass.len() as u64;
                    out.push_back(pass);
                    self.state = if left > 0 { State::Pass(left) } else { State::Line };
                }
                State::LineEnd(left) => {
                    let wanted: &[u8] = if left == 2 { b"\r" } else { b"\n" };
                    if !bytes.starts_with(wanted) {
                        // It stands where a chunk begins, and is none.
                        self.state = State::Rest;
                        continue;
                    }
                    let _end = bytes.split_to(1);
                    self.state = if left > 1 { State::LineEnd(left - 1) } else { State::Line };
                }
                State::Rest => out.push_back(std::mem::take(&mut bytes)),
            }
        }
        Ok(())
    }

    /// The chunk after its first line.
    fn begin(&mut self, out: &mut VecDeque<Bytes>) -> Result<State, TooLarge> {
        let line = self.line.split().freeze();
        let (size, signed) = match parse(&line) {
            Some((size, signed)) if size > 0 => (size, signed),
            Some(_) | None => {
                out.push_back(line);
                return Ok(State::Rest);
            }
        };
        if !signed {
            return Ok(State::Cut(size));
        }
        if size > SIGNED {
            return Err(TooLarge(size));
        }
        out.push_back(line);
        Ok(State::Pass(size + 2))
    }
}

fn at_most(left: u64, here: usize) -> usize {
    usize::try_from(left).unwrap_or(here).min(here)
}

/// Size of a chunk, and whether anything stands beside it.
fn parse(line: &[u8]) -> Option<(u64, bool)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let (size, extension) = line.split_once(';').map_or((line, None), |(size, rest)| (size, Some(rest)));
    let digits = !size.is_empty() && size.len() <= 16 && size.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits {
        return None;
    }
    Some((u64::from_str_radix(size, 16).ok()?, extension.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(pieces: &[&[u8]]) -> Result<Vec<u8>, TooLarge> {
        let (mut rechunk, mut out) = (Rechunk::new(), VecDeque::new());
        for piece in pieces {
            rechunk.feed(Bytes::copy_from_slice(piece), &mut out)?;
        }
        Ok(out.into_iter().flatten().collect())
    }

    #[test]
    fn a_large_chunk_becomes_small_ones_and_the_trailer_stays() {
        let cut = fed(&[b"b\r", b"\nhello", b" world\r", b"\n0\r\nx-amz-checksum-crc32:AAAA", b"\r\n\r\n"])
            .unwrap();
        assert_eq!(cut, b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n");
    }

    #[test]
    fn a_signed_chunk_is_passed_on_unless_it_is_too_large() {
        let signed: &[u8] = b"5;chunk-signature=ab\r\nhello\r\n0;chunk-signature=cd\r\n\r\n";
        assert_eq!(fed(&[signed]).unwrap(), signed);
        assert_eq!(fed(&[&signed[..7], &signed[7..25], &signed[25..]]).unwrap(), signed);
        assert_eq!(fed(&[b"1000001;chunk-signature=ab\r\n"]).unwrap_err().0, 0x100_0001);
    }

    #[test]
    fn what_is_no_chunk_is_left_to_the_decoder() {
        for raw in [&b"zz\r\nhello\r\n"[..], b"\r\n", b"-1\r\nx", b"11111111111111111\r\n", b"5\nhello"] {
            assert_eq!(fed(&[raw]).unwrap(), raw);
        }
        let long = vec![b'1'; 5000];
        assert_eq!(fed(&[&long]).unwrap(), long);
        assert_eq!(fed(&[b"1\r\nxy0\r\n"]).unwrap(), b"1\r\nx\r\ny0\r\n");
    }
}
