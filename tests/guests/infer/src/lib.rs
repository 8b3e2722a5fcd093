//! Asks for inference as it should not be asked, by the standard's own bindings, and answers what it is told.

use wicket_sdk::wasm::bindings::wasi::nn::errors::Error;
use wicket_sdk::wasm::bindings::wasi::nn::graph::{ExecutionTarget, GraphEncoding, load, load_by_name};
use wicket_sdk::wasm::bindings::wasi::nn::tensor::{Tensor, TensorType};
use wicket_sdk::{Event, Failure};

wicket_sdk::function!(infer);

/// Elements of a picture of the model.
const N: usize = 3 * 224 * 224;

#[expect(clippy::unnecessary_wraps, reason = "what the macro wants")]
fn infer(event: Event) -> Result<String, Failure> {
    let case = String::from_utf8_lossy(&event.data);
    Ok(asked(&case).unwrap_or_else(|error| format!("{:?}: {}", error.code(), error.data())))
}

fn asked(case: &str) -> Result<String, Error> {
    if let Some(rest) = case.strip_prefix("load ") {
        let parts: Vec<Vec<u8>> = rest.split(' ').map(|part| part.as_bytes().to_vec()).collect();
        return load(&parts, GraphEncoding::Onnx, ExecutionTarget::Cpu).map(|_| "loaded".to_owned());
    }
    let graph = load_by_name(if case == "no model" { "../../etc/passwd" } else { "imagenet" })?;
    let context = graph.init_execution_context()?;
    // A context outlives its graph.
    drop(graph);
    let whole = vec![0; 4 * N];
    let shape = [1, 3, 224, 224];
    let name = if case == "wrong name" { "pixels" } else { "input" };
    let tensor = match case {
        "short" => Tensor::new(&shape, TensorType::Fp32, &whole[..5]),
        "wrong type" => Tensor::new(&shape, TensorType::U8, &whole[..N]),
        "wrong shape" => Tensor::new(&[1, 3, 224, 112], TensorType::Fp32, &whole[..2 * N]),
        "wrong rank" => Tensor::new(&[N as u32], TensorType::Fp32, &whole),
        "endless rank" => Tensor::new(&[1; 1000], TensorType::Fp32, &whole[..4]),
        "overflow" => Tensor::new(&[u32::MAX; 8], TensorType::Fp64, &[]),
        "empty" => Tensor::new(&[0, 3, 224, 224], TensorType::Fp32, &[]),
        "nan" => Tensor::new(&shape, TensorType::Fp32, &f32::NAN.to_le_bytes().repeat(N)),
        _ => Tensor::new(&shape, TensorType::Fp32, &whole),
    };
    let inputs = match case {
        "nothing" => Vec::new(),
        "twice" => {
            let again = Tensor::new(&shape, TensorType::Fp32, &whole);
            vec![(name.to_owned(), tensor), (name.to_owned(), again)]
        }
        _ => vec![(name.to_owned(), tensor)],
    };
    let outputs = context.compute(inputs)?;
    let told = outputs.iter().map(|(name, tensor)| {
        format!("{name} {:?} {:?} of {} bytes", tensor.ty(), tensor.dimensions(), tensor.data().len())
    });
    Ok(told.collect::<Vec<_>>().join(", "))
}
