//! Whether inputs are what a model takes. Nothing that is not reaches a worker.

use std::sync::Arc;

use crate::memory::{BufferMut, Pool};
use crate::{Dtype, InferenceError, InputKey, ModelInfo, Port, Tensor};

/// Puts inputs in the model's order, each in memory that workers can see.
pub(super) fn in_order(
    pool: &Arc<Pool>,
    limit: u64,
    info: &ModelInfo,
    given: Vec<(InputKey, Tensor)>,
) -> Result<Vec<Tensor>, InferenceError> {
    let size = given.iter().map(|(_, tensor)| tensor.data().len() as u64).sum();
    if size > limit {
        return Err(InferenceError::TooLarge { what: "the inputs of one call".into(), size, limit });
    }
    let mut inputs: Vec<Option<Tensor>> = info.inputs.iter().map(|_| None).collect();
    for (key, tensor) in given {
        let at = find(info, &key)?;
        fits(&info.inputs[at], &tensor)?;
        if inputs[at].replace(tensor).is_some() {
            let what = format_args!("input {:?}", info.inputs[at].name);
            return Err(InferenceError::invalid(what, "one tensor", "two"));
        }
    }
    let missing =
        |port: &Port| InferenceError::invalid(format_args!("input {:?}", port.name), shown(port), "none");
    let inputs = std::iter::zip(&info.inputs, inputs).map(|(port, input)| match input {
        Some(input) => visible(pool, input),
        None => Err(missing(port)),
    });
    inputs.collect()
}

fn find(info: &ModelInfo, key: &InputKey) -> Result<usize, InferenceError> {
    let found = match key {
        InputKey::Name(name) => info.inputs.iter().position(|port| port.name == *name),
        InputKey::Index(index) => (*index < info.inputs.len()).then_some(*index),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = info.inputs.iter().map(|port| port.name.as_str()).collect();
        InferenceError::invalid("an input", format_args!("one of {names:?}"), format_args!("{key:?}"))
    })
}

fn fits(port: &Port, tensor: &Tensor) -> Result<(), InferenceError> {
    let refused = |got: &dyn std::fmt::Display| {
        Err(InferenceError::invalid(format_args!("input {:?}", port.name), shown(port), got))
    };
    let same = |dims: &Vec<Option<u64>>| {
        let dim = |(wanted, got): (&Option<u64>, &u64)| wanted.is_none_or(|wanted| wanted == *got);
        dims.len() == tensor.shape().len() && std::iter::zip(dims, tensor.shape()).all(dim)
    };
    if tensor.dtype() != port.dtype || !port.dims.as_ref().is_none_or(same) {
        return refused(&format_args!("{}{:?}", tensor.dtype(), tensor.shape()));
    }
    // A truth that is neither makes native code undefined.
    if tensor.dtype() == Dtype::Bool
        && let Some(byte) = tensor.data().iter().find(|byte| **byte > 1)
    {
        return refused(&format_args!("a bool of {byte}"));
    }
    Ok(())
}

/// `f32[?, 3, 640, 640]`.
fn shown(port: &Port) -> String {
    let Some(dims) = &port.dims else { return format!("{} of any shape", port.dtype) };
    let dims: Vec<String> = dims.iter().map(|dim| dim.map_or("?".into(), |dim| dim.to_string())).collect();
    format!("{}[{}]", port.dtype, dims.join(", "))
}

/// What another worker gave is copied: only what this process wrote is shown to workers.
fn visible(pool: &Arc<Pool>, tensor: Tensor) -> Result<Tensor, InferenceError> {
    if tensor.data().own().is_some() {
        return Ok(tensor);
    }
    let len = tensor.data().len();
    let mut copy = BufferMut::new(pool.lease(len)?, len);
    copy.put(tensor.data())?;
    Tensor::new(tensor.dtype(), tensor.shape().to_vec(), copy.freeze())
}
