//! Inference, beside Python's ONNX Runtime and OpenCV in the same run: one inference of each model from inside a guest;
//! throughput of many guests, with and without batches; a second service that uses a loaded model; the way of a frame in
//! wasm beside the same Rust natively; and the mask workflow beside one Python process. With an NVIDIA GPU, the same there.
//!
//! `cargo xtask guests && cargo xtask tools && cargo xtask models --all && cargo build --release -p wicket`, then
//! `cargo bench -p wicket-benches --bench inference`; a part alone by its name: `-- one`, `throughput`, `second`, `frames`,
//! `workflow` or `gpu`. `-- --threads 2`: both sides have so many for a run (1). `-- --gpu-runtime FOLDER`: where
//! `pip install --target FOLDER onnxruntime-gpu[cuda,cudnn]` put it (`target/onnxruntime-gpu`).

mod figures;
mod frames;
mod gpu;
mod host;
mod models;
mod one;
mod python;
mod second;
mod throughput;
mod workflow;

use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::python::Python;

/// What was asked for on the command line.
#[derive(Debug)]
struct Options {
    /// Parts by name; all where there is none.
    parts: Vec<String>,
    threads: usize,
    gpu_runtime: PathBuf,
}

impl Options {
    fn read() -> Self {
        let mut options =
            Self { parts: Vec::new(), threads: 1, gpu_runtime: target().join("onnxruntime-gpu") };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().unwrap_or_else(|| panic!("{arg} wants a value"));
            match &*arg {
                "--threads" => options.threads = value().parse().expect("`--threads` wants a number"),
                "--gpu-runtime" => options.gpu_runtime = value().into(),
                // Cargo adds options of its own.
                other if other.starts_with('-') => {}
                _ => options.parts.push(arg),
            }
        }
        options
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|one| one == part)
    }
}

/// What is measured side by side, and where it runs.
struct Sides {
    host: Host,
    python: Python,
    threads: usize,
    /// As a service says it.
    target: &'static str,
    /// As ONNX Runtime calls it.
    provider: &'static str,
}

impl Sides {
    fn on_cpu(threads: usize) -> Self {
        let library = fetched("onnxruntime/libonnxruntime.so");
        let config = format!("onnxruntime = {library:?}\nthreads = {threads}");
        let python = Python::start(&[fetched("inference-tools")], &[]);
        Self { host: Host::start(&config), python, threads, target: "cpu", provider: "CPUExecutionProvider" }
    }
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").canonicalize().expect("target/ is there")
}

/// A file that the set-up put below `target/`.
fn fetched(name: &str) -> PathBuf {
    let file = target().join(name);
    assert!(file.exists(), "{} is missing: run `cargo xtask tools` and `cargo xtask models`", file.display());
    file
}

#[expect(clippy::print_stdout, reason = "the text is what a bench is run for")]
fn say(line: &str) {
    println!("{line}");
}

/// What this ran on.
fn machine(sides: &mut Sides) {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let (kernel, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    say(&format!("machine: {}, {cores} cores, Linux {}", model.map_or("?", |(_, name)| name), kernel.trim()));
    say(&format!("load average as it began: {}", load.trim()));
    let about = sides.python.about();
    say(&format!(
        "beside it: Python {}, onnxruntime {}, OpenCV {} ({}); {} thread(s) a run on both sides",
        about["python"].as_str().unwrap_or_default(),
        about["onnxruntime"].as_str().unwrap_or_default(),
        about["opencv"].as_str().unwrap_or_default(),
        about["opencv_built_for"].as_str().unwrap_or_default(),
        sides.threads
    ));
}

#[tokio::main]
async fn main() {
    let options = Options::read();
    let mut sides = Sides::on_cpu(options.threads);
    machine(&mut sides);
    let (cases, missing) = models::cases();
    if !missing.is_empty() {
        say(&format!(
            "left out, not fetched (`cargo xtask models --all` fetches them): {}",
            missing.join(", ")
        ));
    }
    let mut on_cpu = Vec::new();
    if options.wants("one") || options.wants("gpu") {
        on_cpu = one::one(&mut sides, &cases).await;
    }
    if options.wants("throughput") {
        throughput::throughput(&mut sides, &cases).await;
    }
    if options.wants("second") {
        second::second(options.threads, &cases).await;
    }
    if options.wants("frames") {
        frames::frames(&mut sides).await;
    }
    if options.wants("workflow") {
        workflow::workflow(options.threads).await;
    }
    if options.wants("gpu") {
        drop(sides);
        gpu::gpu(&options, &cases, &on_cpu).await;
    }
}
