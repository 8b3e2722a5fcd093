//! Bytes on their way into an object: at once when they are few, in parts when they are many. At most a few parts are
//! in memory.

use std::path::Path;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use wicket_buckets::sending;

use super::super::outcome::{Complaint, Exit, unreadable};
use super::super::progress::Progress;
use super::Place;
use crate::client::buckets::failed;

/// What is longer goes in parts.
const AT_ONCE: usize = 16 << 20;
/// Bytes of a part, where that gives not too many parts.
const PART: u64 = 8 << 20;
/// Most parts of an object.
const MAX_PARTS: u64 = 10_000;
/// Parts on their way at the same time.
const TOGETHER: usize = 3;

/// Uploads a file.
pub(super) async fn file(
    s3: &aws_sdk_s3::Client,
    path: &Path,
    place: &Place,
    content_type: Option<&str>,
) -> anyhow::Result<()> {
    let file = tokio::fs::File::open(path).await.map_err(|error| unreadable(path, &error))?;
    let meta = file.metadata().await.map_err(|error| unreadable(path, &error))?;
    stream(s3, file, meta.is_file().then_some(meta.len()), place, content_type).await
}

/// Uploads what can be read.
pub(super) async fn stream(
    s3: &aws_sdk_s3::Client,
    mut from: impl AsyncRead + Unpin,
    size: Option<u64>,
    place: &Place,
    content_type: Option<&str>,
) -> anyhow::Result<()> {
    let progress = Progress::bytes(&place.to_string(), size);
    let head = read(&mut from, AT_ONCE).await?;
    if head.len() < AT_ONCE {
        let length = head.len() as u64;
        let put = s3.put_object().bucket(&place.bucket).key(&place.key);
        let put = put.set_content_type(content_type.map(str::to_owned)).body(ByteStream::from(head));
        let put = put.customize().config_override(sending(length)).send();
        progress.during(put).await.map_err(failed(format!("put {place}")))?;
        progress.add(length);
        return Ok(());
    }
    let begin = s3.create_multipart_upload().bucket(&place.bucket).key(&place.key);
    let begun = begin.set_content_type(content_type.map(str::to_owned)).send().await;
    let begun = begun.map_err(failed(format!("begin the upload of {place}")))?;
    let upload = Upload { s3, place, id: begun.upload_id().unwrap_or_default(), progress };
    let sent = upload.parts(from, head, size).await;
    if sent.is_err() {
        // What is left of it would take room; an upload that nobody ends is nobody's.
        let _best_effort = s3
            .abort_multipart_upload()
            .bucket(&place.bucket)
            .key(&place.key)
            .upload_id(upload.id)
            .send()
            .await;
    }
    sent
}

/// An upload in parts.
struct Upload<'u> {
    s3: &'u aws_sdk_s3::Client,
    place: &'u Place,
    id: &'u str,
    progress: Progress,
}

impl Upload<'_> {
    async fn parts(
        &self,
        mut from: impl AsyncRead + Unpin,
        head: Bytes,
        size: Option<u64>,
    ) -> anyhow::Result<()> {
        let part = usize::try_from(part_size(size)).unwrap_or(AT_ONCE);
        let (mut head, mut number, mut done) = (head, 0, Vec::new());
        let mut under_way = FuturesUnordered::new();
        loop {
            // The head was read before it was known that there is more.
            let take = part.min(head.len());
            let mut bytes = head.split_to(take);
            if bytes.len() < part {
                let mut joined = BytesMut::from(bytes.as_ref());
                joined.extend_from_slice(&read(&mut from, part - bytes.len()).await?);
                bytes = joined.freeze();
            }
            if bytes.is_empty() {
                break;
            }
            if number as u64 == MAX_PARTS {
                let text =
                    format!("standard input is longer than {} GB", MAX_PARTS * part as u64 / 1_000_000_000);
                return Err(Complaint::new(Exit::BadFile, text).help("upload it as a file").into());
            }
            number += 1;
            under_way.push(self.part(number, bytes));
            if under_way.len() >= TOGETHER
                && let Some(sent) = under_way.next().await
            {
                done.push(sent?);
            }
        }
        while let Some(sent) = under_way.next().await {
            done.push(sent?);
        }
        done.sort_by_key(CompletedPart::part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(done)).build();
        let Place { bucket, key } = self.place;
        let complete = self.s3.complete_multipart_upload().bucket(bucket).key(key).upload_id(self.id);
        // The host puts it together before it answers: that takes as long as a part may take on its way.
        let complete =
            complete.multipart_upload(parts).customize().config_override(sending(part as u64)).send();
        self.progress.during(complete).await.map_err(failed(format!("end the upload of {}", self.place)))?;
        Ok(())
    }

    async fn part(&self, number: i32, bytes: Bytes) -> anyhow::Result<CompletedPart> {
        let length = bytes.len() as u64;
        let Place { bucket, key } = self.place;
        let request = self.s3.upload_part().bucket(bucket).key(key).upload_id(self.id).part_number(number);
        let request = request.body(ByteStream::from(bytes));
        let sent = request.customize().config_override(sending(length)).send().await;
        let sent = sent.map_err(failed(format!("put part {number} of {}", self.place)))?;
        self.progress.add(length);
        Ok(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build())
    }
}

/// Large enough that the parts are not too many.
fn part_size(size: Option<u64>) -> u64 {
    // Without a size: what reaches 160 GB.
    size.map_or(AT_ONCE as u64, |size| size.div_ceil(MAX_PARTS).max(PART))
}

/// Reads until there is so much, or the end.
async fn read(from: &mut (impl AsyncRead + Unpin), most: usize) -> anyhow::Result<Bytes> {
    let mut bytes = BytesMut::new();
    let mut from = from.take(most as u64);
    loop {
        bytes.reserve(256 << 10);
        match from.read_buf(&mut bytes).await {
            Ok(0) => return Ok(bytes.freeze()),
            Ok(_) => {}
            Err(error) => {
                return Err(Complaint::new(
                    Exit::BadFile,
                    format!("cannot read what is to be uploaded: {error}"),
                )
                .into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_has_larger_parts_and_not_more() {
        assert_eq!(part_size(Some(0)), PART);
        assert_eq!(part_size(Some(5 << 30)), PART);
        let huge = 5 << 40;
        assert!(part_size(Some(huge)) * MAX_PARTS >= huge);
    }

    #[tokio::test]
    async fn reading_stops_at_the_end_or_the_limit() {
        let mut from = std::io::Cursor::new(vec![7; 1000]);
        assert_eq!(read(&mut from, 600).await.unwrap().len(), 600);
        assert_eq!(read(&mut from, 600).await.unwrap().len(), 400);
        assert_eq!(read(&mut from, 600).await.unwrap().len(), 0);
    }
}
