//! `wicket bucket rm BUCKET[/KEY]`.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::super::connect::Remote;
use super::super::out::say;
use super::super::outcome::{Complaint, Exit};
use super::super::progress::Progress;
use super::super::words;
use super::{Place, ls};
use crate::client::buckets::failed;

/// Remove an object, or an empty bucket
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The object as BUCKET/KEY, or the bucket
    #[arg(value_name = "BUCKET[/KEY]")]
    place: Place,
    /// Remove everything that begins with KEY, or the whole bucket
    #[arg(long, short)]
    recursive: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let s3 = super::connect(args.remote).await?;
    let place = args.place;
    if args.recursive {
        let progress = Progress::spinner(&format!("emptying {place}"));
        let gone = progress.during(empty(&s3, &place)).await?;
        say(format_args!("{} removed", words::count(gone, "object")));
    } else if !place.key.is_empty() {
        // S3 says yes to what was never there: asked first, a slip of the pen is noticed.
        let (bucket, key) = (&place.bucket, &place.key);
        s3.head_object().bucket(bucket).key(key).send().await.map_err(failed(format!("find {place}")))?;
        s3.delete_object().bucket(bucket).key(key).send().await.map_err(failed(format!("remove {place}")))?;
        say(format_args!("{place} is removed"));
    }
    if place.key.is_empty() {
        let bucket = &place.bucket;
        let removed = s3
            .delete_bucket()
            .bucket(bucket)
            .send()
            .await
            .map_err(failed(format!("remove the bucket `{bucket}`")));
        match removed {
            Err(error) if error.status() == Some(http::StatusCode::CONFLICT) => {
                let help = "--recursive removes its objects too";
                return Err(Complaint::new(Exit::Failed, error.to_string()).help(help).into());
            }
            removed => removed?,
        };
        say(format_args!("bucket `{bucket}` is removed"));
    }
    Ok(Exit::Ok)
}

/// Removes all objects whose keys begin so. Returns how many.
async fn empty(s3: &aws_sdk_s3::Client, place: &Place) -> anyhow::Result<usize> {
    let mut gone = 0;
    loop {
        // Always the first page: what it listed is gone at the next look.
        let page = ls::page(s3, place, None, None).await?;
        let mut keys = Vec::with_capacity(page.objects.len());
        for object in &page.objects {
            keys.push(ObjectIdentifier::builder().key(&object.key).build()?);
        }
        if keys.is_empty() {
            return Ok(gone);
        }
        let delete = Delete::builder().set_objects(Some(keys)).quiet(true).build()?;
        let what = format!("remove what is in {place}");
        let deleted =
            s3.delete_objects().bucket(&place.bucket).delete(delete).send().await.map_err(failed(what))?;
        if let Some(error) = deleted.errors().first() {
            let (key, why) = (error.key().unwrap_or_default(), error.message().unwrap_or_default());
            return Err(
                Complaint::new(Exit::Failed, format!("cannot remove {}/{key}: {why}", place.bucket)).into()
            );
        }
        gone += page.objects.len();
    }
}
