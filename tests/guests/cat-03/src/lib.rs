//! Copies its standard input to its output, as a command of WASI 0.3; an empty input is a failure. Where there is an
//! input file, it is copied to the output folder.

#![cfg(target_family = "wasm")]

use std::io::Write as _;

use wasip3::cli::{stdin, stdout};
use wasip3::wit_bindgen::StreamResult;
use wasip3::wit_stream;

struct Cat;

impl wasip3::exports::cli::run::Guest for Cat {
    async fn run() -> Result<(), ()> {
        let (mut input, _how) = stdin::read_via_stream();
        let (mut out, answer) = wit_stream::new();
        let printed = stdout::write_via_stream(answer);
        let mut all = 0;
        loop {
            let (result, bytes) = input.read(Vec::with_capacity(4096)).await;
            all += bytes.len();
            if !out.write_all(bytes).await.is_empty() || !matches!(result, StreamResult::Complete(_)) {
                break;
            }
        }
        drop(out);
        printed.await.map_err(|_| ())?;
        if let (Ok(from), Ok(to)) = (std::env::var("INPUT_FILE_PATH"), std::env::var("TMP_OUTPUT_DIR")) {
            let bytes = std::fs::read(from).map_err(|error| eprintln!("{error}"))?;
            let mut file =
                std::fs::File::create(format!("{to}/copy")).map_err(|error| eprintln!("{error}"))?;
            file.write_all(&bytes).map_err(|error| eprintln!("{error}"))?;
        }
        if all == 0 { Err(()) } else { Ok(()) }
    }
}

wasip3::cli::command::export!(Cat);
