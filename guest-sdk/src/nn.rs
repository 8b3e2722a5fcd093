//! Inference: runs the models that the service names (`models:`), over the standard `wasi:nn`, from functions of any shape.
//!
//! ```
//! use wicket_sdk::{nn, testing};
//!
//! // Natively a closure stands in for a model.
//! testing::model("double", |inputs| {
//!     let (_, input) = inputs[0];
//!     let doubled: Vec<f32> = input.f32s()?.iter().map(|x| x * 2.0).collect();
//!     Ok(vec![("output".to_owned(), nn::Tensor::from_f32(input.shape(), doubled)?)])
//! });
//!
//! let model = nn::Model::load("double")?;
//! let input = nn::Tensor::from_f32(&[1, 3], &[1.0, 2.0, 3.0][..])?;
//! let outputs = model.run(&[("input", &input)])?;
//! assert_eq!(outputs.get("output")?.f32s()?[..], [2.0, 4.0, 6.0]);
//! # Ok::<(), nn::Error>(())
//! ```

mod error;
mod tensor;

use std::fmt;

pub use self::error::{Code, Error};
pub use self::tensor::{Dtype, Tensor};

/// A model of the service, ready to run. The host loads it once for all who use it: loading it here costs microseconds.
pub struct Model {
    name: String,
    #[cfg(target_family = "wasm")]
    graph: crate::wasm::bindings::wasi::nn::graph::Graph,
}

impl Model {
    /// The model of this name in the service's `models:`. [`Code::NotFound`] when there is none.
    pub fn load(name: &str) -> Result<Self, Error> {
        #[cfg(target_family = "wasm")]
        {
            use crate::wasm::bindings::wasi::nn::graph;
            let graph = graph::load_by_name(name).map_err(|error| Error::from_host(name, &error))?;
            Ok(Self { name: name.to_owned(), graph })
        }
        #[cfg(not(target_family = "wasm"))]
        {
            crate::testing::has_model(name)?;
            Ok(Self { name: name.to_owned() })
        }
    }

    /// Its name in the service.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs the model once, on an input for each that it declares, by name. Waits until the host is done; a host that has
    /// too much to do answers with an error that says so.
    pub fn run(&self, inputs: &[(&str, &Tensor<'_>)]) -> Result<Outputs, Error> {
        #[cfg(target_family = "wasm")]
        let outputs = {
            use crate::wasm::bindings::wasi::nn::tensor;
            let failed = |error| Error::from_host(&self.name, &error);
            // A context costs the host nothing, and one that is used again would keep a failed run's inputs.
            let context = self.graph.init_execution_context().map_err(failed)?;
            let handed = |(name, input): &(&str, &Tensor<'_>)| {
                ((*name).to_owned(), tensor::Tensor::new(input.shape(), input.dtype().into(), input.bytes()))
            };
            context.compute(inputs.iter().map(handed).collect()).map_err(failed)?
        };
        #[cfg(not(target_family = "wasm"))]
        let outputs = crate::testing::run_model(&self.name, inputs)?;
        Ok(Outputs { model: self.name.clone(), outputs })
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(target_family = "wasm")]
type HostTensor = crate::wasm::bindings::wasi::nn::tensor::Tensor;
#[cfg(not(target_family = "wasm"))]
type HostTensor = Tensor<'static>;

/// What a run made. An output is copied from the host when it is asked for.
pub struct Outputs {
    model: String,
    outputs: Vec<(String, HostTensor)>,
}

impl Outputs {
    /// Names of the outputs, in the model's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|(name, _)| name.as_str())
    }

    /// The output of this name. [`Code::NotFound`] when there is none.
    pub fn get(&self, name: &str) -> Result<Tensor<'static>, Error> {
        let found = self.outputs.iter().find(|(of, _)| of == name);
        let (_, tensor) = found.ok_or_else(|| {
            let names: Vec<&str> = self.names().collect();
            let what = format!("it has no output `{name}`, but {}", names.join(", "));
            Error::new(Code::NotFound, &self.model, &what)
        })?;
        self.copied(tensor)
    }

    /// The output at this place in the model's order, from 0. [`Code::NotFound`] when there is none.
    pub fn at(&self, index: usize) -> Result<Tensor<'static>, Error> {
        let (_, tensor) = self.outputs.get(index).ok_or_else(|| {
            let what = format!("it has {} outputs, and none at {index}", self.outputs.len());
            Error::new(Code::NotFound, &self.model, &what)
        })?;
        self.copied(tensor)
    }

    #[cfg(target_family = "wasm")]
    fn copied(&self, tensor: &HostTensor) -> Result<Tensor<'static>, Error> {
        Tensor::new(tensor.ty().into(), &tensor.dimensions(), tensor.data())
            .map_err(|error| Error::new(error.code, &self.model, &error.data))
    }

    #[cfg(not(target_family = "wasm"))]
    #[expect(clippy::unnecessary_wraps, reason = "the host may answer with anything")]
    fn copied(&self, tensor: &HostTensor) -> Result<Tensor<'static>, Error> {
        Ok(tensor.clone())
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outputs").field("model", &self.model).finish_non_exhaustive()
    }
}
