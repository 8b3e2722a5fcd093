//! `wicket bucket get BUCKET/KEY [FILE]`.

use std::path::{Path, PathBuf};

use super::super::connect::Remote;
use super::super::out::{Out, say};
use super::super::outcome::{Complaint, Exit};
use super::super::progress::Progress;
use super::super::transfer::Sink;
use super::super::words;
use super::{Place, inside, ls};
use crate::client::buckets::failed;

/// Download an object, or with --recursive all below a folder
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The object
    #[arg(value_name = "BUCKET/KEY")]
    place: Place,
    /// Where it goes: a file, a folder, or `-` for standard output; without it a file of its name here
    #[arg(value_name = "FILE")]
    to: Option<PathBuf>,
    /// Download everything whose key begins with KEY/, into a folder
    #[arg(long, short)]
    recursive: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let place = if args.recursive { args.place } else { args.place.object()? };
    let to = args.to.unwrap_or_else(|| PathBuf::from("."));
    let s3 = super::connect(args.remote).await?;
    if args.recursive {
        return folder(&s3, &place, &to, out).await;
    }
    let to = if to.is_dir() {
        let name = place.key.rsplit('/').next().unwrap_or_default();
        inside(&to, name).ok_or_else(|| {
            Complaint::new(Exit::Usage, format!("{place} has no name for a file")).help("name the file")
        })?
    } else {
        to
    };
    one(&s3, &place, &to, out).await?;
    Ok(Exit::Ok)
}

async fn one(s3: &aws_sdk_s3::Client, place: &Place, to: &Path, out: &mut Out) -> anyhow::Result<()> {
    let request = s3.get_object().bucket(&place.bucket).key(&place.key);
    let mut got = request.send().await.map_err(failed(format!("get {place}")))?;
    let size = got.content_length().and_then(|size| u64::try_from(size).ok());
    let progress = Progress::bytes(&place.to_string(), size);
    let mut sink = Sink::open(Some(to), out)?;
    while let Some(piece) = got.body.next().await {
        let piece = piece.map_err(|error| {
            Complaint::new(Exit::Unreachable, format!("{place} broke off: {error}")).help("try it again")
        })?;
        sink.write(&piece)?;
        progress.add(piece.len() as u64);
    }
    sink.finish()
}

async fn folder(s3: &aws_sdk_s3::Client, place: &Place, to: &Path, out: &mut Out) -> anyhow::Result<Exit> {
    // `in` means what is in `in/`, not `in-between`.
    let top = if place.key.is_empty() { place.clone() } else { place.child("") };
    let (mut next, mut came, mut left) = (None, 0, 0);
    loop {
        let page = ls::page(s3, &top, None, next).await?;
        for object in page.objects {
            let below = object.key.get(top.key.len()..).unwrap_or_default();
            if below.is_empty() || below.ends_with('/') {
                continue;
            }
            let Some(file) = inside(to, below) else {
                say(format_args!("`{}` is left out: it would be no file inside of the folder", object.key));
                left += 1;
                continue;
            };
            if let Some(parent) = file.parent() {
                std::fs::create_dir_all(parent).map_err(|error| {
                    Complaint::new(Exit::Failed, format!("cannot make {}: {error}", parent.display()))
                })?;
            }
            one(s3, &Place { bucket: top.bucket.clone(), key: object.key }, &file, out).await?;
            came += 1;
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    say(format_args!("{} in {}", words::count(came, "object"), to.display()));
    if left > 0 {
        return Err(Complaint::new(Exit::Failed, format!("{} left out", words::count(left, "object"))).into());
    }
    Ok(Exit::Ok)
}
