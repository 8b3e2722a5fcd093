//! What a function left in its output folder, as one archive whose every part can be read at any time: its length is
//! known before it is sent, and nothing of it is held.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use wicket_supervisor::MOST_FILES;

/// Folders may be nested this deep.
const DEEPEST: usize = 64;
/// An archive is made of blocks, and ends with two that are empty.
const BLOCK: u64 = 512;

/// The regular files below a folder.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    pub(crate) files: Vec<Output>,
    /// Names of what is neither a file nor a folder: it is not put out.
    pub(crate) others: Vec<String>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Output {
    name: String,
    path: PathBuf,
    size: u64,
}

impl Outputs {
    /// Looks through a folder; follows no links.
    pub(crate) fn find(folder: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        found.walk(folder, "", 0)?;
        Ok(found)
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |total, file| total.saturating_add(file.size))
    }

    fn walk(&mut self, folder: &Path, below: &str, depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(io::Error::other(format!("folders are nested deeper than {DEEPEST}")));
        }
        let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type()?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| io::Error::other("a file name is no UTF-8"))?;
            let name = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            if kind.is_dir() {
                self.walk(&entry.path(), &name, depth + 1)?;
            } else if !kind.is_file() {
                self.others.push(name);
            } else if self.files.len() >= MOST_FILES {
                return Err(io::Error::other(format!("there are more than {MOST_FILES} files")));
            } else {
                self.files.push(Output { name, path: entry.path(), size: entry.metadata()?.len() });
            }
        }
        Ok(())
    }

    /// The archive of them.
    pub(crate) fn archive(&self) -> io::Result<Archive> {
        let mut pieces = Vec::with_capacity(self.files.len() * 3 + 1);
        for file in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(file.size);
            header.set_mode(0o644);
            // It writes the header, with what a long name needs before it, and no bytes of the file.
            let mut head = tar::Builder::new(Vec::new());
            head.append_data(&mut header, &file.name, io::empty())?;
            // The end of an archive follows, which is not here yet.
            let mut head = head.into_inner()?;
            head.truncate(head.len().saturating_sub(2 * BLOCK as usize));
            pieces.push(Piece::Bytes(head));
            pieces.push(Piece::File { path: file.path.clone(), size: file.size });
            pieces.push(Piece::Zeros(file.size.next_multiple_of(BLOCK) - file.size));
        }
        pieces.push(Piece::Zeros(2 * BLOCK));
        Ok(Archive { pieces })
    }
}

/// An archive that is not written anywhere.
#[derive(Debug)]
pub(crate) struct Archive {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    File { path: PathBuf, size: u64 },
    Zeros(u64),
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
            Self::Zeros(length) => *length,
        }
    }

    /// Its bytes from a place on; a file that became shorter is an error when it is read.
    fn read_from(&self, start: u64) -> io::Result<Box<dyn Read + '_>> {
        match self {
            Self::Bytes(bytes) => Ok(Box::new(&bytes[usize::try_from(start).unwrap_or(bytes.len())..])),
            Self::Zeros(length) => Ok(Box::new(io::repeat(0).take(length - start))),
            Self::File { path, size } => {
                use std::os::unix::fs::OpenOptionsExt as _;
                let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
                let mut file: File = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
                file.seek(SeekFrom::Start(start))?;
                Ok(Box::new(file.take(size - start)))
            }
        }
    }
}

impl Archive {
    /// Its bytes in all.
    pub(crate) fn length(&self) -> u64 {
        self.pieces.iter().map(Piece::length).sum()
    }

    /// `length` bytes of it from `start` on.
    pub(crate) fn part(&self, start: u64, length: u64) -> Part<'_> {
        Part { pieces: self.pieces.iter(), skip: start, left: length, current: None }
    }
}

/// A part of an archive, while it is read.
pub(crate) struct Part<'a> {
    pieces: std::slice::Iter<'a, Piece>,
    /// Bytes before it, of the pieces that are still to come.
    skip: u64,
    /// Bytes of it that are still to come.
    left: u64,
    /// The piece that is read, and how much of that is to come.
    current: Option<(Box<dyn Read + 'a>, u64)>,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some((reader, rest)) = &mut self.current
                && *rest > 0
            {
                let most = usize::try_from((*rest).min(self.left)).unwrap_or(usize::MAX).min(buffer.len());
                let read = reader.read(&mut buffer[..most])?;
                if read == 0 {
                    return Err(io::Error::other("an output file became shorter while it was sent"));
                }
                *rest -= read as u64;
                self.left -= read as u64;
                return Ok(read);
            }
            let Some(piece) = self.pieces.next() else { return Ok(0) };
            let length = piece.length();
            if self.skip >= length {
                self.skip -= length;
                continue;
            }
            self.current = Some((piece.read_from(self.skip)?, length - self.skip));
            self.skip = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn bytes(archive: &Archive, part: u64) -> Vec<u8> {
        let mut all = Vec::new();
        let mut start = 0;
        while start < archive.length() {
            let length = part.min(archive.length() - start);
            let before = all.len();
            archive.part(start, length).read_to_end(&mut all).unwrap();
            assert_eq!((all.len() - before) as u64, length);
            start += length;
        }
        all
    }

    #[test]
    fn an_archive_in_parts_is_the_archive_whatever_their_size() {
        let folder = std::env::temp_dir().join(format!("wicket-outputs-{}", std::process::id()));
        let long = format!("{}/{}", "d".repeat(120), "n".repeat(200));
        let content = |size: usize| (0..size).map(|n| (n % 251) as u8).collect::<Vec<u8>>();
        let made = BTreeMap::from([
            ("empty".to_owned(), content(0)),
            ("block".to_owned(), content(512)),
            (long, content(70_000)),
            ("sub/ä b".to_owned(), content(513)),
        ]);
        for (name, content) in &made {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
        let outputs = Outputs::find(&folder).unwrap();
        assert_eq!((outputs.bytes(), outputs.others.clone()), (71_025, vec!["link".to_owned()]));
        let archive = outputs.archive().unwrap();
        let whole = bytes(&archive, u64::MAX);
        for part in [1000, 512, 4096] {
            assert_eq!(bytes(&archive, part), whole);
        }
        let mut read = BTreeMap::new();
        for entry in tar::Archive::new(&whole[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            read.insert(name, content);
        }
        assert_eq!(read, made);
        // A file that is shorter than it was when its header was made does not become another archive.
        fs::write(folder.join("block"), "x").unwrap();
        archive.part(0, archive.length()).read_to_end(&mut Vec::new()).unwrap_err();
        fs::remove_dir_all(folder).unwrap();
    }
}
