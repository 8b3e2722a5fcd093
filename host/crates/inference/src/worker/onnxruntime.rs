//! ONNX Runtime, by a library found at run time.
#![expect(unsafe_code, reason = "the C interface of ONNX Runtime")]

use std::collections::HashSet;
use std::ffi::{CStr, CString, c_char};
use std::path::{Path, PathBuf};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use ort::AsPointer as _;
use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::ep::ExecutionProvider as _;
use ort::memory::MemoryInfo;
use ort::session::RunOptions;
use ort::session::builder::AutoDevicePolicy;
use ort::sys::{ONNXTensorElementDataType as Element, OrtValue};
use ort::value::{DynTensor, DynValue, TensorElementType, ValueType};

use super::backend::{Input, Output, Session, Signature, Slot, Stop, planned};
use crate::wire::{Fault, Hello};
use crate::{Dtype, Port, Target};

/// The first version that is taken, 1.N: what was tried. Older ones are known to end the process.
const OLDEST: u32 = 31;

/// A model of one node that gives its input back, to see whether a device can be used.
const IDENTITY: &[u8] = include_bytes!("identity.onnx");

pub(super) struct Runtime {
    version: String,
    environment: Environment,
    device: Target,
    gpu_memory: u64,
}

/// The library, with all that it needs of other libraries.
pub(super) struct Library {
    path: PathBuf,
    version: String,
    /// While it lives, the file is not looked for again.
    loaded: libloading::Library,
}

impl Library {
    /// Loads a library and looks at its version, before anything else of it is used: a wrong one ends the process.
    pub(super) fn find(path: &Path) -> Result<Self, String> {
        let at = path.display();
        // SAFETY: the operator named this file as the library of ONNX Runtime; what it does when it is loaded is trusted as
        // the rest of it is.
        let loaded =
            unsafe { libloading::Library::new(path) }.map_err(|error| format!("loading {at}: {error}"))?;
        type GetApiBase = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
        // SAFETY: this is the type that the C header gives this name.
        let base = unsafe { loaded.get::<GetApiBase>(b"OrtGetApiBase\0") }
            .map_err(|_| format!("{at} is not a library of ONNX Runtime"))?;
        // SAFETY: it takes nothing, and gives a static table or null.
        let base = unsafe { base().as_ref() }.ok_or_else(|| format!("{at} has no interface"))?;
        // SAFETY: it gives a static string.
        let version = unsafe { CStr::from_ptr((base.GetVersionString)()) }.to_string_lossy().into_owned();
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(1), Some(minor)) if minor >= OLDEST => Ok(Self { path: path.to_owned(), version, loaded }),
            _ => Err(format!("{at} is ONNX Runtime {version}; 1.{OLDEST} or newer is needed")),
        }
    }

    /// Starts it. It needs no file that a confined worker cannot read.
    pub(super) fn start(self, hello: &Hello) -> Result<Runtime, String> {
        let Self { path, version, loaded } = self;
        let at = path.display();
        let builder = ort::init_from(&path).map_err(|error| error.to_string())?;
        // It has one of its own now.
        drop(loaded);
        // One pool for all models: each with its own would crowd the processors. No spinning: others want them too.
        let pool = GlobalThreadPoolOptions::default()
            .with_intra_threads(hello.threads)
            .and_then(|pool| pool.with_inter_threads(1))
            .and_then(|pool| pool.with_spin_control(false));
        let environment = pool
            .and_then(|pool| {
                builder.with_name("wicket").with_telemetry(false).with_global_thread_pool(pool).build()
            })
            .map_err(|error| format!("starting {at}: {error}"))?;
        environment.set_log_level(ort::logging::LogLevel::Error);
        Ok(Runtime { version, environment, device: hello.device, gpu_memory: hello.gpu_memory })
    }
}

