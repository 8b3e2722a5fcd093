//! What one may ask for.

/// Options, each an environment variable. `split.sh` has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// `FRAME_EVERY=2`: seconds from one picture to the next, in tenths of a second here.
    pub(crate) every: u64,
    /// `FRAMES_MOST=500`: pictures of one video. A video that would have more gets them further apart.
    pub(crate) most: u64,
    /// `AUDIO=wav|none`: whether its sound is wanted.
    pub(crate) audio: bool,
}

/// Seconds from one picture to the next.
const LONGEST: f64 = 3600.0;
/// Pictures of one video: a join takes as many.
const MOST: u64 = 9000;

impl Options {
    /// Reads the environment.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let every = variable("FRAME_EVERY").unwrap_or_else(|| "2".to_owned());
        let most = variable("FRAMES_MOST").unwrap_or_else(|| "500".to_owned());
        Ok(Self {
            every: match every.parse::<f64>() {
                Ok(seconds) if (0.1..=LONGEST).contains(&seconds) => (seconds * 10.0).round() as u64,
                _ => return Err(format!("FRAME_EVERY `{every}`: seconds from 0.1 to {LONGEST}")),
            },
            most: match most.parse() {
                Ok(most @ 1..=MOST) => most,
                _ => return Err(format!("FRAMES_MOST `{most}`: 1 to {MOST}")),
            },
            audio: match variable("AUDIO").as_deref() {
                None | Some("wav") => true,
                Some("none") => false,
                Some(other) => return Err(format!("AUDIO `{other}`: wav or none")),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let read = |name: &'static str, value: &'static str| {
            Options::read(move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(read("FRAME_EVERY", "0.5").unwrap(), Options { every: 5, most: 500, audio: true });
        for (name, value) in [
            ("FRAME_EVERY", "0"),
            ("FRAME_EVERY", "NaN"),
            ("FRAME_EVERY", "3601"),
            ("FRAMES_MOST", "0"),
            ("FRAMES_MOST", "many"),
            ("AUDIO", "mp3"),
        ] {
            assert!(read(name, value).unwrap_err().contains(&format!("{name} `{value}`")));
        }
    }
}
