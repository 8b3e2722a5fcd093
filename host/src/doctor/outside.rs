//! What functions may want beside the host: containers, a GPU, and a compiler for those who write them.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use wicket_config::{DockerSection, InferenceSection};
use wicket_inference::{Inference, Settings, Target};

use super::{Finding, Verdict};
use crate::env;

/// Where Rust's standard library for guests is, below a toolchain.
const TARGET: &str = "lib/rustlib/wasm32-wasip2";

/// Docker's engine.
pub(super) fn docker(section: &DockerSection) -> Finding {
    let socket = section.socket.clone().unwrap_or_else(env::docker_socket);
    let shown = socket.display();
    // Only whether somebody listens: the engine itself is asked nothing.
    match UnixStream::connect(&socket) {
        Ok(_) => Finding::good("docker", format!("{shown} answers")),
        Err(error) => {
            let means = "services with an `image` cannot run here; wasm needs no engine";
            Finding::new("docker", Verdict::Missing, format!("{shown}: {error}"), means)
        }
    }
}

/// GPUs, by their device files.
pub(super) fn gpu() -> Finding {
    let number =
        |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_prefix("nvidia")?.parse::<u32>().ok();
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    match entries.filter_map(number).count() {
        0 => Finding::new("GPU", Verdict::Missing, "no /dev/nvidia0", "inference runs on the CPU"),
        n => Finding::good("GPU", format!("{n} NVIDIA")),
    }
}

/// What runs models: the library, tried in a process of its own as a host would start it.
pub(super) fn onnxruntime(section: &InferenceSection, data: Option<&Path>) -> Finding {
    let check = "ONNX Runtime";
    let builtin = "models run on the built-in backend, some two to seven times slower: name the library with \
                   `onnxruntime` of [inference] (it is in the Python package onnxruntime, in capi/)";
    let Some(library) = section.onnxruntime.clone().or_else(|| crate::app::inference::onnxruntime(data))
    else {
        return Finding::new(check, Verdict::Slower, "not found", builtin);
    };
    let shown = library.display().to_string();
    let settings = Settings { onnxruntime: Some(library), ..Settings::default() };
    let probe = async {
        let inference = Inference::start(settings);
        let status = inference.probe(Target::Cpu).await;
        inference.close().await;
        status
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let probed = match runtime {
        Ok(runtime) => runtime.block_on(probe).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match probed.map(|status| status.onnxruntime) {
        Ok(Some(Ok(version))) => Finding::good(check, format!("{version}, {shown}")),
        Ok(Some(Err(why))) => Finding::new(check, Verdict::Slower, format!("{shown}: {why}"), builtin),
        Ok(None) => Finding::new(check, Verdict::Slower, format!("{shown} says nothing"), builtin),
        Err(why) => Finding::new(check, Verdict::Missing, why, "no model can run"),
    }
}

/// Whether functions in Rust can be built here.
pub(super) fn guest_target() -> Finding {
    let check = "guest target";
    let means = "needed only to build functions in Rust: rustup target add wasm32-wasip2";
    let Some(rustc) =
        env::search_path().into_iter().map(|folder| folder.join("rustc")).find(|file| file.is_file())
    else {
        return Finding::new(check, Verdict::Missing, "no rustc", means);
    };
    match sysroot(&rustc) {
        Some(root) if root.join(TARGET).is_dir() => Finding::good(check, "wasm32-wasip2"),
        Some(_) => Finding::new(check, Verdict::Missing, "rustc without wasm32-wasip2", means),
        None => Finding::new(check, Verdict::Missing, "rustc does not answer", means),
    }
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    let output = std::process::Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
