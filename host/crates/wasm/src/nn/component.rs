//! `wasi:nn@0.2.0-rc-2024-10-28`, for components.

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{HasSelf, Linker, Resource, WasmList};
use wicket_inference::{Dtype, InputKey, Target};

use self::bindings::wasi::nn::errors::{self, ErrorCode};
use self::bindings::wasi::nn::graph::{self, ExecutionTarget, GraphEncoding};
use self::bindings::wasi::nn::inference;
use self::bindings::wasi::nn::tensor::{self, TensorType};
use super::{Fault, Kind, Loaded, travels_as};
use crate::state::State;

/// The interface of tensors, by the name that guests import it by.
const TENSORS: &str = "wasi:nn/tensor@0.2.0-rc-2024-10-28";

pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../../guest-sdk/wit/deps/nn",
        world: "wasi:nn/ml",
        imports: { default: async | trappable },
        require_store_data_send: true,
        with: {
            "wasi:nn/tensor.tensor": crate::nn::component::Tensor,
            "wasi:nn/graph.graph": crate::nn::component::Graph,
            "wasi:nn/inference.graph-execution-context": crate::nn::component::Context,
            "wasi:nn/errors.error": crate::nn::component::Told,
        },
    });
}

/// A tensor of a guest. One that cannot be is told of when it is used: its constructor has no way to.
#[expect(unreachable_pub, reason = "the generated bindings export it again, inside of this crate")]
pub struct Tensor {
    dimensions: Vec<u32>,
    ty: TensorType,
    made: Result<wicket_inference::Tensor, Arc<Fault>>,
}

/// A loaded model.
#[expect(unreachable_pub, reason = "the generated bindings export it again, inside of this crate")]
pub struct Graph(Loaded);

/// What runs it. It holds nothing: inputs and outputs are those of one call.
#[expect(unreachable_pub, reason = "the generated bindings export it again, inside of this crate")]
pub struct Context(Loaded);

/// An error.
#[expect(unreachable_pub, reason = "the generated bindings export it again, inside of this crate")]
pub struct Told(Fault);

type Answer<T> = wasmtime::Result<Result<T, Resource<Told>>>;

/// Adds the interface to what components can import.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    bindings::Ml::add_to_linker::<_, HasSelf<State>>(linker, |state| state)?;
    // The one that the bindings make copies a tensor's bytes twice: out of the guest, and to where models read them.
    linker.allow_shadowing(true);
    linker.instance(TENSORS)?.func_wrap("[constructor]tensor", constructor)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn constructor(
    mut store: StoreContextMut<'_, State>,
    (dimensions, ty, data): (Vec<u32>, TensorType, WasmList<u8>),
) -> wasmtime::Result<(Resource<Tensor>,)> {
    let made = {
        let bytes = data.as_le_slice(&store);
        let shape: Vec<u64> = dimensions.iter().map(|dim| u64::from(*dim)).collect();
        match store.data().models() {
            Ok(models) => models.inference.tensor(dtype(ty), &shape, bytes).map_err(Fault::from),
            Err(fault) => Err(fault),
        }
    };
    // What cannot be is not kept either.
    let dimensions = if made.is_ok() { dimensions } else { Vec::new() };
    let tensor = Tensor { dimensions, ty, made: made.map_err(Arc::new) };
    Ok((store.data_mut().table.push(tensor)?,))
}

fn dtype(ty: TensorType) -> Dtype {
    match ty {
        TensorType::Fp16 => Dtype::F16,
        TensorType::Fp32 => Dtype::F32,
        TensorType::Fp64 => Dtype::F64,
        TensorType::Bf16 => Dtype::Bf16,
        TensorType::U8 => Dtype::U8,
        TensorType::I32 => Dtype::I32,
        TensorType::I64 => Dtype::I64,
    }
}

