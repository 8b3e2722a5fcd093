//! `wicket bucket ls [BUCKET[/PREFIX]]`.

use serde::Serialize;
use wicket_core::Timestamp;

use super::super::connect::Remote;
use super::super::out::{Out, say};
use super::super::outcome::Exit;
use super::super::table::Table;
use super::super::words;
use super::Place;
use crate::client::ClientError;
use crate::client::buckets::failed;

/// List buckets, or what is in one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A bucket, or the beginning of keys in it; without it the buckets are listed
    #[arg(value_name = "BUCKET[/PREFIX]")]
    place: Option<Place>,
    /// Also what is in folders
    #[arg(long, short)]
    recursive: bool,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// A bucket.
#[derive(Debug, Serialize)]
struct Bucket {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
}

/// An object.
#[derive(Debug, Serialize)]
pub(super) struct Object {
    pub(super) key: String,
    pub(super) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<Timestamp>,
}

/// A page of a listing.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) objects: Vec<Object>,
    pub(super) folders: Vec<String>,
    pub(super) next: Option<String>,
}

pub(super) async fn run(args: Args, out: &mut Out) -> anyhow::Result<Exit> {
    let s3 = super::connect(args.remote).await?;
    match args.place {
        None => buckets(&s3, args.json, out).await?,
        Some(place) => objects(&s3, &place, args.recursive, args.json, out).await?,
    }
    Ok(Exit::Ok)
}

async fn buckets(s3: &aws_sdk_s3::Client, json: bool, out: &mut Out) -> anyhow::Result<()> {
    let listed = s3.list_buckets().send().await.map_err(failed("list the buckets"))?;
    let bucket = |bucket: &aws_sdk_s3::types::Bucket| Bucket {
        name: bucket.name().unwrap_or_default().to_owned(),
        created: bucket.creation_date().and_then(time),
    };
    let buckets: Vec<Bucket> = listed.buckets().iter().map(bucket).collect();
    if json {
        return Ok(out.json(&buckets)?);
    }
    if buckets.is_empty() {
        say("there are no buckets yet: `wicket bucket mb NAME`");
    }
    let mut table = Table::new(["BUCKET", "MADE"]);
    for bucket in buckets {
        table.row([bucket.name, shown(bucket.created)]);
    }
    Ok(table.write(out)?)
}

/// A page at a time: a bucket may have more objects than memory.
async fn objects(
    s3: &aws_sdk_s3::Client,
    place: &Place,
    recursive: bool,
    json: bool,
    out: &mut Out,
) -> anyhow::Result<()> {
    let (mut next, mut list) = (None, JsonList::default());
    loop {
        let page = page(s3, place, (!recursive).then_some("/"), next).await?;
        let mut table = Table::new([">SIZE", "MODIFIED", "KEY"]);
        for folder in page.folders {
            if json {
                list.push(&serde_json::json!({ "folder": folder }), out)?;
            }
            table.row([String::new(), String::new(), folder]);
        }
        for object in page.objects {
            if json {
                list.push(&object, out)?;
            }
            table.row([words::bytes(object.size), shown(object.modified), object.key]);
        }
        if !json {
            table.write(out)?;
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    if json {
        list.end(out)?;
    }
    Ok(())
}

/// A JSON array that is written as it comes.
#[derive(Debug, Default)]
struct JsonList {
    begun: bool,
}

impl JsonList {
    fn push(&mut self, value: &impl Serialize, out: &mut Out) -> std::io::Result<()> {
        out.bytes(if self.begun { b",\n" } else { b"[\n" })?;
        self.begun = true;
        out.bytes(serde_json::to_string(value)?.as_bytes())
    }

    fn end(self, out: &mut Out) -> std::io::Result<()> {
        out.bytes(if self.begun { b"\n]\n" } else { b"[]\n" })
    }
}

/// One page of what begins with the place's key.
pub(super) async fn page(
    s3: &aws_sdk_s3::Client,
    place: &Place,
    delimiter: Option<&str>,
    next: Option<String>,
) -> Result<Page, ClientError> {
    let request = s3.list_objects_v2().bucket(&place.bucket).prefix(&place.key);
    let request = request.set_delimiter(delimiter.map(str::to_owned)).set_continuation_token(next);
    let listed = request.send().await.map_err(failed(format!("list {place}")))?;
    let object = |object: &aws_sdk_s3::types::Object| Object {
        key: object.key().unwrap_or_default().to_owned(),
        size: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        modified: object.last_modified().and_then(time),
    };
    let folders = listed.common_prefixes().iter().filter_map(|folder| folder.prefix().map(str::to_owned));
    Ok(Page {
        objects: listed.contents().iter().map(object).collect(),
        folders: folders.collect(),
        next: listed.next_continuation_token().map(str::to_owned),
    })
}

fn time(time: &aws_sdk_s3::primitives::DateTime) -> Option<Timestamp> {
    i64::try_from(time.as_nanos() / 1000).ok().map(Timestamp)
}

fn shown(time: Option<Timestamp>) -> String {
    time.map(|time| time.to_string()).unwrap_or_default()
}
