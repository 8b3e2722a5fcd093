//! What the worker costs a call: the same model, library and threads, called in this process and through the service.
//!
//! `cargo run --release -p wicket-inference --example overhead -- libonnxruntime.so [model.onnx [dimensions …]]…`
#![expect(clippy::print_stdout, reason = "this is a program that prints figures")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wicket_inference::{Backend, Call, Dtype, Inference, InputKey, Model, Settings, Worker};

type Error = Box<dyn std::error::Error>;

const CALLS: usize = 2000;
const LONGEST: Duration = Duration::from_secs(10);

fn main() -> Result<ExitCode, Error> {
    let mut args = std::env::args().skip(1);
    let library = args.next().ok_or("which library?")?;
    if library == "worker" {
        return Ok(wicket_inference::worker_main());
    }
    let mut models: Vec<(PathBuf, Vec<u64>)> = Vec::new();
    for arg in args {
        match (arg.parse(), models.last_mut()) {
            (Ok(dim), Some((_, shape))) => shape.push(dim),
            _ => models.push((arg.into(), Vec::new())),
        }
    }
    let environment = ort::init_from(&library)?.build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{:<28} {:>18} {:>10} {:>10} {:>10}", "model, input", "", "median µs", "p10", "p90");
    for (path, shape) in models {
        let bytes = std::fs::read(&path)?;
        let len = shape.iter().product::<u64>() as usize;
        let name = format!("{} {shape:?}", path.file_stem().unwrap_or_default().to_string_lossy());
        let dims: Vec<i64> = shape.iter().map(|dim| *dim as i64).collect();
        let mut session = ort::session::Session::builder(&environment)?
            .with_intra_threads(1)?
            .commit_from_memory(&bytes)?;
        let input = vec![0.5_f32; len];
        let direct = times(|| {
            let tensor = ort::value::TensorRef::from_array_view((dims.clone(), &input[..]))?;
            let outputs = session.run(ort::inputs![tensor])?;
            // Whoever calls wants the numbers: both ways give bytes that can be read.
            let _first = outputs[0].try_extract_tensor::<f32>()?.1.first().copied();
            Ok(())
        })?;
        show(&name, "in process", &direct);
        runtime.block_on(async {
            let served = served(&library, &path, &shape, &input).await?;
            show("", "through the service", &served.0);
            show("", "of that the run", &served.1);
            Ok::<_, Error>(())
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn served(
    library: &str,
    path: &std::path::Path,
    shape: &[u64],
    input: &[f32],
) -> Result<(Vec<u128>, Vec<u128>), Error> {
    let worker = Worker { program: "/proc/self/exe".into(), args: vec!["worker".into()], env: vec![] };
    let settings = Settings { worker, onnxruntime: Some(library.into()), threads: 1, ..Settings::default() };
    let inference = Inference::start(settings);
    let model = Model { backend: Backend::OnnxRuntime, ..Model::new("overhead", path.canonicalize()?) };
    inference.prepare(&model).await?;
    let bytes: &[u8] = bytemuck::cast_slice(input);
    let service: Arc<str> = "bench".into();
    let (mut all, mut runs) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    while all.len() < CALLS && begun.elapsed() < LONGEST {
        let call = Call { service: service.clone(), deadline: Instant::now() + LONGEST };
        let once = Instant::now();
        let tensor = inference.tensor(Dtype::F32, shape, bytes)?;
        let answer = inference.infer(&model, vec![(InputKey::Index(0), tensor)], call).await?;
        let _first = answer.outputs[0].1.data().first().copied();
        all.push(once.elapsed().as_nanos());
        runs.push(answer.used.inference.as_nanos());
    }
    inference.close().await;
    Ok((all, runs))
}

fn times(mut call: impl FnMut() -> Result<(), Error>) -> Result<Vec<u128>, Error> {
    let mut times = Vec::new();
    let begun = Instant::now();
    while times.len() < CALLS && begun.elapsed() < LONGEST {
        let once = Instant::now();
        call()?;
        times.push(once.elapsed().as_nanos());
    }
    Ok(times)
}

fn show(name: &str, what: &str, times: &[u128]) {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100] as f64 / 1000.0;
    println!("{name:<28} {what:>18} {:>10.1} {:>10.1} {:>10.1}", at(50), at(10), at(90));
}
