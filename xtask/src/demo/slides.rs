//! A slide show: an AVI in which each picture is a JPEG, as cameras write it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::host::Host;
use super::shown;

/// Pictures a second, and how many of them.
const RATE: u32 = 2;
const MOST: usize = 48;
/// Pixels of the box that the thumbnails fit.
const SIDE: u32 = 320;

/// Makes one of the thumbnails on a host.
pub(super) fn make(host: &Host, dir: &Path, file: &Path) -> anyhow::Result<()> {
    let into = dir.join("thumbs");
    host.wicket(&["bucket", "get", "--recursive", "photos/thumbs/", shown(&into)?])?;
    let mut files = super::photos::files_below(&into)?;
    files.sort();
    files.truncate(MOST);
    ensure!(!files.is_empty(), "there is no thumbnail to show");
    let read = |file: &PathBuf| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    let slides: Vec<Vec<u8>> = files.iter().map(read).collect::<anyhow::Result<_>>()?;
    fs::write(file, avi(&slides)).with_context(|| format!("cannot write {}", file.display()))?;
    fs::remove_dir_all(into).context("cannot remove the thumbnails")
}

/// Headers, then the pictures.
fn avi(slides: &[Vec<u8>]) -> Vec<u8> {
    let n_slides = slides.len() as u32;
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    // Microseconds of a picture; then how many pictures and streams, and their size.
    let main = words(&[1_000_000 / RATE, 0, 0, 0, n_slides, 0, 1, 0, SIDE, SIDE, 0, 0, 0, 0]);
    let stream =
        [b"vidsMJPG".to_vec(), words(&[0, 0, 0, 1, RATE, 0, n_slides, 0, u32::MAX, 0, 0, 0])].concat();
    // One plane of 24 bits.
    let format =
        words(&[40, SIDE, SIDE, 1 | 24 << 16, u32::from_le_bytes(*b"MJPG"), SIDE * SIDE * 3, 0, 0, 0, 0]);
    let stream = list(b"LIST", b"strl", &[chunk(b"strh", &stream), chunk(b"strf", &format)]);
    let pictures: Vec<Vec<u8>> = slides.iter().map(|slide| chunk(b"00dc", slide)).collect();
    let header = list(b"LIST", b"hdrl", &[chunk(b"avih", &main), stream]);
    list(b"RIFF", b"AVI ", &[header, list(b"LIST", b"movi", &pictures)])
}

fn list(id: &[u8; 4], kind: &[u8; 4], chunks: &[Vec<u8>]) -> Vec<u8> {
    chunk(id, &[kind.to_vec(), chunks.concat()].concat())
}

/// Its id, its size, its bytes, and one more where that is odd.
fn chunk(id: &[u8; 4], bytes: &[u8]) -> Vec<u8> {
    let mut chunk = [id.to_vec(), (bytes.len() as u32).to_le_bytes().to_vec(), bytes.to_vec()].concat();
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}
