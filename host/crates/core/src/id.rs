//! Identities, and the one place that reads the wall clock.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wicket_config::ServiceName;

/// The `id` attribute of an event; unique together with its source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub String);

impl EventId {
    /// A fresh id, for an event that the outside did not name.
    pub fn random() -> Self {
        Self(hex::encode(rand::random::<[u8; 16]>()))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An invocation, over all its attempts: 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InvocationId([u8; 16]);

impl InvocationId {
    /// The repeatable id of one service on one event: a notification delivered twice gets the same.
    pub fn derive(service: &ServiceName, source: &str, event: &EventId) -> Self {
        let mut hash = Sha256::new();
        // Lengths in front, so that no two triples share their bytes.
        for part in [service.as_str(), source, &event.0] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        Self(std::array::from_fn(|idx| digest[idx]))
    }

    /// A fresh id, for a synchronous call. It begins with the time, in
    /// milliseconds since 1970 and 6 bytes: the rows of calls made one after another stand
    /// together in every index, and a thousand of them are stored with a few pages instead of a thousand.
    pub fn random() -> Self {
        let mut id: [u8; 16] = rand::random();
        id[..6].copy_from_slice(&(Timestamp::now().0 / 1000).to_be_bytes()[2..]);
        Self(id)
    }

    /// The id with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, most significant first: as the hex digits show them.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 32];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an invocation id has 32 hex digits")]
pub struct NotAnId;

impl FromStr for InvocationId {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotAnId)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for InvocationId {
    type Error = NotAnId;
    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

impl From<InvocationId> for String {
    fn from(id: InvocationId) -> Self {
        id.to_string()
    }
}

/// Wall-clock time: microseconds since 1970. RFC 3339 in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The wall clock now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now() -> Self {
        Self::from(std::time::SystemTime::now())
    }

    /// This much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<std::time::SystemTime> for Timestamp {
    /// A time before 1970 is 1970.
    fn from(time: std::time::SystemTime) -> Self {
        let since = time.duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    /// One that RFC 3339 cannot write (no year of four digits) is shown as the nearest that it can.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.clamp(FIRST, LAST);
        let time =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).map_err(|_| fmt::Error)?;
        f.write_str(&time.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

/// The year 0 begins,
const FIRST: i64 = -62_167_219_200_000_000;
/// and the year 9999 ends.
const LAST: i64 = 253_402_300_799_999_999;

/// Not an RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 time")]
pub struct NotATime(String);

impl FromStr for Timestamp {
    type Err = NotATime;
    fn from_str(text: &str) -> Result<Self, NotATime> {
        let refused = || NotATime(text.chars().take(40).collect());
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| refused())?;
        // In UTC it may be another year than it is there.
        let micros = i64::try_from(time.unix_timestamp_nanos().div_euclid(1000)).map_err(|_| refused())?;
        if (FIRST..=LAST).contains(&micros) { Ok(Self(micros)) } else { Err(refused()) }
    }
}

impl TryFrom<String> for Timestamp {
    type Error = NotATime;
    fn try_from(text: String) -> Result<Self, NotATime> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_event_gives_the_same_invocation_and_no_other_does() {
        let (a, b): (ServiceName, ServiceName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let id = |service, source, event: &str| InvocationId::derive(service, source, &EventId(event.into()));
        assert_eq!(id(&a, "s", "1"), id(&a, "s", "1"));
        assert_ne!(id(&a, "s", "1"), id(&b, "s", "1"));
        assert_ne!(id(&a, "s1", ""), id(&a, "s", "1"));
        assert_eq!(id(&a, "s", "1").to_string().parse(), Ok(id(&a, "s", "1")));
    }

    #[test]
    fn fresh_ids_differ_and_stand_in_the_order_of_their_time() {
        let before = InvocationId::random();
        let began = Timestamp::now();
        while Timestamp::now().since(began) < Duration::from_millis(2) {}
        let (one, two) = (InvocationId::random(), InvocationId::random());
        assert!(before < one && before < two && one != two);
    }

    #[test]
    fn a_time_shows_and_reads_the_same() {
        let time: Timestamp = "2026-11-24T12:00:00.5Z".parse().unwrap();
        assert_eq!(time.to_string().parse(), Ok(time));
        assert!("yesterday".parse::<Timestamp>().is_err());
        // In UTC they would be of the year 10000, and of the year -1.
        assert!("9999-12-31T23:59:59-23:59".parse::<Timestamp>().is_err());
        assert!("0000-01-01T00:00:00+23:59".parse::<Timestamp>().is_err());
        for (micros, shown) in [(i64::MAX, LAST), (LAST, LAST), (FIRST, FIRST), (i64::MIN, FIRST)] {
            assert_eq!(Timestamp(micros).to_string().parse(), Ok(Timestamp(shown)));
        }
    }
}
