//! Which moments of a video become pictures.

use crate::options::Options;
use crate::refusal::Refusal;

/// A tenth of a second.
const TENTH: u64 = 100_000;
/// Names have room for the seconds of a day.
const LONGEST: u64 = 24 * 3600 * 10 * TENTH;

/// Moments at equal distances, from the video's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Tenths of a second.
    every: u64,
    /// How many; at least one.
    pub(crate) pictures: u64,
}

impl Plan {
    /// For a video of so many microseconds.
    pub(crate) fn of(micros: u64, options: &Options) -> Result<Self, Refusal> {
        if micros > LONGEST {
            return Err(Refusal::Broken("it is longer than a day".to_owned()));
        }
        let every = options.every.max(micros.div_ceil(TENTH * options.most));
        Ok(Self { every, pictures: micros.div_ceil(every * TENTH).max(1) })
    }

    /// Seconds from one picture to the next.
    pub(crate) fn seconds(&self) -> f64 {
        self.every as f64 / 10.0
    }

    /// When a picture is, in microseconds.
    pub(crate) fn moment(&self, index: u64) -> u64 {
        index * self.every * TENTH
    }

    /// Its file: order and time are in the name.
    pub(crate) fn name(&self, index: u64) -> String {
        let tenths = index * self.every;
        format!("{:05}.{}s.jpg", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_named_by_their_time_and_never_too_many() {
        let options = Options { every: 20, most: 500, audio: true };
        let plan = Plan::of(5_310_000, &options).unwrap();
        let names: Vec<String> = (0..plan.pictures).map(|index| plan.name(index)).collect();
        assert_eq!(names, ["00000.0s.jpg", "00002.0s.jpg", "00004.0s.jpg"]);
        assert_eq!(Plan::of(0, &options).unwrap().pictures, 1);
        // An hour in 500 pictures is one every 7.2 s.
        let hour = Plan::of(3_600_000_000, &options).unwrap();
        assert_eq!((hour.pictures, hour.seconds(), hour.name(499).as_str()), (500, 7.2, "03592.8s.jpg"));
        assert!(Plan::of(u64::MAX, &options).is_err());
    }
}
