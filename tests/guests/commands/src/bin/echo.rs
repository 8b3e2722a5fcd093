//! Copies its input to its output, and stdin (the event) to stdout unless it is told to be `quiet`. Also built for preview 1, as `echo-p1`.

use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    if std::env::args().nth(1).as_deref() != Some("quiet") {
        std::io::copy(&mut std::io::stdin(), &mut std::io::stdout())?;
    }
    let (Ok(input), Ok(output)) = (std::env::var("INPUT_FILE_PATH"), std::env::var("TMP_OUTPUT_DIR")) else {
        return Ok(());
    };
    for file in files(Path::new(&input))? {
        let name = file.file_name().unwrap_or_default();
        std::io::copy(
            &mut std::fs::File::open(&file)?,
            &mut std::fs::File::create(Path::new(&output).join(name))?,
        )?;
        eprintln!("copied {}", name.to_string_lossy());
    }
    Ok(())
}

fn files(input: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !input.is_dir() {
        return Ok(vec![input.to_owned()]);
    }
    std::fs::read_dir(input)?.map(|entry| Ok(entry?.path())).collect()
}
