//! Objects into files, and files into outputs.

use std::collections::HashSet;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures::{StreamExt as _, stream};
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;
use wicket_config::ObjectKey;
use wicket_core::{Attempt, ByteStream, Data, Event, Failure, ObjectError, ObjectRef, OutputName, kinds};

use crate::{Account, blocking, host};

/// Files up to this size are read and written in one step: a change of threads takes longer.
const SMALL: usize = 64 << 10;
/// File names are cut here: the file system takes 255 bytes, and a number may come in front.
const LONGEST_NAME: usize = 200;
/// Files that a function may put out.
const MOST_FILES: usize = 10_000;
/// Folders may be nested this deep in its output.
const DEEPEST: usize = 64;
/// Between two looks at how much a function has written to its output folder.
pub const LOOK: Duration = Duration::from_millis(250);

/// What an object's failure means for the attempt.
fn failure(error: &ObjectError, account: &dyn Account) -> Failure {
    match error {
        ObjectError::Limit(_) => account.output_limit(),
        error => error.failure(),
    }
}

/// The file that a posted body becomes, as it does for OSCAR's containers.
const POSTED: &str = "body";

/// Downloads all objects of the event into a folder, and a posted body too; answers the names of the files.
pub(crate) async fn download(
    attempt: &Attempt,
    dir: &Path,
    account: &dyn Account,
) -> Result<Vec<String>, Failure> {
    let mut taken = HashSet::new();
    let mut names = Vec::new();
    for object in attempt.invocation.event.objects() {
        let name = free_name(object, &mut taken);
        let opened = attempt.objects.open(object).await.map_err(|error| failure(&error, account))?;
        let mut body = opened.body;
        let (path, mut head, mut file) = (dir.join(&name), BytesMut::new(), None);
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(host(&format!("read `{}`", object.key)))?;
            account.read(bytes.len() as u64);
            if file.is_none() && head.len() + bytes.len() <= SMALL {
                head.extend_from_slice(&bytes);
                continue;
            }
            let file = match &mut file {
                Some(file) => file,
                None => file.insert(begun(&path, &head).await.map_err(host("write an input file"))?),
            };
            file.write_all(&bytes).await.map_err(host("write an input file"))?;
        }
        let written = match file {
            Some(mut file) => file.flush().await,
            None => blocking(move || std::fs::write(path, head)).await,
        };
        written.map_err(host("write an input file"))?;
        names.push(name);
    }
    let event = &attempt.invocation.event;
    if let (kinds::POSTED | kinds::PREDICT | kinds::TRAIN, Data::Inline(bytes)) =
        (event.kind.as_str(), &event.data)
    {
        account.read(bytes.len() as u64);
        let name = posted_name(event);
        tokio::fs::write(dir.join(&name), bytes).await.map_err(host("write an input file"))?;
        names.push(name);
    }
    Ok(names)
}

/// What a posted file is called: as the sender called it, where he said.
fn posted_name(event: &Event) -> String {
    let subject = event.subject.as_deref().filter(|_| event.kind != kinds::POSTED);
    let key = subject.and_then(|name| name.parse::<ObjectKey>().ok());
    key.map_or_else(|| POSTED.to_owned(), |key| shorten(key.file_name()))
}

/// A file that goes on after these bytes.
async fn begun(path: &Path, head: &[u8]) -> io::Result<tokio::fs::File> {
    let mut file = tokio::fs::File::create_new(path).await?;
    file.write_all(head).await?;
    Ok(file)
}

/// The object's file name, shortened to what the file system takes, with a number where two are the same.
fn free_name(object: &ObjectRef, taken: &mut HashSet<String>) -> String {
    let name = shorten(object.key.file_name());
    let mut free = name.clone();
    let mut number = 2;
    while !taken.insert(free.clone()) {
        free = format!("{number}-{name}");
        number += 1;
    }
    free
}

/// Keeps the end, where the extension is.
fn shorten(name: &str) -> String {
    let mut start = name.len().saturating_sub(LONGEST_NAME);
    while !name.is_char_boundary(start) {
        start += 1;
    }
    name[start..].to_owned()
}

/// A regular file that the function made.
struct Made {
    name: OutputName,
    path: PathBuf,
    size: u64,
}

/// Stages every regular file below a folder under its relative name. Links are not followed, and not staged.
pub(crate) async fn stage(attempt: &Attempt, dir: &Path, account: &dyn Account) -> Result<(), Failure> {
    let top = dir.to_owned();
    let made = blocking(move || {
        let mut made = Vec::new();
        walk(&top, "", 0, &mut made)?;
        Ok(made)
    })
    .await
    .map_err(|error| Failure::Function { message: format!("its outputs: {error}"), permanent: true })?;
    for one in &made {
        account.wrote(one.size)?;
    }
    for one in made {
        let body: ByteStream = if one.size <= SMALL as u64 {
            let bytes =
                blocking(move || std::fs::read(one.path)).await.map_err(host("read an output file"))?;
            Box::pin(stream::once(std::future::ready(Ok(bytes.into()))))
        } else {
            let file = tokio::fs::File::open(&one.path).await.map_err(host("read an output file"))?;
            Box::pin(ReaderStream::with_capacity(file, 64 << 10))
        };
        let content_type = media_type(one.name.as_str()).map(str::to_owned);
        attempt
            .outputs
            .stage(one.name, content_type, body)
            .await
            .map_err(|error| failure(&error, account))?;
    }
    Ok(())
}

