//! Reads buckets that the service was granted (`grants.read_buckets`), from functions of any shape.
//!
//! ```
//! use wicket_sdk::{buckets, testing};
//!
//! testing::put("photos", "sheets/trip/sheet.jpg", "bytes");
//! let sheets = buckets::list("photos", "sheets/", None, 100)?;
//! let mut first = buckets::open("photos", &sheets[0].key)?;
//! assert_eq!(first.read_all(100)?, b"bytes");
//! # std::io::Result::Ok(())
//! ```

use std::io;

use crate::Object;

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// When it became visible, RFC 3339.
    pub modified: String,
}

/// Opens an object. That it does not exist is told by the first read.
pub fn open(bucket: &str, key: &str) -> io::Result<Object> {
    #[cfg(target_family = "wasm")]
    {
        use crate::wasm::bindings::wicketgate::function::buckets;
        buckets::open(bucket, key).map(Object::from_host).map_err(io::Error::other)
    }
    #[cfg(not(target_family = "wasm"))]
    crate::testing::open(bucket, key)
}

/// Up to `limit` objects (at most 1,000) whose keys begin with `prefix`, in key order, after the key `after`.
pub fn list(bucket: &str, prefix: &str, after: Option<&str>, limit: u32) -> io::Result<Vec<Entry>> {
    #[cfg(target_family = "wasm")]
    {
        use crate::wasm::bindings::wicketgate::function::buckets;
        let entries = buckets::list(bucket, prefix, after, limit).map_err(io::Error::other)?;
        let entry =
            |entry: buckets::Entry| Entry { key: entry.key, size: entry.size, modified: entry.modified };
        Ok(entries.into_iter().map(entry).collect())
    }
    #[cfg(not(target_family = "wasm"))]
    Ok(crate::testing::list(bucket, prefix, after, limit))
}
