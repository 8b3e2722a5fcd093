//! Writes without end: to stderr, to stdout or to a file, as its argument says (`stderr`, `stdout`, `file`, `files`).

use std::io::Write;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let output = PathBuf::from(std::env::var("TMP_OUTPUT_DIR").unwrap_or_default());
    let kind = std::env::args().nth(1).unwrap_or_default();
    let mut to: Box<dyn Write> = match kind.as_str() {
        "stdout" => Box::new(std::io::stdout()),
        "file" => Box::new(std::fs::File::create(output.join("flood"))?),
        "files" => {
            for number in 0_u64.. {
                std::fs::write(output.join(number.to_string()), b"x")?;
            }
            return Ok(());
        }
        _ => Box::new(std::io::stderr()),
    };
    let line = [b'x'; 1023];
    loop {
        to.write_all(&line)?;
        to.write_all(b"\n")?;
    }
}