fn tensor_type(dtype: Dtype) -> Option<TensorType> {
    Some(match travels_as(dtype) {
        Dtype::F16 => TensorType::Fp16,
        Dtype::F32 => TensorType::Fp32,
        Dtype::F64 => TensorType::Fp64,
        Dtype::Bf16 => TensorType::Bf16,
        Dtype::U8 => TensorType::U8,
        Dtype::I32 => TensorType::I32,
        Dtype::I64 => TensorType::I64,
        Dtype::I8 | Dtype::U16 | Dtype::I16 | Dtype::U32 | Dtype::U64 | Dtype::Bool => return None,
    })
}

impl State {
    /// Hands an error to the guest.
    fn told<T>(&mut self, result: Result<T, Fault>) -> Answer<T> {
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(fault) => Ok(Err(self.table.push(Told(fault))?)),
        }
    }

    /// A model's output, as a guest can have it.
    fn output(&mut self, name: String, tensor: wicket_inference::Tensor) -> Result<Tensor, Fault> {
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        let Some(ty) = tensor_type(dtype) else {
            let message = format!("the output `{name}` is of type {dtype}, which wasi:nn has no word for");
            return Err(Fault::new(Kind::Unsupported, message));
        };
        let dimensions = shape.iter().map(|dim| u32::try_from(*dim)).collect::<Result<Vec<_>, _>>();
        let dimensions = dimensions
            .map_err(|_| Fault::new(Kind::TooLarge, format!("the output `{name}` is {shape:?}")))?;
        Ok(Tensor { dimensions, ty, made: Ok(tensor) })
    }

    async fn compute(
        &mut self,
        context: &Resource<Context>,
        inputs: Vec<(String, Resource<Tensor>)>,
    ) -> wasmtime::Result<Result<Vec<(String, Resource<Tensor>)>, Fault>> {
        let loaded = self.table.get(context)?.0.clone();
        let mut given = Vec::with_capacity(inputs.len().min(64));
        let mut wrong = None;
        for (name, tensor) in inputs {
            // Each handle is the host's now, whatever comes of the call.
            let tensor = self.table.delete(tensor)?;
            let key = match name.parse() {
                // Bindings that know no names give places.
                Ok(index) if !loaded.info.inputs.iter().any(|port| port.name == name) => {
                    InputKey::Index(index)
                }
                _ => InputKey::Name(name),
            };
            match tensor.made {
                Ok(tensor) => given.push((key, tensor)),
                Err(fault) => wrong = wrong.or(Some(Fault::new(fault.kind, fault.message.clone()))),
            }
        }
        if let Some(fault) = wrong {
            return Ok(Err(fault));
        }
        let run = match self.run(loaded, given) {
            Ok(run) => run.outputs().await,
            Err(fault) => Err(fault),
        };
        let outputs = match run {
            Ok(outputs) => outputs,
            Err(fault) => return Ok(Err(fault)),
        };
        let mut named = Vec::with_capacity(outputs.len());
        for (name, tensor) in outputs {
            match self.output(name.clone(), tensor) {
                Ok(tensor) => named.push((name, self.table.push(tensor)?)),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        Ok(Ok(named))
    }
}

impl tensor::Host for State {}

impl tensor::HostTensor for State {
    async fn new(
        &mut self,
        _dimensions: Vec<u32>,
        _ty: TensorType,
        _data: Vec<u8>,
    ) -> wasmtime::Result<Resource<Tensor>> {
        Err(wasmtime::format_err!("{TENSORS} has a constructor of its own"))
    }

    async fn dimensions(&mut self, tensor: Resource<Tensor>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.table.get(&tensor)?.dimensions.clone())
    }

    async fn ty(&mut self, tensor: Resource<Tensor>) -> wasmtime::Result<TensorType> {
        Ok(self.table.get(&tensor)?.ty)
    }

    async fn data(&mut self, tensor: Resource<Tensor>) -> wasmtime::Result<Vec<u8>> {
        let tensor = self.table.get(&tensor)?;
        Ok(tensor.made.as_ref().map(|made| made.data().to_vec()).unwrap_or_default())
    }

    async fn drop(&mut self, tensor: Resource<Tensor>) -> wasmtime::Result<()> {
        self.table.delete(tensor)?;
        Ok(())
    }
}

