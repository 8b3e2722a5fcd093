//! What one may ask for.

use std::str::FromStr;

use image::ImageFormat;

/// Options, each as `--name value`, `--name=value` or the environment variable `NAME`; an argument wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// `--size 320x320`: the box.
    pub(crate) size: Size,
    /// `--fit contain|cover`: all of the photograph inside the box, or the whole box filled and the rest cut off.
    pub(crate) fit: Fit,
    /// `--format jpg|png|webp`.
    pub(crate) format: ImageFormat,
    /// `--quality 1..100`, of JPEG.
    pub(crate) quality: u8,
}

/// A box in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// How a photograph gets into the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Contain,
    Cover,
}

/// A side of a thumbnail.
const LONGEST: u32 = 4096;

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("size `{text}`: write WIDTHxHEIGHT, each 1 to {LONGEST}, as in 320x240");
        let (width, height) = text.split_once('x').unwrap_or((text, text));
        let side =
            |side: &str| side.parse().ok().filter(|side| (1..=LONGEST).contains(side)).ok_or_else(refused);
        Ok(Self { width: side(width)?, height: side(height)? })
    }
}

impl Options {
    /// Reads arguments, and what they leave open from the environment.
    pub(crate) fn read(
        args: impl IntoIterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let names = ["size", "fit", "format", "quality"];
        let mut values = names.map(|name| variable(&name.to_uppercase()));
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            let slot = name.strip_prefix("--").and_then(|name| names.iter().position(|known| *known == name));
            let slot =
                slot.ok_or_else(|| format!("`{name}` is no option: --size, --fit, --format, --quality"))?;
            values[slot] =
                Some(value.or_else(|| args.next()).ok_or_else(|| format!("{name} needs a value"))?);
        }
        let [size, fit, format, quality] = values;
        Ok(Self {
            size: size.as_deref().unwrap_or("320x320").parse()?,
            fit: match fit.as_deref() {
                None | Some("contain") => Fit::Contain,
                Some("cover") => Fit::Cover,
                Some(other) => return Err(format!("fit `{other}`: contain or cover")),
            },
            format: match format.as_deref() {
                None | Some("jpg" | "jpeg") => ImageFormat::Jpeg,
                Some("png") => ImageFormat::Png,
                Some("webp") => ImageFormat::WebP,
                Some(other) => return Err(format!("format `{other}`: jpg, png or webp")),
            },
            quality: match quality {
                None => 82,
                Some(text) => match text.parse() {
                    Ok(quality @ 1..=100) => quality,
                    _ => return Err(format!("quality `{text}`: 1 to 100")),
                },
            },
        })
    }

    /// The extension of what is written.
    pub(crate) fn extension(&self) -> &'static str {
        match self.format {
            ImageFormat::Png => "png",
            ImageFormat::WebP => "webp",
            _ => "jpg",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Options, String> {
        Options::read(args.iter().map(|arg| (*arg).to_owned()), |name| {
            (name == "SIZE").then(|| "64".to_owned())
        })
    }

    #[test]
    fn arguments_win_over_the_environment() {
        assert_eq!(read(&[]).unwrap().size, Size { width: 64, height: 64 });
        let options = read(&["--size=320x240", "--fit", "cover", "--format", "webp"]).unwrap();
        assert_eq!(options.size, Size { width: 320, height: 240 });
        assert_eq!((options.fit, options.extension(), options.quality), (Fit::Cover, "webp", 82));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (args, named) in [
            (&["--size", "0x5"][..], "size `0x5`"),
            (&["--size", "99999"], "1 to 4096"),
            (&["--quality", "101"], "quality `101`"),
            (&["--fit", "stretch"], "fit `stretch`"),
            (&["--fit"], "--fit needs a value"),
            (&["large"], "`large` is no option"),
        ] {
            assert!(read(args).unwrap_err().contains(named), "{named}");
        }
    }
}
