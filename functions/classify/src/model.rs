//! The model, through the bindings of preview 1.

use wasi_nn::{ExecutionTarget, GraphBuilder, GraphEncoding, TensorType};

/// Sides of the picture that it takes.
pub(crate) const SIDE: u32 = 224;
/// Classes that it knows.
pub(crate) const CLASSES: usize = 1000;

/// The share of each class, for the numbers of one picture.
pub(crate) fn run(name: &str, numbers: &[f32]) -> Result<Vec<f32>, String> {
    let failed = |what: &str, error: wasi_nn::Error| format!("model `{name}`: {what}: {error}");
    let graph = GraphBuilder::new(GraphEncoding::Onnx, ExecutionTarget::CPU)
        .build_from_cache(name)
        .map_err(|error| failed("it cannot be loaded", error))?;
    let mut context =
        graph.init_execution_context().map_err(|error| failed("it cannot be started", error))?;
    let side = SIDE as usize;
    context
        .set_input(0, TensorType::F32, &[1, 3, side, side], numbers)
        .map_err(|error| failed("it does not take a photograph", error))?;
    context.compute().map_err(|error| failed("it cannot be run", error))?;
    let mut shares = vec![0.0_f32; CLASSES];
    let size = context.get_output(0, &mut shares).map_err(|error| failed("it has no answer", error))?;
    if size != size_of_val(&shares[..]) {
        return Err(format!("model `{name}` answers with {size} bytes, not those of {CLASSES} classes"));
    }
    Ok(shares)
}
