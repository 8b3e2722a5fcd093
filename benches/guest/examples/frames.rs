//! The way of a frame, natively: `frames PICTURE RUNS SIDE` tells what each step took as the guest does.

use bench_inference::frames::frames;
use bench_inference::task::Frames;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, picture, runs, side] = &args[..] else { return Err("frames PICTURE RUNS SIDE".into()) };
    let task = Frames { runs: runs.parse()?, side: side.parse()? };
    println!("{}", serde_json::to_string(&frames(&std::fs::read(picture)?, &task)?)?);
    Ok(())
}