impl graph::Host for State {
    async fn load(
        &mut self,
        builder: Vec<Vec<u8>>,
        encoding: GraphEncoding,
        target: ExecutionTarget,
    ) -> Answer<Resource<Graph>> {
        let target = match target {
            ExecutionTarget::Cpu => Ok(Target::Cpu),
            ExecutionTarget::Gpu => Ok(Target::Gpu(0)),
            ExecutionTarget::Tpu => Err(Fault::new(Kind::Unsupported, "there is no TPU here")),
        };
        let known = matches!(encoding, GraphEncoding::Onnx | GraphEncoding::Autodetect);
        let loaded = match target {
            Err(fault) => Err(fault),
            Ok(_) if !known => {
                let message = format!("models are ONNX here, this one is {encoding:?}");
                Err(Fault::new(Kind::InvalidEncoding, message))
            }
            Ok(target) => match self.brought(builder, target) {
                Ok(brought) => brought.load().await,
                Err(fault) => Err(fault),
            },
        };
        let graph = loaded.map(Graph).map(|graph| self.table.push(graph));
        self.told(graph)?.map_or_else(|told| Ok(Err(told)), |graph| Ok(Ok(graph?)))
    }

    async fn load_by_name(&mut self, name: String) -> Answer<Resource<Graph>> {
        let loaded = match self.named(&name) {
            Ok(wanted) => wanted.load().await,
            Err(fault) => Err(fault),
        };
        let graph = loaded.map(Graph).map(|graph| self.table.push(graph));
        self.told(graph)?.map_or_else(|told| Ok(Err(told)), |graph| Ok(Ok(graph?)))
    }
}

impl graph::HostGraph for State {
    async fn init_execution_context(&mut self, graph: Resource<Graph>) -> Answer<Resource<Context>> {
        let loaded = self.table.get(&graph)?.0.clone();
        Ok(Ok(self.table.push(Context(loaded))?))
    }

    async fn drop(&mut self, graph: Resource<Graph>) -> wasmtime::Result<()> {
        self.table.delete(graph)?;
        Ok(())
    }
}

impl inference::Host for State {}

impl inference::HostGraphExecutionContext for State {
    async fn compute(
        &mut self,
        context: Resource<Context>,
        inputs: Vec<(String, Resource<Tensor>)>,
    ) -> Answer<Vec<(String, Resource<Tensor>)>> {
        let computed = Self::compute(self, &context, inputs).await?;
        self.told(computed)
    }

    async fn drop(&mut self, context: Resource<Context>) -> wasmtime::Result<()> {
        self.table.delete(context)?;
        Ok(())
    }
}

impl errors::Host for State {}

impl errors::HostError for State {
    async fn code(&mut self, error: Resource<Told>) -> wasmtime::Result<ErrorCode> {
        Ok(match self.table.get(&error)?.0.kind {
            Kind::InvalidArgument => ErrorCode::InvalidArgument,
            Kind::InvalidEncoding => ErrorCode::InvalidEncoding,
            Kind::Timeout => ErrorCode::Timeout,
            Kind::Runtime => ErrorCode::RuntimeError,
            Kind::Unsupported => ErrorCode::UnsupportedOperation,
            Kind::TooLarge => ErrorCode::TooLarge,
            Kind::NotFound => ErrorCode::NotFound,
            Kind::Security => ErrorCode::Security,
            // The standard has no word for it.
            Kind::Busy | Kind::Unknown => ErrorCode::Unknown,
        })
    }

    async fn data(&mut self, error: Resource<Told>) -> wasmtime::Result<String> {
        Ok(self.table.get(&error)?.0.message.clone())
    }

    async fn drop(&mut self, error: Resource<Told>) -> wasmtime::Result<()> {
        self.table.delete(error)?;
        Ok(())
    }
}
