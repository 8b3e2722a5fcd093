//! Makes a thumbnail of a photograph: reads `INPUT_FILE_PATH` (a file, or a folder of them), writes
//! `TMP_OUTPUT_DIR/<stem>.jpg`. JPEG, PNG and WebP in; options as arguments or environment (see [`Options`]).
//!
//! Exit status: 0 all done, 1 bad options or no input, 2 a photograph that cannot be read.

mod options;
mod photo;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::options::Options;

const MISUSED: u8 = 1;
const BROKEN: u8 = 2;

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let started = Options::read(std::env::args().skip(1), variable).and_then(|options| {
        let input = variable("INPUT_FILE_PATH").ok_or("INPUT_FILE_PATH is not set: is there an input?")?;
        let output = variable("TMP_OUTPUT_DIR").ok_or("TMP_OUTPUT_DIR is not set")?;
        let photos = photos(Path::new(&input)).map_err(|error| format!("{input}: {error}"))?;
        Ok((options, photos, PathBuf::from(output)))
    });
    let (options, photos, output) = match started {
        Ok(started) => started,
        Err(error) => {
            eprintln!("thumbnail: {error}");
            return ExitCode::from(MISUSED);
        }
    };
    for photo in photos {
        match photo::thumbnail(&photo, &output, &options) {
            Ok(said) => println!("{said}"),
            Err(error) => {
                let name = photo.file_name().unwrap_or_default().to_string_lossy();
                eprintln!("thumbnail: {name}: {error}");
                return ExitCode::from(BROKEN);
            }
        }
    }
    ExitCode::SUCCESS
}

fn photos(input: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !input.is_dir() {
        return Ok(vec![input.to_owned()]);
    }
    let mut photos = Vec::new();
    for entry in std::fs::read_dir(input)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            photos.push(entry.path());
        }
    }
    photos.sort();
    Ok(photos)
}
