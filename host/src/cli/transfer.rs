//! Where bytes come from and go to: files, and the standard streams as `-`.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::out::Out;
use super::outcome::{Complaint, Exit, unreadable};
use super::progress::Progress;
use crate::client::{self, Body};

/// What stands for a standard stream.
const STREAM: &str = "-";

/// A request's body: a file, standard input, or nothing; and its size where it is known.
pub(super) async fn body(input: Option<&Path>) -> anyhow::Result<(Body, Option<u64>)> {
    match input {
        None => Ok((client::empty(), Some(0))),
        Some(path) if path.as_os_str() == STREAM => {
            Ok((client::stream(tokio::io::stdin(), "standard input", |_| ()), None))
        }
        Some(path) => {
            let size = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
            // A pipe or a device has no size to announce.
            let known = size.is_file();
            let progress =
                Progress::bytes(&format!("sending {}", path.display()), known.then_some(size.len()));
            let opened = client::file(path, move |n| progress.add(n)).await;
            let (body, size) = opened.map_err(|error| unreadable(path, &error))?;
            Ok((body, known.then_some(size)))
        }
    }
}

/// Takes an answer's bytes. A file appears under its name when it is whole.
#[derive(Debug)]
pub(super) enum Sink<'o> {
    /// Standard output.
    Out(&'o mut Out),
    /// Something that is not a regular file: a pipe, a device.
    Special(std::fs::File, PathBuf),
    /// A file that is being made beside its place.
    File(tempfile::NamedTempFile, PathBuf),
}

impl<'o> Sink<'o> {
    /// Standard output for nothing or `-`, else the file.
    pub(super) fn open(output: Option<&Path>, out: &'o mut Out) -> anyhow::Result<Self> {
        let Some(path) = output.filter(|path| path.as_os_str() != STREAM) else { return Ok(Self::Out(out)) };
        let failed = |error: std::io::Error| unwritable(path, &error);
        if path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            let file = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
            return Ok(Self::Special(file, path.to_owned()));
        }
        if path.is_dir() {
            return Err(Complaint::new(Exit::BadFile, format!("{} is a folder", path.display()))
                .help("name a file in it")
                .into());
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(".wicket-")
            // As any new file: what the umask leaves.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(failed)?;
        Ok(Self::File(file, path.to_owned()))
    }

    /// Takes some bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Out(out) => Ok(out.bytes(bytes)?),
            Self::Special(file, path) => {
                file.write_all(bytes).map_err(|error| unwritable(path, &error).into())
            }
            Self::File(file, path) => file.write_all(bytes).map_err(|error| unwritable(path, &error).into()),
        }
    }

    /// All bytes are there.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Out(out) => Ok(out.flush()?),
            Self::Special(..) => Ok(()),
            Self::File(file, path) => match file.persist(&path) {
                Ok(_) => Ok(()),
                Err(error) => Err(unwritable(&path, &error.error).into()),
            },
        }
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Complaint {
    Complaint::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_whole_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answer");
        let mut out = Out::into(std::io::sink());
        let mut sink = Sink::open(Some(&path), &mut out).unwrap();
        sink.write(b"half").unwrap();
        assert!(!path.exists());
        drop(sink);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of half a file");
        let mut sink = Sink::open(Some(&path), &mut out).unwrap();
        sink.write(b"whole").unwrap();
        sink.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        let mut out = Out::into(std::io::sink());
        let mut sink = Sink::open(Some(Path::new("/dev/null")), &mut out).unwrap();
        sink.write(b"gone").unwrap();
        sink.finish().unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
        assert!(Sink::open(Some(Path::new("/")), &mut out).is_err());
    }
}
