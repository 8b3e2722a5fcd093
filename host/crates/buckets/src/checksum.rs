//! Checksums: what a client says of a body before it comes, and what is kept with an object.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Digest;
use s3s::TrailingHeaders;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::Checksum as _;
use s3s::dto::Checksum;

use crate::BucketError;
use crate::body::Arrived;

/// What S3 knows beside MD5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// Its name in S3.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The header, or trailer, that carries it.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }
}

/// Where the value of a checksum is.
#[derive(Clone, Debug)]
pub(crate) enum Claim {
    /// Here.
    Value(String),
    /// After the body.
    Trailer,
    /// Nowhere: it is computed and kept, nothing to compare it with.
    Compute,
}

/// What a client says of a body before it comes.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Bytes.
    pub(crate) length: Option<u64>,
    /// MD5.
    pub(crate) md5: Option<[u8; 16]>,
    /// Checksums.
    pub(crate) sums: Vec<(Algorithm, Claim)>,
    /// What comes after the body.
    pub(crate) trailers: Option<TrailingHeaders>,
}

impl Claims {
    /// Adds a checksum that is to be computed in any case.
    pub(crate) fn and_compute(&mut self, algorithm: Algorithm) {
        if self.sums.iter().all(|(known, _)| *known != algorithm) {
            self.sums.push((algorithm, Claim::Compute));
        }
    }

    /// Computes all that is claimed.
    pub(crate) fn hasher(&self) -> ChecksumHasher {
        let mut hasher = ChecksumHasher::default();
        for (algorithm, _) in &self.sums {
            match algorithm {
                Algorithm::Crc32 => hasher.crc32 = Some(s3s::crypto::Crc32::new()),
                Algorithm::Crc32c => hasher.crc32c = Some(s3s::crypto::Crc32c::new()),
                Algorithm::Crc64Nvme => hasher.crc64nvme = Some(s3s::crypto::Crc64Nvme::new()),
                Algorithm::Sha1 => hasher.sha1 = Some(s3s::crypto::Sha1::new()),
                Algorithm::Sha256 => hasher.sha256 = Some(s3s::crypto::Sha256::new()),
            }
        }
        hasher
    }

    /// Whether what arrived is what was claimed.
    pub(crate) fn check(&self, arrived: &Arrived) -> Result<(), BucketError> {
        if let Some(length) = self.length
            && length != arrived.size
        {
            return Err(BucketError::Length { announced: length, arrived: arrived.size });
        }
        if self.md5.is_some_and(|md5| md5 != arrived.md5) {
            return Err(BucketError::Checksum("MD5"));
        }
        let computed = by_name(&arrived.checksum);
        for (algorithm, claim) in &self.sums {
            let told = match claim {
                Claim::Compute => continue,
                Claim::Value(value) => Some(value.clone()),
                Claim::Trailer => self.trailers.as_ref().and_then(|trailers| trailer(trailers, *algorithm)),
            };
            if told.is_none() || told.as_ref() != computed.get(algorithm.name()) {
                return Err(BucketError::Checksum(algorithm.name()));
            }
        }
        Ok(())
    }
}

fn trailer(trailers: &TrailingHeaders, algorithm: Algorithm) -> Option<String> {
    trailers.read(|map| Some(map.get(algorithm.header())?.to_str().ok()?.to_owned())).flatten()
}

/// What was computed, by the algorithm's name in S3.
pub(crate) fn by_name(checksum: &Checksum) -> BTreeMap<String, String> {
    let all = [
        (Algorithm::Crc32, &checksum.checksum_crc32),
        (Algorithm::Crc32c, &checksum.checksum_crc32c),
        (Algorithm::Crc64Nvme, &checksum.checksum_crc64nvme),
        (Algorithm::Sha1, &checksum.checksum_sha1),
        (Algorithm::Sha256, &checksum.checksum_sha256),
    ];
    all.into_iter().filter_map(|(algorithm, sum)| Some((algorithm.name().to_owned(), sum.clone()?))).collect()
}

/// The checksum of an object from those of its parts, and their sizes: of all its bytes (only a CRC can do that), or
/// the checksum of the parts' checksums with their number. None when a part has none.
pub(crate) fn of_parts<'a>(
    algorithm: Algorithm,
    whole: bool,
    parts: impl Iterator<Item = (u64, &'a BTreeMap<String, String>)>,
) -> Option<String> {
    let sums: Option<Vec<(u64, Vec<u8>)>> =
        parts.map(|(size, sums)| Some((size, STANDARD.decode(sums.get(algorithm.name())?).ok()?))).collect();
    let sums = sums?;
    if !whole {
        let mut claims = Claims::default();
        claims.and_compute(algorithm);
        let mut hasher = claims.hasher();
        sums.iter().for_each(|(_, sum)| hasher.update(sum));
        let of_sums = by_name(&hasher.finalize()).remove(algorithm.name())?;
        return Some(format!("{of_sums}-{}", sums.len()));
    }
    let (crc, width) = match algorithm {
        Algorithm::Crc32 => (crc_fast::CrcAlgorithm::Crc32IsoHdlc, 4),
        Algorithm::Crc32c => (crc_fast::CrcAlgorithm::Crc32Iscsi, 4),
        Algorithm::Crc64Nvme => (crc_fast::CrcAlgorithm::Crc64Nvme, 8),
        Algorithm::Sha1 | Algorithm::Sha256 => return None,
    };
    let number = |sum: &[u8]| sum.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let mut sums = sums.into_iter();
    let first = number(&sums.next()?.1);
    let all = sums.fold(first, |all, (size, sum)| crc_fast::checksum_combine(crc, all, number(&sum), size));
    Some(STANDARD.encode(&all.to_be_bytes()[8 - width..]))
}

/// An MD5 in base64, as `Content-MD5` has it.
pub(crate) fn md5_of_base64(text: &str) -> Option<[u8; 16]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// The MD5 of some bytes.
pub(crate) fn md5(bytes: &[u8]) -> [u8; 16] {
    md5::Md5::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(algorithm: Algorithm, bytes: &[u8]) -> BTreeMap<String, String> {
        let mut claims = Claims::default();
        claims.and_compute(algorithm);
        let mut hasher = claims.hasher();
        hasher.update(bytes);
        by_name(&hasher.finalize())
    }

    #[test]
    fn the_checksum_of_all_bytes_follows_from_those_of_the_parts() {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let (a, b, c) = (sums(algorithm, b"one"), sums(algorithm, b"twotwo"), sums(algorithm, b"3"));
            let parts = [(3, &a), (6, &b), (1, &c)];
            let whole = of_parts(algorithm, true, parts.into_iter()).unwrap();
            assert_eq!(whole, sums(algorithm, b"onetwotwo3")[algorithm.name()], "{algorithm:?}");
            assert!(of_parts(algorithm, false, parts.into_iter()).unwrap().ends_with("-3"));
        }
        let part = sums(Algorithm::Sha256, b"x");
        assert_eq!(of_parts(Algorithm::Sha256, true, [(1, &part)].into_iter()), None);
        assert_eq!(of_parts(Algorithm::Crc32, true, [(1, &part)].into_iter()), None);
    }
}
