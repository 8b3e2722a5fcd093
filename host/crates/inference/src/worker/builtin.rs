//! The backend in this program: `rten`, all Rust. It needs no library, and is slower.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytemuck::AnyBitPattern;
use rten::{ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueView};
use rten_tensor::{AsView as _, Layout as _, TensorView};

use super::backend::{Input, Output, Session, Signature, Stop};
use super::onnx::Declared;
use crate::Dtype;
use crate::wire::Fault;

pub(super) struct Runtime {
    threads: usize,
    pool: std::sync::OnceLock<Arc<ThreadPool>>,
}

impl Runtime {
    pub(super) fn new(threads: usize) -> Self {
        Self { threads, pool: std::sync::OnceLock::new() }
    }

    pub(super) fn open(&self, bytes: Vec<u8>, declared: Declared) -> Result<Graph, Fault> {
        for (what, port) in (declared.inputs.iter().map(|one| ("input", &one.port)))
            .chain(declared.outputs.iter().map(|one| ("output", &one.port)))
        {
            if !served(port.dtype) {
                return Err(Fault::Model(format!(
                    "{what} {:?} is {}, which the built-in backend does not have; ONNX Runtime does",
                    port.name, port.dtype
                )));
            }
        }
        let loaded = guarded(|| ModelOptions::with_all_ops().load(bytes).map_err(|error| error.to_string()));
        let model = loaded.map_err(Fault::Model)?;
        let ids = |signatures: &[Signature]| {
            let ids = signatures.iter().map(|one| model.node_id(&one.port.name));
            ids.collect::<Result<Vec<_>, _>>().map_err(|error| Fault::Model(error.to_string()))
        };
        let (input_ids, output_ids) = (ids(&declared.inputs)?, ids(&declared.outputs)?);
        let pool = self.pool.get_or_init(|| Arc::new(ThreadPool::with_num_threads(self.threads))).clone();
        Ok(Graph { model, pool, inputs: declared.inputs, outputs: declared.outputs, input_ids, output_ids })
    }
}

/// A loaded model.
pub(super) struct Graph {
    model: rten::Model,
    pool: Arc<ThreadPool>,
    inputs: Vec<Signature>,
    outputs: Vec<Signature>,
    input_ids: Vec<NodeId>,
    output_ids: Vec<NodeId>,
}

impl Session for Graph {
    fn inputs(&self) -> &[Signature] {
        &self.inputs
    }

    fn outputs(&self) -> &[Signature] {
        &self.outputs
    }

    /// A run that has begun cannot be ended early: the host ends the worker where it must.
    fn run(&self, inputs: &[Input<'_>], stop: &Stop) -> Result<Vec<Box<dyn Output>>, Fault> {
        if stop.asked() {
            return Err(Fault::Cancelled);
        }
        let values = std::iter::zip(&self.input_ids, inputs)
            .map(|(id, input)| Ok((*id, value(input)?)))
            .collect::<Result<Vec<_>, String>>()
            .map_err(Fault::Runtime)?;
        let options = RunOptions::default().with_thread_pool(Some(self.pool.clone()));
        let ran = guarded(|| {
            self.model.run(values, &self.output_ids, Some(options)).map_err(|error| error.to_string())
        });
        let ran = ran.map_err(Fault::Runtime)?;
        std::iter::zip(ran, &self.outputs)
            .map(|(value, wanted)| owned(value, wanted).map_err(Fault::Runtime))
            .collect()
    }
}

/// `rten` promises to be safe with memory, not to be free of panics.
fn guarded<T>(does: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(does)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("the built-in backend panicked: {}", text.unwrap_or("no message")))
    })
}

/// 64 bits and truth are 32 bits inside.
fn served(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::I32 | Dtype::I64 | Dtype::U8 | Dtype::I8 | Dtype::Bool)
}

fn value<'a>(input: &Input<'a>) -> Result<ValueOrView<'a>, String> {
    let shape: Vec<usize> = input.shape.iter().map(|dim| *dim as usize).collect();
    match input.dtype {
        Dtype::F32 => view::<f32>(&shape, input.bytes),
        Dtype::I32 => view::<i32>(&shape, input.bytes),
        Dtype::U8 => view::<u8>(&shape, input.bytes),
        Dtype::I8 => view::<i8>(&shape, input.bytes),
        Dtype::Bool => copied(&shape, input.bytes.iter().map(|byte| Ok(i32::from(*byte != 0)))),
        Dtype::I64 => copied(
            &shape,
            input.bytes.as_chunks::<8>().0.iter().map(|word| narrow(i64::from_le_bytes(*word))),
        ),
        other => Err(format!("an input of {other}")),
    }
}

/// The bytes where they lie.
fn view<'a, T: AnyBitPattern>(shape: &[usize], bytes: &'a [u8]) -> Result<ValueOrView<'a>, String>
where
    ValueView<'a>: From<TensorView<'a, T>>,
{
    let numbers =
        bytemuck::try_cast_slice(bytes).map_err(|error| format!("an input out of line: {error}"))?;
    ValueView::from_shape(shape, numbers).map(ValueOrView::View).map_err(|error| error.to_string())
}

fn copied<'a>(
    shape: &[usize],
    numbers: impl Iterator<Item = Result<i32, String>>,
) -> Result<ValueOrView<'a>, String> {
    let numbers = numbers.collect::<Result<Vec<i32>, _>>()?;
    Value::from_shape(shape, numbers).map(ValueOrView::Value).map_err(|error| error.to_string())
}

fn narrow(number: i64) -> Result<i32, String> {
    i32::try_from(number)
        .map_err(|_| format!("{number} in an i64 input does not fit the 32 bits of the built-in backend"))
}

fn owned(value: Value, wanted: &Signature) -> Result<Box<dyn Output>, String> {
    let (name, dtype) = (&wanted.port.name, wanted.port.dtype);
    let shape = value.shape().iter().map(|dim| *dim as u64).collect();
    let mut bytes = Vec::new();
    match (value, dtype) {
        (Value::FloatTensor(tensor), Dtype::F32) => {
            bytes.extend_from_slice(bytemuck::cast_slice(&tensor.to_vec()));
        }
        (Value::Int32Tensor(tensor), Dtype::I32) => {
            bytes.extend_from_slice(bytemuck::cast_slice(&tensor.to_vec()));
        }
        (Value::Int8Tensor(tensor), Dtype::I8) => {
            bytes.extend_from_slice(bytemuck::cast_slice(&tensor.to_vec()));
        }
        (Value::UInt8Tensor(tensor), Dtype::U8) => bytes = tensor.to_vec(),
        (Value::Int32Tensor(tensor), Dtype::I64) => {
            let wide: Vec<i64> = tensor.iter().map(|number| i64::from(*number)).collect();
            bytes.extend_from_slice(bytemuck::cast_slice(&wide));
        }
        (Value::Int32Tensor(tensor), Dtype::Bool) => {
            bytes.extend(tensor.iter().map(|number| u8::from(*number != 0)));
        }
        (other, _) => return Err(format!("output {name:?} should be {dtype} and is {}", other.dtype())),
    }
    Ok(Box::new(Owned { dtype, shape, bytes }))
}

struct Owned {
    dtype: Dtype,
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

impl Output for Owned {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> Vec<u64> {
        self.shape.clone()
    }

    fn write(&self, to: &mut [u8]) {
        to.copy_from_slice(&self.bytes);
    }
}
