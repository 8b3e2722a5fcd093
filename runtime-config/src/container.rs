//! The container variant of a service: an image, and what a container of it may do.

use std::fmt;
use std::str::FromStr;

use oci_spec::distribution::Reference;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, Cpus, Span};

/// Runs a service in a container of this machine's engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The image.
    pub image: ImageName,
    /// The id of the content that it had when the service was deployed, which the host notes: that is what runs, also
    /// when the name means something else by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Text of a script that runs in it, by `/bin/sh` or by what its first line names; none: the image's own command.
    #[serde(default)]
    pub script: Option<String>,
    /// Memory, what it writes to `/tmp` included; there is no swap beside it.
    pub memory: ByteSize,
    /// CPUs that it may use at once.
    pub cpu: Cpus,
    /// Wall-clock time of an attempt: then SIGTERM, and a while later SIGKILL.
    pub timeout: Span,
    /// Processes and threads at once.
    pub pids: u32,
    /// Size of its `/tmp`.
    pub tmp: ByteSize,
    /// GPUs that it must have.
    #[serde(default)]
    pub gpus: u32,
    /// What it reaches.
    #[serde(default)]
    pub network: Network,
    /// Who it runs as.
    #[serde(default)]
    pub user: User,
    /// Whether it may write to the image's own files; what it writes there goes with it.
    #[serde(default)]
    pub writable_root: bool,
    /// When the image is fetched.
    #[serde(default)]
    pub pull: Pull,
    /// So many containers are kept for the attempts to come; 0: each attempt has its own.
    #[serde(default)]
    pub warm: u32,
}

/// The container's network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// None: not even the host's loopback.
    #[default]
    None,
    /// The engine's default network.
    Bridge,
    /// The host's own: all that listens on its loopback too.
    Host,
}

/// Who a container runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum User {
    /// Nobody who has rights on this machine.
    #[default]
    Unprivileged,
    /// As the image says: often root.
    Image,
    /// User and group by number.
    Ids(u32, u32),
}

/// When an image is fetched. Never while an attempt waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    /// At deploy, when it is not here.
    #[default]
    Missing,
    /// At every deploy.
    Always,
    /// Never: somebody puts it here.
    Never,
}

/// A value that none of a few words is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is {0}")]
pub struct NotAWord(pub(crate) &'static str);

impl FromStr for Network {
    type Err = NotAWord;
    fn from_str(text: &str) -> Result<Self, NotAWord> {
        match text {
            "none" => Ok(Self::None),
            "bridge" => Ok(Self::Bridge),
            "host" => Ok(Self::Host),
            _ => Err(NotAWord("none, bridge or host")),
        }
    }
}

impl Network {
    /// Its name, as it is written and as the engine has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bridge => "bridge",
            Self::Host => "host",
        }
    }
}

impl FromStr for Pull {
    type Err = NotAWord;
    fn from_str(text: &str) -> Result<Self, NotAWord> {
        match text {
            "missing" => Ok(Self::Missing),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(NotAWord("missing, always or never")),
        }
    }
}

impl FromStr for User {
    type Err = NotAWord;
    fn from_str(text: &str) -> Result<Self, NotAWord> {
        let ids = |text: &str| {
            let (user, group) = text.split_once(':')?;
            Some(Self::Ids(user.parse().ok()?, group.parse().ok()?))
        };
        match text {
            "unprivileged" => Ok(Self::Unprivileged),
            "image" => Ok(Self::Image),
            "root" => Ok(Self::Ids(0, 0)),
            _ => ids(text).ok_or(NotAWord("unprivileged, image, root, or two numbers like 1000:1000")),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unprivileged => f.write_str("unprivileged"),
            Self::Image => f.write_str("image"),
            Self::Ids(user, group) => write!(f, "{user}:{group}"),
        }
    }
}

/// An image as people name it: `ffmpeg`, `ghcr.io/org/image:1.2`, `image@sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(String);

/// Not the name of an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is no image name ({why}): as in ffmpeg:6, ghcr.io/org/image:1.2 or image@sha256:…")]
pub struct NotAnImage {
    shown: String,
    why: String,
}

impl ImageName {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In full, with registry and tag or digest: `docker.io/library/ffmpeg:latest`.
    pub fn whole(&self) -> String {
        self.reference().whole()
    }

    /// The registry that it is fetched from: `docker.io`, `ghcr.io`, `localhost:5000`.
    pub fn registry(&self) -> String {
        self.reference().registry().to_owned()
    }

    /// Registry and repository in full, without tag and digest: what an allow-list is about.
    pub fn repository(&self) -> String {
        let reference = self.reference();
        format!("{}/{}", reference.registry(), reference.repository())
    }

    /// Whether it names one content for ever.
    pub fn is_pinned(&self) -> bool {
        self.reference().digest().is_some()
    }

    fn reference(&self) -> Reference {
        self.0.parse().expect("it was parsed when it was made")
    }
}

impl FromStr for ImageName {
    type Err = NotAnImage;
    fn from_str(text: &str) -> Result<Self, NotAnImage> {
        let refused = |why: String| {
            let shown = text.chars().take(64).flat_map(char::escape_default).collect();
            NotAnImage { shown, why }
        };
        if text.len() > 512 {
            return Err(refused("it has more than 512 bytes".to_owned()));
        }
        let read: Result<Reference, _> = text.parse();
        read.map_err(|error| refused(error.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ImageName {
    type Error = NotAnImage;
    fn try_from(text: String) -> Result<Self, NotAnImage> {
        text.parse()
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.0
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_parts() {
        let image = |text: &str| text.parse::<ImageName>().unwrap();
        assert_eq!(image("ffmpeg").whole(), "docker.io/library/ffmpeg:latest");
        assert_eq!(image("ghcr.io/org/image:1.2").repository(), "ghcr.io/org/image");
        assert_eq!(image("localhost:5000/a/b").repository(), "localhost:5000/a/b");
        assert!(image(&format!("a@sha256:{}", "0".repeat(64))).is_pinned() && !image("a:1").is_pinned());
        for bad in ["", "UPPER", "a b", "-v", "--privileged", "a:", "a@sha256:12", "../a", "a\0", "/etc"] {
            bad.parse::<ImageName>().unwrap_err();
        }
    }

    #[test]
    fn a_user_is_a_word_or_two_numbers() {
        assert_eq!("root".parse(), Ok(User::Ids(0, 0)));
        assert_eq!("1000:100".parse(), Ok(User::Ids(1000, 100)));
        for bad in ["", "ada", "1000", "1000:", "-1:0", "1:2:3"] {
            bad.parse::<User>().unwrap_err();
        }
    }
}
