//! The model, through the bindings of preview 1. They give no handle back, so one does for all photographs.

use wasi_nn::{ExecutionTarget, Graph, GraphBuilder, GraphEncoding, GraphExecutionContext, TensorType};

/// Sides of the picture that it takes.
pub(crate) const SIDE: u32 = 224;
/// Classes that it knows.
pub(crate) const CLASSES: usize = 1000;

/// The model of this name.
pub(crate) fn load(name: &str) -> Result<Graph, String> {
    GraphBuilder::new(GraphEncoding::Onnx, ExecutionTarget::CPU)
        .build_from_cache(name)
        .map_err(|error| format!("model `{name}` cannot be loaded: {error}"))
}

/// What runs it.
pub(crate) fn start(graph: &Graph) -> Result<GraphExecutionContext<'_>, String> {
    graph.init_execution_context().map_err(|error| format!("the model cannot be started: {error}"))
}

/// The share of each class, for the numbers of one picture.
pub(crate) fn run(context: &mut GraphExecutionContext<'_>, numbers: &[f32]) -> Result<Vec<f32>, String> {
    let side = SIDE as usize;
    context
        .set_input(0, TensorType::F32, &[1, 3, side, side], numbers)
        .map_err(|error| format!("the model does not take a photograph: {error}"))?;
    context.compute().map_err(|error| format!("the model cannot be run: {error}"))?;
    let mut shares = vec![0.0_f32; CLASSES];
    let size = context
        .get_output(0, &mut shares)
        .map_err(|error| format!("the model has no answer of {CLASSES} classes: {error}"))?;
    if size != size_of_val(&shares[..]) {
        return Err(format!("the model answers with {size} bytes, not those of {CLASSES} classes"));
    }
    Ok(shares)
}