impl Runtime {
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Runs a model of nothing on the device.
    pub(super) fn try_device(&self) -> Result<(), String> {
        if self.device != Target::Cpu && !ort::ep::CUDA::is_available().unwrap_or(false) {
            return Err(format!("ONNX Runtime {} was built without CUDA", self.version));
        }
        let session = self.open(IDENTITY).map_err(|fault| match fault {
            Fault::Model(why) | Fault::Runtime(why) | Fault::Library(why) => why,
            other => format!("{other:?}"),
        })?;
        let bytes = 1.0_f32.to_le_bytes();
        let input = Input { dtype: Dtype::F32, shape: vec![1], bytes: &bytes };
        session.run(&[input], &Stop::default()).map(drop).map_err(|fault| format!("{fault:?}"))
    }

    pub(super) fn open(&self, bytes: &[u8]) -> Result<Graph, Fault> {
        let session = self.commit(bytes).map_err(Fault::Model)?;
        let signatures = |what: &str, outlets: &[ort::value::Outlet]| {
            outlets.iter().map(|outlet| signature(what, outlet)).collect::<Result<Vec<_>, _>>()
        };
        let inputs = signatures("input", session.inputs()).map_err(Fault::Model)?;
        let outputs = signatures("output", session.outputs()).map_err(Fault::Model)?;
        let names = |signatures: &[Signature]| {
            let names = signatures.iter().map(|one| CString::new(one.port.name.as_str()));
            names.collect::<Result<Vec<_>, _>>().map_err(|error| Fault::Model(error.to_string()))
        };
        let all = |signatures: &[Signature]| -> Vec<String> {
            signatures.iter().map(|one| one.port.name.clone()).collect()
        };
        let (inputs_of, outputs_of) = (all(&inputs), all(&outputs));
        Ok(Graph {
            input_names: names(&inputs)?,
            output_names: names(&outputs)?,
            inputs,
            outputs,
            memory: MemoryInfo::default(),
            one_at_a_time: (self.device != Target::Cpu).then(Mutex::default),
            in_place: AtomicBool::new(each_is_made(&inputs_of, &outputs_of)),
            session,
        })
    }

    fn commit(&self, bytes: &[u8]) -> Result<ort::session::Session, String> {
        let (provider, policy) = match self.device {
            Target::Cpu => {
                (ort::ep::CPU::default().with_arena_allocator(true).build(), AutoDevicePolicy::PreferCPU)
            }
            Target::Gpu(index) => {
                let cuda = ort::ep::CUDA::default()
                    .with_device_id(index as i32)
                    .with_memory_limit(self.gpu_memory as usize);
                (cuda.build().error_on_failure(), AutoDevicePolicy::Default)
            }
        };
        let builder = ort::session::Session::builder(&self.environment).map_err(say)?;
        let builder = builder.with_no_environment_execution_providers().map_err(say)?;
        // Nothing else than what was looked at: a file could pass for the runtime's own format too.
        let builder = builder.with_config_entry("session.load_model_format", "ONNX").map_err(say)?;
        let builder = builder.with_auto_device(policy).map_err(say)?;
        let mut builder = builder.with_execution_providers([provider]).map_err(say)?;
        builder.commit_from_memory(bytes).map_err(say)
    }
}

fn say<T>(error: ort::Error<T>) -> String {
    error.to_string()
}

/// A loaded model.
pub(super) struct Graph {
    session: ort::session::Session,
    inputs: Vec<Signature>,
    outputs: Vec<Signature>,
    input_names: Vec<CString>,
    output_names: Vec<CString>,
    memory: MemoryInfo<'static>,
    /// On a GPU runs of one session take turns.
    one_at_a_time: Option<Mutex<()>>,
    /// Its outputs can be written where they are wanted: each is made by a node of its own, and they were of the shapes that
    /// the model's file says, so far.
    in_place: AtomicBool,
}

impl Session for Graph {
    fn inputs(&self) -> &[Signature] {
        &self.inputs
    }

    fn outputs(&self) -> &[Signature] {
        &self.outputs
    }

