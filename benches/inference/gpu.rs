//! The same on an NVIDIA GPU, where one is at hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use wicket_benches::Table;

use crate::host::Host;
use crate::models::Case;
use crate::python::Python;
use crate::{Options, Sides, fetched, one, say, throughput};

/// What is not there without a GPU, by name.
const ROWS: [&str; 5] = [
    "one inference from inside a guest, on gpu",
    "what a row costs in a batch, on gpu",
    "throughput at 1, 8 and 32 guests, on gpu",
    "GPU ÷ CPU for each model",
    "device memory of one model in two services",
];

/// Prints the tables, or which there are not and why.
pub(crate) async fn gpu(options: &Options, cases: &[Case], on_cpu: &[(&'static str, f64)]) {
    let library = match at_hand(&options.gpu_runtime) {
        Ok(library) => library,
        Err(why) => {
            return say(&format!("\nleft out, since {why}: {}", ROWS.join("; ")));
        }
    };
    say(&format!(
        "\nGPU: {}",
        smi(&["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"])
    ));
    let libraries = libraries(&options.gpu_runtime);
    let config = format!(
        "onnxruntime = {library:?}\nlibraries = {libraries:?}\nthreads = {}\ngpu_memory = \"8GiB\"",
        options.threads
    );
    let packages = [options.gpu_runtime.clone(), fetched("inference-tools")];
    let mut sides = Sides {
        host: Host::start(&config),
        python: Python::start(&packages, &libraries),
        threads: options.threads,
        target: "gpu",
        provider: "CUDAExecutionProvider",
    };
    let seen = one::one(&mut sides, cases).await;
    let mut table = Table::new(&["model", "CPU ms", "GPU ms", "CPU ÷ GPU"]);
    for (name, gpu) in seen {
        let cpu = on_cpu.iter().find(|(other, _)| *other == name).map_or(f64::NAN, |(_, ms)| *ms);
        table.row(&[name.to_owned(), format!("{cpu:.3}"), format!("{gpu:.3}"), format!("{:.1}", cpu / gpu)]);
    }
    table.print("One inference from inside a guest: CPU and GPU");
    throughput::throughput(&mut sides, cases).await;
    drop(sides);
    shared(&config, cases).await;
}

/// The library of ONNX Runtime with CUDA, when there is a GPU for it.
fn at_hand(folder: &Path) -> Result<PathBuf, String> {
    if !Path::new("/dev/nvidia0").exists() {
        return Err("there is no NVIDIA GPU at hand (no /dev/nvidia0)".to_owned());
    }
    let none = format!("{} has no onnxruntime-gpu", folder.display());
    let files =
        std::fs::read_dir(folder.join("onnxruntime/capi")).map_err(|error| format!("{none}: {error}"))?;
    let is_library = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so."))
    };
    let library = files.flatten().map(|entry| entry.path()).find(is_library).ok_or(none)?;
    library.canonicalize().map_err(|error| error.to_string())
}

/// The folders of CUDA's libraries that pip put beside it.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let packages = std::fs::read_dir(folder.join("nvidia")).into_iter().flatten().flatten();
    for package in packages.map(|entry| entry.path()) {
        found.extend([package.join("lib"), package.join("lib64")].into_iter().filter(|lib| lib.is_dir()));
    }
    found.iter().filter_map(|lib| lib.canonicalize().ok()).collect()
}

fn smi(args: &[&str]) -> String {
    let said = Command::new("nvidia-smi").args(args).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// MB of the GPU that are in use, by anybody.
fn used() -> f64 {
    let said = smi(&["--query-gpu=memory.used", "--format=csv,noheader,nounits"]);
    said.lines().next().and_then(|line| line.trim().parse().ok()).unwrap_or(f64::NAN)
}

/// Prints what the first and the second service of a model add to the GPU's memory.
async fn shared(config: &str, cases: &[Case]) {
    let Some(case) = cases.iter().find(|case| case.name == "mask") else { return };
    let task = json!({"infer": {"model": "model", "inputs": case.inputs(1), "runs": 5}});
    let host = Host::start(config);
    let mut table = Table::new(&["after", "device memory MB", "more than before MB"]);
    let mut before = used();
    table.row(&["nothing was loaded".to_owned(), format!("{before:.0}"), String::new()]);
    for service in ["first", "second"] {
        host.deploy(service, Some((&case.file, json!({"target": "gpu"})))).await;
        host.call(service, &task, b"").await;
        let now = used();
        table.row(&[
            format!("a call of the {service} service"),
            format!("{now:.0}"),
            format!("{:.0}", now - before),
        ]);
        before = now;
    }
    table.print("Two services with one model, on gpu");
}
