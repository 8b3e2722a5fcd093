//! What an object is made of, out of its parts.

use std::collections::BTreeMap;

use md5::{Digest, Md5};

use super::Begun;
use super::rows::Stored;
use crate::BucketError;
use crate::body::Extent;
use crate::checksum::{self, Algorithm};

/// Smallest part that is not the last.
const MIN_PART: u64 = 5 << 20;

/// What a client says that an object is to be made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    /// Numbers and entity tags, without quotes.
    pub(crate) parts: Vec<(u32, String)>,
    /// The checksums that the client computed.
    pub(crate) checksums: Vec<(Algorithm, String)>,
    /// The size that it will have.
    pub(crate) size: Option<u64>,
}

impl Named {
    /// Tells one choice of parts from another.
    pub(super) fn digest(&self) -> Vec<u8> {
        let mut hash = Md5::new();
        for (number, etag) in &self.parts {
            hash.update(format!("{number} {etag}\n"));
        }
        hash.finalize().to_vec()
    }
}

/// What an object is made of.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) extents: Vec<Extent>,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) checksums: BTreeMap<String, String>,
    /// Files of parts that were not named.
    pub(super) unneeded: Vec<String>,
}

/// Makes an object of the named parts, which must be here and large enough.
pub(super) fn assemble(stored: &[Stored], named: &Named, begun: &Begun) -> Result<Made, BucketError> {
    let mut used = Vec::with_capacity(named.parts.len());
    let mut before = 0;
    for (number, etag) in &named.parts {
        if *number <= before {
            return Err(BucketError::PartOrder);
        }
        before = *number;
        let part = stored
            .binary_search_by_key(number, |part| part.info.number)
            .ok()
            .map(|at| &stored[at])
            .filter(|part| part.info.etag.eq_ignore_ascii_case(etag))
            .ok_or(BucketError::BadPart(*number))?;
        used.push(part);
    }
    let Some((_, all_but_last)) = used.split_last() else { return Err(BucketError::BadPart(1)) };
    if let Some(small) = all_but_last.iter().find(|part| part.info.size < MIN_PART) {
        return Err(BucketError::SmallPart(small.info.number));
    }
    let mut hash = Md5::new();
    used.iter().for_each(|part| hash.update(&part.md5));
    let size = used.iter().map(|part| part.info.size).sum();
    if let Some(announced) = named.size
        && announced != size
    {
        return Err(BucketError::Length { announced, arrived: size });
    }
    let checksums = checksums(&used, named, begun)?;
    let is_used =
        |part: &&Stored| named.parts.binary_search_by_key(&part.info.number, |(number, _)| *number).is_ok();
    Ok(Made {
        size,
        etag: format!("{}-{}", hex::encode(hash.finalize()), used.len()),
        checksums,
        unneeded: stored.iter().filter(|part| !is_used(part)).map(|part| part.name.clone()).collect(),
        extents: used.iter().map(|part| Extent { name: part.name.clone(), size: part.info.size }).collect(),
    })
}

fn checksums(
    used: &[&Stored],
    named: &Named,
    begun: &Begun,
) -> Result<BTreeMap<String, String>, BucketError> {
    let of = |algorithm, whole| {
        checksum::of_parts(algorithm, whole, used.iter().map(|part| (part.info.size, &part.info.checksums)))
    };
    let mut found = BTreeMap::new();
    if let Some(algorithm) = begun.algorithm() {
        let sum = of(algorithm, begun.whole).ok_or(BucketError::NoPartChecksum(algorithm.name()))?;
        found.insert(algorithm.name().to_owned(), sum);
    }
    for (algorithm, told) in &named.checksums {
        let name = algorithm.name();
        let sum = match found.get(name) {
            Some(sum) => sum.clone(),
            None => of(*algorithm, !told.contains('-')).ok_or(BucketError::NoPartChecksum(name))?,
        };
        // Clients send the composite one with and without the number of parts.
        if sum != *told && sum.split_once('-').is_none_or(|(sum, _)| sum != told) {
            return Err(BucketError::Checksum(name));
        }
        found.insert(name.to_owned(), sum);
    }
    Ok(found)
}