    fn run(&self, inputs: &[Input<'_>], stop: &Stop) -> Result<Vec<Box<dyn Output>>, Fault> {
        let mut outputs = vec![null_mut::<OrtValue>(); self.output_names.len()];
        self.call(inputs, &mut outputs, stop)?;
        let made = outputs.into_iter().zip(&self.outputs).map(|(value, wanted)| self.owned(value, wanted));
        let made = made.collect::<Result<Vec<_>, _>>()?;
        if let Some(plan) = self.planned(inputs) {
            let is: Vec<_> = made.iter().map(|one| (one.dtype(), one.shape())).collect();
            self.in_place.store(is == plan, Relaxed);
        }
        Ok(made)
    }

    fn planned(&self, inputs: &[Input<'_>]) -> Option<Vec<(Dtype, Vec<u64>)>> {
        if !self.in_place.load(Relaxed) {
            return None;
        }
        planned(&self.inputs, &self.outputs, inputs)
    }

    fn run_into(&self, inputs: &[Input<'_>], outputs: Vec<Slot<'_>>, stop: &Stop) -> Result<bool, Fault> {
        // ONNX Runtime makes no tensor of nothing at a place that is given.
        if outputs.iter().any(|slot| slot.bytes.is_empty()) {
            return Ok(false);
        }
        let values = outputs.iter().map(|slot| {
            // SAFETY: the slot's bytes are borrowed mutably until the end of this function, and nothing else reads them.
            unsafe { self.tensor(slot.dtype, &slot.shape, slot.bytes.as_ptr().cast_mut(), slot.bytes.len()) }
        });
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let mut places: Vec<*mut OrtValue> = values.iter().map(|value| value.0.as_ptr()).collect();
        match self.call(inputs, &mut places, stop) {
            Ok(()) => Ok(true),
            Err(fault) if stop.asked() => Err(fault),
            // The inputs' fault, or that an output has another shape than the model's file says: a run without places
            // tells which.
            Err(_) => Ok(false),
        }
    }
}

/// A tensor of memory that it does not own.
struct Borrowed(NonNull<OrtValue>);

impl Drop for Borrowed {
    fn drop(&mut self) {
        // SAFETY: made by `CreateTensorWithDataAsOrtValue`, released once.
        unsafe { (ort::api().ReleaseValue)(self.0.as_ptr()) }
    }
}

impl Graph {
    /// Runs it; `outputs` has a place for each output, or null where ONNX Runtime is to make one.
    fn call(&self, inputs: &[Input<'_>], outputs: &mut [*mut OrtValue], stop: &Stop) -> Result<(), Fault> {
        if inputs.len() != self.input_names.len() {
            return Err(Fault::Runtime(format!("{} inputs of {}", inputs.len(), self.input_names.len())));
        }
        let _turn =
            self.one_at_a_time.as_ref().map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner));
        let options = Arc::new(RunOptions::new().map_err(runtime)?);
        let ended = options.clone();
        stop.by(move || drop(ended.terminate()));
        if stop.asked() {
            return Err(Fault::Cancelled);
        }
        let values = inputs.iter().map(|input| self.borrowed(input)).collect::<Result<Vec<_>, _>>()?;
        let values: Vec<*const OrtValue> = values.iter().map(|value| value.0.as_ptr().cast_const()).collect();
        let input_names: Vec<*const c_char> = self.input_names.iter().map(|name| name.as_ptr()).collect();
        let output_names: Vec<*const c_char> = self.output_names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: all pointers are valid for the call and their lengths are given; ONNX Runtime documents `Run` as safe to
        // call from several threads on the CPU, which is why this does not go through `&mut Session`.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                options.ptr(),
                input_names.as_ptr(),
                values.as_ptr(),
                values.len(),
                output_names.as_ptr(),
                output_names.len(),
                outputs.as_mut_ptr(),
            )
        };
        // SAFETY: the status was just given, and is given away here.
        unsafe { ort::Error::result_from_status(status) }.map_err(runtime).map(drop)
    }

    /// A tensor of the input's own bytes, which it must not outlive.
    fn borrowed(&self, input: &Input<'_>) -> Result<Borrowed, Fault> {
        // SAFETY: ONNX Runtime never writes to what it is fed, so that a pointer to what may only be read is enough.
        unsafe { self.tensor(input.dtype, &input.shape, input.bytes.as_ptr().cast_mut(), input.bytes.len()) }
    }

