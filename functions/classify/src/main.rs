//! Tells what is in a photograph: reads `INPUT_FILE_PATH` (a file, or a folder of them), writes `TMP_OUTPUT_DIR/<stem>.json`
//! with the five likeliest of ImageNet's 1,000 classes. JPEG, PNG and WebP in. `CLASS_MODEL` names the model, an
//! EfficientNet-Lite0 (`imagenet`).
//!
//! It is built for wasm32-wasip1 with the `wasi-nn` crate, and knows nothing of this host: any that serves
//! `wasi_ephemeral_nn` runs it.
//!
//! Exit status: 0 all done, 1 no input, 2 a photograph that cannot be read, 3 the model is not there or has failed.

mod model;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fmt, fs, io};

use image::RgbImage;
use serde::Serialize;
use vision::fit::{self, Fit};
use vision::tensor::{Format, Layout};
use vision::{labels, picture, scores, settings};

use crate::model::SIDE;

/// Classes that are told.
const TOLD: usize = 5;
/// How much of a photograph the model was trained to see.
const SHARE: f64 = 0.875;
const PIXELS: Format = Format { layout: Layout::Nchw, bgr: false, mean: [127.0; 3], std: [128.0; 3] };

/// Why it ends, and with which status.
#[derive(Debug)]
enum Refusal {
    Misused(String),
    Broken(String),
    Model(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Misused(why) | Self::Broken(why) | Self::Model(why)) = self;
        f.write_str(why)
    }
}

/// One class.
#[derive(Debug, Serialize)]
struct Class<'a> {
    label: &'a str,
    index: usize,
    /// 0 to 1; all classes sum to 1.
    share: f32,
}

#[derive(Debug, Serialize)]
struct Photo<'a> {
    photo: &'a str,
    /// Pixels.
    width: u32,
    /// Pixels.
    height: u32,
    /// The likeliest first.
    classes: Vec<Class<'a>>,
}

fn main() -> ExitCode {
    let done = run();
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("classify: {refusal}");
            ExitCode::from(match refusal {
                Refusal::Misused(_) => 1,
                Refusal::Broken(_) => 2,
                Refusal::Model(_) => 3,
            })
        }
    }
}

fn run() -> Result<String, Refusal> {
    let set = |name: &str| {
        settings::text(name).ok_or_else(|| Refusal::Misused(format!("{name} is not set: is there an input?")))
    };
    let (input, output) = (set("INPUT_FILE_PATH")?, set("TMP_OUTPUT_DIR")?);
    let photos = photos(Path::new(&input)).map_err(|error| Refusal::Misused(format!("{input}: {error}")))?;
    let name = settings::text("CLASS_MODEL").unwrap_or_else(|| "imagenet".to_owned());
    let graph = model::load(&name).map_err(Refusal::Model)?;
    let mut context = model::start(&graph).map_err(Refusal::Model)?;
    classify(&photos, Path::new(&output), |numbers| model::run(&mut context, numbers))
}

fn photos(input: &Path) -> io::Result<Vec<PathBuf>> {
    if !input.is_dir() {
        return Ok(vec![input.to_owned()]);
    }
    let mut photos = Vec::new();
    for entry in fs::read_dir(input)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            photos.push(entry.path());
        }
    }
    photos.sort();
    Ok(photos)
}

/// Writes what is in each photograph, and says the likeliest class of each. `infer` takes the numbers of one and answers
/// with the share of each class.
fn classify(
    photos: &[PathBuf],
    folder: &Path,
    mut infer: impl FnMut(&[f32]) -> Result<Vec<f32>, String>,
) -> Result<String, Refusal> {
    let names = labels::names(labels::IMAGENET);
    let mut said = Vec::new();
    for file in photos {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let image = read(file).map_err(|error| Refusal::Broken(format!("{name}: {error}")))?;
        let numbers = PIXELS.numbers(&fit::fit(&image, SIDE, SIDE, Fit::Middle { share: SHARE }).image);
        let shares = infer(&numbers).map_err(|error| Refusal::Model(format!("{name}: {error}")))?;
        let class = |(index, share)| Class { label: names.get(index).copied().unwrap_or("?"), index, share };
        let classes: Vec<Class<'_>> = scores::top(&shares, TOLD).into_iter().map(class).collect();
        let first = classes.first().map_or("nothing", |class| class.label);
        said.push(format!("{name}: {first}"));
        let photo = Photo { photo: &name, width: image.width(), height: image.height(), classes };
        let target = folder.join(file.file_stem().unwrap_or_default()).with_added_extension("json");
        let written = serde_json::to_vec_pretty(&photo).map_err(io::Error::from);
        written
            .and_then(|json| fs::write(&target, json))
            .map_err(|error| Refusal::Broken(format!("cannot write {}: {error}", target.display())))?;
    }
    Ok(said.join("\n"))
}

fn read(file: &Path) -> Result<RgbImage, String> {
    let size = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > picture::MOST_BYTES as u64 {
        return Err(format!("{size} bytes are more than {}", picture::MOST_BYTES));
    }
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    picture::decode(&bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
