//! Misbehaves as its standard input says; see `hostile`. Beside that: `flood` (endless output), `hoard` (opens files
//! without end). Anything else: it says `fine`.

use std::io::{Read as _, Write as _};

fn main() -> std::io::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    hostile::misbehave(&text);
    if text.contains("flood") {
        let mut out = std::io::stdout();
        loop {
            out.write_all(&[b'x'; 4096])?;
        }
    } else if text.contains("hoard") {
        let folder = std::env::var("TMP_OUTPUT_DIR").expect("a command has one");
        let mut held = Vec::new();
        for number in 0_u64.. {
            held.push(std::fs::File::create(format!("{folder}/{number}"))?);
        }
    }
    println!("fine");
    Ok(())
}
