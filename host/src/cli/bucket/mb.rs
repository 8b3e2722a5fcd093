//! `wicket bucket mb BUCKET`.

use wicket_config::BucketName;

use super::super::connect::Remote;
use super::super::out::say;
use super::super::outcome::Exit;
use crate::client::buckets::failed;

/// Make a bucket; one that is there already is no error
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bucket
    bucket: BucketName,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let s3 = super::connect(args.remote).await?;
    let bucket = &args.bucket;
    match s3.create_bucket().bucket(bucket.as_str()).send().await {
        Ok(_) => say(format_args!("bucket `{bucket}` is made")),
        Err(error)
            if error.as_service_error().is_some_and(|error| error.is_bucket_already_owned_by_you()) =>
        {
            say(format_args!("bucket `{bucket}` is there already"));
        }
        Err(error) => return Err(failed(format!("make the bucket `{bucket}`"))(error).into()),
    }
    Ok(Exit::Ok)
}
