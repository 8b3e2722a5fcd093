//! One stage of a workflow, as a command of WebAssembly and as a native program: `stage sha256|json|image` works on
//! `INPUT_FILE_PATH` and leaves its result in `TMP_OUTPUT_DIR`. `stage make sha256|json|image BYTES` writes an input of
//! about that size to standard output.

mod inputs;
mod work;

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["make", kind, bytes] => {
            let bytes = bytes.parse()?;
            match *kind {
                "sha256" => inputs::noise(bytes),
                "json" => inputs::readings(bytes),
                "image" => inputs::photo(bytes),
                other => Err(format!("`{other}`: sha256, json or image").into()),
            }
        }
        [kind] => {
            let input = std::fs::read(std::env::var("INPUT_FILE_PATH")?)?;
            let output = PathBuf::from(std::env::var("TMP_OUTPUT_DIR")?).join("result");
            match *kind {
                "sha256" => work::sha256(&input, &output),
                "json" => work::json(&input, &output),
                "image" => work::image(&input, &output),
                other => Err(format!("`{other}`: sha256, json or image").into()),
            }
        }
        _ => Err("stage KIND, or stage make KIND BYTES".into()),
    }
}
