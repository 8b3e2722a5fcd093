//! Listings: one page of a bucket, in byte order of the keys.

use rusqlite::{Connection, params};
use wicket_config::BucketName;
use wicket_store::StoreError;

use crate::index::{bucket_exists, info};
use crate::{ListQuery, Page};

/// Most keys and common prefixes of a page.
const MOST: u32 = 1000;

/// The first bytes that sort after all that begin with `prefix`; none when there are none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// One page of a bucket. Never reads more than it tells: what a delimiter cuts off is skipped by a seek.
pub(crate) fn list(db: &Connection, bucket: &BucketName, query: &ListQuery) -> Result<Page, StoreError> {
    bucket_exists(db, bucket)?;
    let mut page = Page::default();
    let limit = query.limit.min(MOST) as usize;
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let prefix = query.prefix.as_bytes();
    // The least key that may be told.
    let mut from = prefix.to_vec();
    if let Some(after) = &query.after {
        let cut = delimiter.is_some_and(|d| after.ends_with(d) && after.len() > query.prefix.len());
        // After a common prefix comes what is outside of it; after a key, the key with the least byte added.
        let next = if cut { successor(after.as_bytes()) } else { Some([after.as_bytes(), &[0]].concat()) };
        let Some(next) = next else { return Ok(page) };
        from = from.max(next);
    }
    let text = "SELECT key, size, etag, modified FROM objects
                WHERE bucket = ?1 AND key >= ?2 ORDER BY key";
    let mut select = db.prepare_cached(text)?;
    'seek: loop {
        let mut rows = select.query(params![bucket.as_str(), from])?;
        while let Some(row) = rows.next()? {
            let bytes: Vec<u8> = row.get("key")?;
            if !bytes.starts_with(prefix) {
                return Ok(page);
            }
            let key = String::from_utf8(bytes).map_err(StoreError::refused)?;
            let told = page.objects.len() + page.prefixes.len();
            if told >= limit {
                page.next = if limit == 0 { None } else { last(&page) };
                return Ok(page);
            }
            let rest = &key[query.prefix.len()..];
            if let Some(delimiter) = delimiter
                && let Some(idx) = rest.find(delimiter)
            {
                let common = key[..query.prefix.len() + idx + delimiter.len()].to_owned();
                let next = successor(common.as_bytes());
                page.prefixes.push(common);
                match next {
                    Some(next) => from = next,
                    None => return Ok(page),
                }
                continue 'seek;
            }
            let key = key.parse().map_err(StoreError::refused)?;
            page.objects.push(info(key, row)?);
        }
        return Ok(page);
    }
}

/// Where a page ended.
fn last(page: &Page) -> Option<String> {
    let key = page.objects.last().map(|object| object.key.to_string());
    key.max(page.prefixes.last().cloned())
}
