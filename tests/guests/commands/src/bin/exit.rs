//! Ends with the status its first argument says, after one line on stdout, one on stderr and one output.

fn main() {
    println!("on stdout");
    eprintln!("on stderr");
    if let Ok(output) = std::env::var("TMP_OUTPUT_DIR") {
        let _unwritable = std::fs::write(format!("{output}/made.txt"), "made");
    }
    std::process::exit(std::env::args().nth(1).and_then(|status| status.parse().ok()).unwrap_or(3));
}
