//! Sizes and durations as people write them: `"256Mi"`, `"64MiB"`, `"30s"`, `"1m30s"`, `"250ms"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a size or a duration was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a size.
    #[error(
        "`{0}` is not a size: write a number and B, KB, MB, GB, Ki, Mi, Gi, KiB, MiB or GiB, as in \"256MiB\""
    )]
    Size(String),
    /// Not a number of CPUs.
    #[error("`{0}` is not a number of CPUs: write one like \"0.5\", \"500m\" or \"2\", of at least 0.01")]
    Cpus(String),
    /// Not a duration.
    #[error("`{0}` is not a duration: write numbers with ms, s, m, h or d, as in \"30s\" or \"1m30s\"")]
    Span(String),
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Mebibytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }
    /// Kibibytes.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }
    /// The number, cut to what this machine addresses.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const SIZES: [(&str, u64); 16] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("B", 1),
    ("", 1),
];

impl FromStr for ByteSize {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let refused = || UnitError::Size(text.chars().take(40).collect());
        let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
        let suffix = text.trim()[digits.len()..].trim();
        let (_, unit) = SIZES.iter().find(|(name, _)| *name == suffix).ok_or_else(refused)?;
        let number: u64 = digits.parse().map_err(|_| refused())?;
        number.checked_mul(*unit).map(Self).ok_or_else(refused)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = UnitError;
    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, unit) in [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// A number of CPUs, in thousandths of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cpus(pub u32);

impl FromStr for Cpus {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let refused = || UnitError::Cpus(text.chars().take(40).collect());
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let (number, unit) = text.trim().strip_suffix('m').map_or((text.trim(), 1000.0), |n| (n, 1.0));
        let number: f64 =
            Some(number).filter(|n| plain(n)).and_then(|n| n.parse().ok()).ok_or_else(refused)?;
        let thousandths = (number * unit).round();
        if (10.0..=1_000_000.0).contains(&thousandths) {
            Ok(Self(thousandths as u32))
        } else {
            Err(refused())
        }
    }
}

impl TryFrom<String> for Cpus {
    type Error = UnitError;
    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<Cpus> for String {
    fn from(cpus: Cpus) -> Self {
        cpus.to_string()
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1000.0)
    }
}

/// A length of time. (`Duration` itself has no text form in serde.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

impl Span {
    /// Whole seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }
}

const SPANS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl FromStr for Span {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let refused = || UnitError::Span(text.chars().take(40).collect());
        let mut rest = text.trim();
        let mut millis: u64 = 0;
        if rest.is_empty() {
            return Err(refused());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?;
            let number: u64 = rest[..digits].parse().map_err(|_| refused())?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (_, unit) = SPANS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(refused)?;
            millis = number.checked_mul(*unit).and_then(|n| n.checked_add(millis)).ok_or_else(refused)?;
            rest = &rest[letters..];
        }
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl TryFrom<String> for Span {
    type Error = UnitError;
    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        for (name, unit) in SPANS.iter().rev() {
            if millis >= *unit {
                write!(f, "{}{name}", millis / unit)?;
                millis %= unit;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_kubernetes_and_people_write_them() {
        for (text, bytes) in [("256Mi", 256 << 20), ("64MiB", 64 << 20), ("1 KB", 1000), ("7", 7), ("0B", 0)]
        {
            assert_eq!(text.parse::<ByteSize>().unwrap().0, bytes, "{text}");
        }
        for bad in ["", "Mi", "1.5Gi", "-1", "1XiB", "99999999999Ti", "1é"] {
            bad.parse::<ByteSize>().unwrap_err();
        }
        assert_eq!(ByteSize(256 << 20).to_string(), "256MiB");
        assert_eq!(ByteSize(1000).to_string(), "1000B");
    }

    #[test]
    fn durations_read_and_show_the_same() {
        for text in ["250ms", "30s", "1m30s", "2h", "1d12h", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for bad in ["", "30", "s", "1.5s", "1y", "30s ago", "99999999999999999999s", "1é"] {
            bad.parse::<Span>().unwrap_err();
        }
    }
}
