//! Runs of a model.

use std::time::{Duration, Instant};

use serde::Serialize;
use wicket_sdk::nn::{Error, Model, Tensor};
use wicket_sdk::{Failure, nn};

use crate::frames::nanos;
use crate::task::{Infer, Input};

/// What runs took, ns.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Took {
    /// From the model's name to a model that can run.
    load: u64,
    /// Each run, from its inputs here to its outputs here.
    each: Vec<u64>,
    /// Of all outputs of the last one.
    sum: f64,
}

/// What the parts of each run took, ns.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Parts {
    /// The inputs handed to the host.
    give: Vec<u64>,
    /// The run.
    compute: Vec<u64>,
    /// The outputs taken from the host.
    take: Vec<u64>,
}

/// Numbers of an input.
enum Numbers {
    Floats(Vec<f32>),
    Whole(Vec<i64>),
}

impl Numbers {
    fn of(input: &Input) -> Result<Self, Failure> {
        let count = input.shape.iter().map(|side| *side as usize).product();
        match (input.pattern, &input.values) {
            (Some(pattern), None) => Ok(Self::Floats(pattern.numbers(count))),
            (None, Some(values)) => Ok(Self::Whole(values.clone())),
            _ => Err(Failure::never(format!("input `{}` has no numbers, or two kinds", input.name))),
        }
    }

    fn tensor(&self, shape: &[u32]) -> Result<Tensor<'_>, Error> {
        match self {
            Self::Floats(numbers) => Tensor::from_f32(shape, &numbers[..]),
            Self::Whole(numbers) => Tensor::from_i64(shape, &numbers[..]),
        }
    }
}

/// Counts the runs of a task.
struct Runs {
    left: usize,
    until: Option<Instant>,
}

impl Runs {
    fn of(task: &Infer) -> Self {
        let until = (task.for_ms > 0).then(|| Instant::now() + Duration::from_millis(task.for_ms));
        Self { left: task.runs, until }
    }

    fn more(&mut self) -> bool {
        let more = self.left > 0 && self.until.is_none_or(|until| Instant::now() < until);
        self.left -= usize::from(more);
        more
    }
}

/// Runs a model as a function does.
pub(crate) fn infer(task: &Infer) -> Result<Took, Failure> {
    let numbers = task.inputs.iter().map(Numbers::of).collect::<Result<Vec<_>, _>>()?;
    let begin = Instant::now();
    let model = Model::load(&task.model)?;
    let mut took = Took { load: nanos(begin.elapsed()), ..Took::default() };
    let mut runs = Runs::of(task);
    while runs.more() {
        let begin = Instant::now();
        let made = task.inputs.iter().zip(&numbers).map(|(input, numbers)| numbers.tensor(&input.shape));
        let tensors = made.collect::<Result<Vec<_>, _>>()?;
        let inputs: Vec<(&str, &Tensor<'_>)> =
            task.inputs.iter().zip(&tensors).map(|(input, tensor)| (input.name.as_str(), tensor)).collect();
        let outputs = model.run(&inputs)?;
        let taken = (0..outputs.names().count()).map(|at| outputs.at(at)).collect::<Result<Vec<_>, _>>()?;
        took.each.push(nanos(begin.elapsed()));
        took.sum = taken.iter().map(sum).sum();
    }
    Ok(took)
}

fn sum(tensor: &Tensor<'_>) -> f64 {
    match tensor.dtype() {
        nn::Dtype::F32 => tensor.f32s().unwrap_or_default().iter().map(|number| f64::from(*number)).sum(),
        nn::Dtype::I64 => tensor.i64s().unwrap_or_default().iter().map(|number| *number as f64).sum(),
        _ => 0.0,
    }
}

/// Runs a model by the bindings below the SDK, which does the same in one step.
#[cfg(target_family = "wasm")]
pub(crate) fn parts(task: &Infer) -> Result<Parts, Failure> {
    use wicket_sdk::wasm::bindings::wasi::nn::errors;
    use wicket_sdk::wasm::bindings::wasi::nn::graph::load_by_name;
    use wicket_sdk::wasm::bindings::wasi::nn::tensor::Tensor;

    let failed = |error: errors::Error| Failure::never(error.data());
    let numbers = task.inputs.iter().map(Numbers::of).collect::<Result<Vec<_>, _>>()?;
    let graph = load_by_name(&task.model).map_err(failed)?;
    let (mut took, mut runs) = (Parts::default(), Runs::of(task));
    while runs.more() {
        let begin = Instant::now();
        let mut inputs = Vec::with_capacity(numbers.len());
        for (input, numbers) in task.inputs.iter().zip(&numbers) {
            let tensor = numbers.tensor(&input.shape)?;
            let tensor = Tensor::new(tensor.shape(), tensor.dtype().into(), tensor.bytes());
            inputs.push((input.name.clone(), tensor));
        }
        let given = Instant::now();
        let context = graph.init_execution_context().map_err(failed)?;
        let outputs = context.compute(inputs).map_err(failed)?;
        let computed = Instant::now();
        let taken: usize = outputs.iter().map(|(_, tensor)| std::hint::black_box(tensor.data()).len()).sum();
        let end = Instant::now();
        if taken == 0 {
            return Err(Failure::never("the model answers with nothing"));
        }
        took.give.push(nanos(given - begin));
        took.compute.push(nanos(computed - given));
        took.take.push(nanos(end - computed));
    }
    Ok(took)
}

/// There is no host beside a native program.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn parts(task: &Infer) -> Result<Parts, Failure> {
    Err(Failure::never(format!("model `{}`: only a host runs it", task.model)))
}
