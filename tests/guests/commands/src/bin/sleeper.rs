//! Sleeps in the host: for an hour, or so many milliseconds as its argument says. Then it makes `slept.txt`.

use std::time::Duration;

fn main() {
    let millis = std::env::args().nth(1).and_then(|millis| millis.parse().ok()).unwrap_or(3_600_000);
    std::thread::sleep(Duration::from_millis(millis));
    println!("slept {millis} ms");
    if let Ok(output) = std::env::var("TMP_OUTPUT_DIR") {
        let _unwritable = std::fs::write(format!("{output}/slept.txt"), millis.to_string());
    }
}
