//! `wicket bucket put FILE BUCKET/KEY`.

use std::path::{Path, PathBuf};

use super::super::connect::Remote;
use super::super::out::say;
use super::super::outcome::{Complaint, Exit, unreadable};
use super::super::words;
use super::{Place, upload};

/// Upload a file, or with --recursive all files of a folder
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file, or `-` for standard input
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// The object; a key that ends with a slash is a folder, in which it keeps the file's name
    #[arg(value_name = "BUCKET/KEY")]
    place: Place,
    /// Upload all files of a folder, under their paths in it
    #[arg(long, short)]
    recursive: bool,
    /// Media type of the object
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let (from, content_type) = (args.from, args.content_type.as_deref());
    if args.recursive {
        let files = files(&from)?;
        let s3 = super::connect(args.remote).await?;
        for (path, name) in &files {
            upload::file(&s3, path, &args.place.child(name), content_type).await?;
        }
        say(format_args!("{} in {}", words::count(files.len(), "object"), args.place));
        return Ok(Exit::Ok);
    }
    if from.is_dir() {
        let text = format!("{} is a folder", from.display());
        return Err(Complaint::new(Exit::Usage, text).help("--recursive uploads what is in it").into());
    }
    let place = if args.place.key.is_empty() || args.place.key.ends_with('/') {
        let name = from.file_name().and_then(|name| name.to_str()).filter(|name| *name != "-");
        let name = name.ok_or_else(|| {
            let text = format!("{} has no name that an object can have", from.display());
            Complaint::new(Exit::Usage, text).help("write the whole key: BUCKET/KEY")
        })?;
        args.place.child(name)
    } else {
        args.place
    };
    if from.as_os_str() == "-" {
        let s3 = super::connect(args.remote).await?;
        upload::stream(&s3, tokio::io::stdin(), None, &place, content_type).await?;
    } else {
        // Opened first: a file that is not there is known without a host.
        let file = std::fs::File::open(&from).map_err(|error| unreadable(&from, &error))?;
        drop(file);
        let s3 = super::connect(args.remote).await?;
        upload::file(&s3, &from, &place, content_type).await?;
    }
    Ok(Exit::Ok)
}

/// All files below a folder, with their names as keys have them, in order. Links to folders are not followed.
fn files(top: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![(top.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                let text =
                    format!("the name of {} is no text, and no object can be called so", path.display());
                return Err(Complaint::new(Exit::BadFile, text).into());
            };
            let name = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
            if kind.is_dir() {
                folders.push((path, format!("{name}/")));
            } else if path.is_file() {
                found.push((path, name));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_walked_in_order_and_links_to_folders_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("b/c")).unwrap();
        for name in ["b/c/3", "a", "b/2"] {
            std::fs::write(path(name), name).unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), path("loop")).unwrap();
        let names: Vec<String> = files(folder.path()).unwrap().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["a", "b/2", "b/c/3"]);
        assert!(files(&path("nowhere")).is_err());
    }
}