    /// A tensor of these bytes, which it must not outlive.
    ///
    /// # Safety
    ///
    /// The bytes are as many as type and shape say, and may be written if it is an output.
    unsafe fn tensor(
        &self,
        dtype: Dtype,
        shape: &[u64],
        bytes: *mut u8,
        len: usize,
    ) -> Result<Borrowed, Fault> {
        let shape: Vec<i64> = shape.iter().map(|dim| *dim as i64).collect();
        let mut value = null_mut();
        // SAFETY: the caller's, for the bytes; all else is valid for the call.
        let status = unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                self.memory.ptr(),
                bytes.cast(),
                len,
                shape.as_ptr(),
                shape.len(),
                element(dtype),
                &mut value,
            )
        };
        // SAFETY: the status was just given, and is given away here.
        unsafe { ort::Error::result_from_status(status) }.map_err(runtime)?;
        NonNull::new(value).map(Borrowed).ok_or_else(|| Fault::Runtime("no tensor".into()))
    }

    fn owned(&self, value: *mut OrtValue, wanted: &Signature) -> Result<Box<dyn Output>, Fault> {
        let name = &wanted.port.name;
        let value = NonNull::new(value).ok_or_else(|| Fault::Runtime(format!("no output {name:?}")))?;
        // SAFETY: `Run` gave this value away, from the allocator of its session.
        let value = unsafe { DynValue::from_ptr(value, Some(self.session.allocator())) };
        let tensor: DynTensor = value.downcast().map_err(runtime)?;
        let dtype = dtype(*tensor.data_type());
        let dtype =
            dtype.ok_or_else(|| Fault::Runtime(format!("output {name:?} is of {}", tensor.data_type())))?;
        let shape = tensor.shape().iter().map(|dim| u64::try_from(*dim).unwrap_or(0)).collect();
        Ok(Box::new(Owned { dtype, shape, tensor }))
    }
}

struct Owned {
    dtype: Dtype,
    shape: Vec<u64>,
    tensor: DynTensor,
}

impl Output for Owned {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> Vec<u64> {
        self.shape.clone()
    }

    fn write(&self, to: &mut [u8]) {
        if to.is_empty() {
            return;
        }
        // SAFETY: the tensor is in the memory of the CPU, and has as many bytes as its type and shape say, which is the
        // length of `to`.
        let bytes = unsafe { std::slice::from_raw_parts(self.tensor.data_ptr().cast::<u8>(), to.len()) };
        to.copy_from_slice(bytes);
    }
}

/// Whether no output is an input, and none is there twice: ONNX Runtime leaves the place of such a one as it is, and says that
/// all went well.
fn each_is_made(inputs: &[String], outputs: &[String]) -> bool {
    let mut seen: HashSet<&String> = inputs.iter().collect();
    outputs.iter().all(|output| seen.insert(output))
}

fn runtime(error: ort::Error) -> Fault {
    Fault::Runtime(error.to_string())
}

fn signature(what: &str, outlet: &ort::value::Outlet) -> Result<Signature, String> {
    let name = outlet.name();
    let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else {
        return Err(format!("{what} {name:?} is not a tensor but {}", outlet.dtype()));
    };
    let dtype =
        dtype(*ty).ok_or_else(|| format!("{what} {name:?} has elements of {ty}, which is not served"))?;
    let dims = shape.iter().map(|dim| u64::try_from(*dim).ok()).collect();
    Ok(Signature {
        port: Port { name: name.to_owned(), dtype, dims: Some(dims) },
        symbols: dimension_symbols.iter().cloned().collect(),
    })
}

fn dtype(element: TensorElementType) -> Option<Dtype> {
    Dtype::ALL.into_iter().find(|dtype| TensorElementType::from(self::element(*dtype)) == element)
}

fn element(dtype: Dtype) -> Element {
    match dtype {
        Dtype::F16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        Dtype::Bf16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
        Dtype::F32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        Dtype::F64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        Dtype::U8 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        Dtype::I8 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        Dtype::U16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        Dtype::I16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        Dtype::U32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        Dtype::I32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        Dtype::U64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        Dtype::I64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        Dtype::Bool => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
    }
}
