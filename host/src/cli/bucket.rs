//! `wicket bucket`: objects of the host, over S3.

mod get;
mod ls;
mod mb;
mod put;
mod rm;
mod upload;

use std::path::{Path, PathBuf};

use super::connect::{Connected, Remote};
use super::out::Out;
use super::outcome::{Complaint, Exit};
use crate::client::buckets;

/// List, make, fill, read and empty buckets
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Ls(ls::Args),
    Mb(mb::Args),
    Get(get::Args),
    Put(put::Args),
    Rm(rm::Args),
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    match args.command {
        Command::Ls(args) => ls::run(args, out).await,
        Command::Mb(args) => mb::run(args).await,
        Command::Get(args) => get::run(args, out).await,
        Command::Put(args) => put::run(args).await,
        Command::Rm(args) => rm::run(args).await,
    }
}

/// The host's S3 endpoint.
async fn connect(remote: Remote) -> anyhow::Result<aws_sdk_s3::Client> {
    let Connected { client, target } = remote.connect()?;
    Ok(buckets::connect(&client, &target).await?)
}

/// `BUCKET` or `BUCKET/KEY`, as written on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    bucket: String,
    /// Empty for the bucket itself.
    key: String,
}

impl std::str::FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix("s3://").unwrap_or(text);
        let (bucket, key) = text.split_once('/').unwrap_or((text, ""));
        // The name goes into a URL: what is no bucket's name must not get there.
        let bucket: wicket_config::BucketName =
            bucket.parse().map_err(|error: wicket_config::NameError| error.to_string())?;
        if !key.is_empty() {
            key.parse::<wicket_config::ObjectKey>().map_err(|error| error.to_string())?;
        }
        Ok(Self { bucket: bucket.to_string(), key: key.to_owned() })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.bucket, self.key)
    }
}

impl Place {
    /// An object, not a bucket.
    fn object(self) -> Result<Self, Complaint> {
        if self.key.is_empty() {
            let text = format!("`{}` is a bucket", self.bucket);
            return Err(
                Complaint::new(Exit::Usage, text).help("name an object as BUCKET/KEY, or use --recursive")
            );
        }
        Ok(self)
    }

    /// An object inside of this folder.
    fn child(&self, name: &str) -> Self {
        let slash = if self.key.is_empty() || self.key.ends_with('/') { "" } else { "/" };
        Self { bucket: self.bucket.clone(), key: format!("{}{slash}{name}", self.key) }
    }
}

/// Where below a folder the object of this key goes; none when that would be anywhere else.
fn inside(folder: &Path, below: &str) -> Option<PathBuf> {
    let safe = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    below.split('/').all(safe).then(|| folder.join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_perhaps_a_key() {
        let place = |text: &str| text.parse::<Place>();
        assert_eq!(
            place("photos/in/a b+c.jpg").unwrap(),
            Place { bucket: "photos".into(), key: "in/a b+c.jpg".into() }
        );
        assert_eq!(place("s3://photos").unwrap().key, "");
        assert_eq!(place("photos/").unwrap().child("a").key, "a");
        assert_eq!(place("photos/in").unwrap().child("a").to_string(), "photos/in/a");
        for bad in ["", "/a", "No/a", "..", &format!("photos/{}", "k".repeat(1025))] {
            place(bad).unwrap_err();
        }
    }

    #[test]
    fn no_key_leaves_the_folder() {
        let folder = Path::new("down");
        assert_eq!(inside(folder, "a/b.jpg"), Some(PathBuf::from("down/a/b.jpg")));
        for bad in ["../a", "a/../../b", "/etc/passwd", "a//b", "", ".", "a/", "a\0b"] {
            assert_eq!(inside(folder, bad), None, "{bad}");
        }
    }
}
