//! Splits a video into pictures: reads `INPUT_FILE_PATH`, writes `TMP_OUTPUT_DIR/<name of the video>/`, in it a JPEG for
//! every so many seconds, named by its time (`00004.0s.jpg`), and `video.json` ([`video::About`]). Motion-JPEG (AVI) and
//! GIF in; `split.sh` beside this crate does the same, and the sound, for everything that ffmpeg reads. Options come as
//! environment variables (see [`Options`]).
//!
//! Exit status: 0 all done, 1 bad options or no input, 2 a video that cannot be read, 69 a video that is none of this
//! variant's, so that the next variant of a service takes it. (It is built for wasm32-wasip1: in WASI 0.2 a command that
//! fails has status 1, whatever it says.)

mod avi;
mod gif;
mod options;
mod plan;
mod refusal;
mod sniff;
mod video;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;

use ::image::codecs::jpeg::JpegEncoder;
use ::image::{ExtendedColorType, ImageEncoder as _, RgbImage};

use crate::options::Options;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::video::Video;

const QUALITY: u8 = 88;

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let missing = |name: &str| Refusal::Misused(format!("{name} is not set"));
    let done = variable("INPUT_FILE_PATH").ok_or_else(|| missing("INPUT_FILE_PATH")).and_then(|input| {
        let output = variable("TMP_OUTPUT_DIR").ok_or_else(|| missing("TMP_OUTPUT_DIR"))?;
        let options = Options::read(variable).map_err(Refusal::Misused)?;
        let input = Path::new(&input);
        let name = input.file_name().unwrap_or_default().to_string_lossy();
        let said = split(input, &Path::new(&output).join(&*name), &options);
        said.map(|said| format!("{name}: {said}")).map_err(|refusal| refusal.about(&name))
    });
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("split: {refusal}");
            refusal.status()
        }
    }
}

/// Writes a video's pictures into a folder, and says what it did.
fn split(input: &Path, folder: &Path, options: &Options) -> Result<String, Refusal> {
    let mut video = Video::open(input)?;
    let mut about = video.about().clone();
    if about.has_audio && options.audio {
        let why = "it has sound, which this variant does not read (AUDIO=none leaves it out)";
        return Err(Refusal::declined(why));
    }
    about.has_audio &= options.audio;
    let plan = Plan::of(about.micros, options)?;
    let failed = |error: std::io::Error| Refusal::Broken(format!("cannot write to its folder: {error}"));
    fs::create_dir_all(folder).map_err(failed)?;
    video.pictures(&plan, |index, picture| {
        about.frames += 1;
        write(&picture, &folder.join(plan.name(index)))
            .map_err(|error| Refusal::Broken(format!("cannot write {}: {error}", plan.name(index))))
    })?;
    about.every = plan.seconds();
    let json = serde_json::to_vec(&about).map_err(|error| failed(error.into()))?;
    fs::write(folder.join("video.json"), json).map_err(failed)?;
    let (frames, width, height) = (about.frames, about.width, about.height);
    Ok(format!("{width}x{height}, {:.1} s, {frames} pictures, one every {} s", about.duration, about.every))
}

fn write(picture: &RgbImage, file: &Path) -> Result<(), ::image::ImageError> {
    let mut file = BufWriter::new(File::create(file)?);
    let (width, height) = picture.dimensions();
    JpegEncoder::new_with_quality(&mut file, QUALITY).write_image(
        picture,
        width,
        height,
        ExtendedColorType::Rgb8,
    )?;
    Ok(file.flush()?)
}

#[cfg(test)]
mod tests;