fn walk(dir: &Path, below: &str, depth: usize, made: &mut Vec<Made>) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other(format!("folders are nested deeper than {DEEPEST}")));
    }
    let mut entries = std::fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        // Neither of these two follows links.
        let kind = entry.file_type()?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(io::Error::other("a file name is no UTF-8"));
        };
        let name = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        if kind.is_dir() {
            walk(&entry.path(), &name, depth + 1, made)?;
        } else if kind.is_file() {
            if made.len() >= MOST_FILES {
                return Err(io::Error::other(format!("there are more than {MOST_FILES} files")));
            }
            let size = entry.metadata()?.len();
            let name = OutputName::try_from(name).map_err(io::Error::other)?;
            made.push(Made { name, path: entry.path(), size });
        }
    }
    Ok(())
}

/// Bytes on disk below a folder: how much a running function has written so far. Folders that are nested deeper than
/// an output may have them count as no end of bytes: nobody would look into them.
pub fn disk_use(dir: &Path) -> u64 {
    let mut total = unlinked(dir);
    let mut folders = vec![(dir.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if depth > DEEPEST {
            return u64::MAX;
        }
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            // Gone meanwhile: it takes no room.
            let Ok(data) = entry.metadata() else { continue };
            // An empty file takes room too.
            total = total.saturating_add(data.blocks().saturating_mul(512)).saturating_add(512);
            if data.is_dir() {
                folders.push((entry.path(), depth + 1));
            }
        }
    }
    total
}

/// A file that this process has open and that is in no folder any more. Linux shows it under the name it had.
struct Unlinked {
    was: PathBuf,
    bytes: u64,
}

/// Bytes of the files below a folder that were removed and are still open: a function may go on writing to them.
fn unlinked(dir: &Path) -> u64 {
    static LAST: Mutex<(Option<Instant>, Vec<Unlinked>)> = Mutex::new((None, Vec::new()));
    let Ok(dir) = dir.canonicalize() else { return 0 };
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    // One look serves all functions that run: it is at all files that this process has open.
    if last.0.is_none_or(|at| at.elapsed() > LOOK / 2) {
        *last = (Some(Instant::now()), all_unlinked());
    }
    let below = last.1.iter().filter(|file| file.was.starts_with(&dir));
    below.fold(0, |total, file| total.saturating_add(file.bytes))
}

fn all_unlinked() -> Vec<Unlinked> {
    let mut seen = HashSet::new();
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let file = |entry: std::fs::DirEntry| {
        let was = std::fs::read_link(entry.path()).ok()?;
        if !was.as_os_str().as_bytes().ends_with(b" (deleted)") {
            return None;
        }
        // This one follows the link.
        let data = std::fs::metadata(entry.path()).ok()?;
        let new = data.nlink() == 0 && seen.insert((data.dev(), data.ino()));
        new.then(|| Unlinked { was, bytes: data.blocks().saturating_mul(512) })
    };
    entries.flatten().filter_map(file).collect()
}

/// The media type of a file by the end of its name.
pub fn media_type(name: &str) -> Option<&'static str> {
    let extension = name.rsplit_once('.')?.1;
    [
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("png", "image/png"),
        ("webp", "image/webp"),
        ("gif", "image/gif"),
        ("svg", "image/svg+xml"),
        ("json", "application/json"),
        ("txt", "text/plain; charset=utf-8"),
        ("html", "text/html; charset=utf-8"),
        ("csv", "text/csv"),
        ("pdf", "application/pdf"),
        ("mp4", "video/mp4"),
    ]
    .into_iter()
    .find(|(known, _)| extension.eq_ignore_ascii_case(known))
    .map(|(_, media_type)| media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_outputs() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};

        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        for name in ["a", "sub/b"] {
            std::fs::write(at(name), "x").unwrap();
        }
        let _listening = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", at("link")).unwrap();
        std::os::unix::fs::symlink("sub", at("folder")).unwrap();
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        // /dev/null, where this may be made.
        let null = rustix::fs::makedev(1, 3);
        let _may = mknodat(CWD, at("device"), FileType::CharacterDevice, Mode::RUSR, null);
        let mut made = Vec::new();
        walk(folder.path(), "", 0, &mut made).unwrap();
        let names: Vec<&str> = made.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "sub/b"]);
    }

    #[test]
    fn names_of_files_are_short_and_differ() {
        let object = |key: &str| ObjectRef {
            provider: wicket_config::ProviderId::default(),
            bucket: "photos".parse().unwrap(),
            key: key.parse().unwrap(),
            size: None,
            etag: None,
        };
        let mut taken = HashSet::new();
        assert_eq!(free_name(&object("a/x.jpg"), &mut taken), "x.jpg");
        assert_eq!(free_name(&object("b/x.jpg"), &mut taken), "2-x.jpg");
        let long = free_name(&object(&format!("{}é.jpg", "é".repeat(300))), &mut taken);
        assert!(long.len() <= LONGEST_NAME && long.ends_with("é.jpg"));
    }
}
