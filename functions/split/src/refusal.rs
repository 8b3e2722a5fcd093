//! Why a video was not split.

use std::fmt;
use std::process::ExitCode;

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Whoever deployed it has to look.
    Misused(String),
    /// Nobody can make pictures of it.
    Broken(String),
    /// It may be sound, but is nothing that this variant reads.
    Declined(String),
}

impl Refusal {
    /// Declines a video, and says who takes it.
    pub(crate) fn declined(why: impl fmt::Display) -> Self {
        Self::Declined(format!("{why}: the variant in a container takes it (image wicketgate/ffmpeg)"))
    }

    /// The same, with the name of the video in front.
    pub(crate) fn about(self, name: &str) -> Self {
        match self {
            Self::Misused(why) => Self::Misused(why),
            Self::Broken(why) => Self::Broken(format!("{name}: {why}")),
            Self::Declined(why) => Self::Declined(format!("{name}: {why}")),
        }
    }

    /// The status to exit with. 69 is `EX_UNAVAILABLE` of sysexits.h.
    pub(crate) fn status(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Misused(_) => 1,
            Self::Broken(_) => 2,
            Self::Declined(_) => 69,
        })
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(format!("cannot read it: {error}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Misused(why) | Self::Broken(why) | Self::Declined(why)) = self;
        f.write_str(why)
    }
}
