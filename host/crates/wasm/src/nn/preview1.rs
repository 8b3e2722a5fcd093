//! `wasi_ephemeral_nn`, for preview-1 modules: what the `wasi-nn` crate's bindings speak.
//!
//! Its errors are numbers only, so the words go into the log of the attempt.

use std::collections::BTreeMap;

use wasmtime::{Caller, Extern, Linker, Memory};
use wicket_core::LogStream;
use wicket_inference::{Dtype, InputKey, Target, Tensor};

use super::{Fault, Kind, Loaded, travels_as};
use crate::state::State;

const MODULE: &str = "wasi_ephemeral_nn";
/// Parts of a model, and dimensions of a tensor: more than this is a mistake.
const MOST: u32 = 64;
/// Bytes of a name.
const LONGEST_NAME: u32 = 1024;

/// A guest's handles: numbers from 0. None is given back, so their number is limited.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    graphs: Vec<Loaded>,
    contexts: Vec<Context>,
}

#[derive(Debug)]
struct Context {
    loaded: Loaded,
    inputs: BTreeMap<usize, Tensor>,
    outputs: Vec<Tensor>,
}

type Done<T> = Result<T, Fault>;

/// Adds the interface to what modules can import.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "load",
        |mut caller: Caller<'_, State>,
         (parts, n_parts, encoding, target, out): (u32, u32, u32, u32, u32)| {
            Box::new(async move {
                let done = load(&mut caller, parts, n_parts, encoding, target).await;
                answer(&mut caller, done, out)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "load_by_name",
        |mut caller: Caller<'_, State>, (name, len, out): (u32, u32, u32)| {
            Box::new(async move {
                let done = load_by_name(&mut caller, name, len).await;
                answer(&mut caller, done, out)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "init_execution_context",
        |mut caller: Caller<'_, State>, graph: u32, out: u32| {
            let done = init(caller.data_mut(), graph);
            answer(&mut caller, done, out)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "set_input",
        |mut caller: Caller<'_, State>, context: u32, index: u32, tensor: u32| {
            let done = set_input(&mut caller, context, index, tensor);
            code(&caller, done)
        },
    )?;
    linker.func_wrap_async(MODULE, "compute", |mut caller: Caller<'_, State>, (context,): (u32,)| {
        Box::new(async move {
            let done = compute(caller.data_mut(), context).await;
            code(&caller, done)
        })
    })?;
    linker.func_wrap(
        MODULE,
        "get_output",
        |mut caller: Caller<'_, State>, context: u32, index: u32, buffer: u32, room: u32, out: u32| {
            let done = get_output(&mut caller, context, index, buffer, room);
            answer(&mut caller, done, out)
        },
    )?;
    Ok(())
}

async fn load(
    caller: &mut Caller<'_, State>,
    parts: u32,
    n_parts: u32,
    encoding: u32,
    target: u32,
) -> Done<u32> {
    // ONNX, and what finds out by itself.
    if !matches!(encoding, 1 | 5) {
        return Err(Fault::new(Kind::InvalidEncoding, "models are ONNX here"));
    }
    let target = match target {
        0 => Target::Cpu,
        1 => Target::Gpu(0),
        _ => return Err(Fault::new(Kind::Unsupported, "there is no such target here")),
    };
    room(caller.data())?;
    let memory = memory(caller)?;
    let mut buffers = Vec::new();
    for n in 0..bounded(n_parts, "a model's buffers")? {
        let (at, len) = pair(caller, memory, parts, n)?;
        // Before it is copied, since it may be gigabytes.
        let limit = caller.data().models()?.inference.limits().max_model;
        if u64::from(len) > limit {
            let message = format!("a model of {len} bytes is over the limit of {limit}");
            return Err(Fault::new(Kind::TooLarge, message));
        }
        buffers.push(bytes(caller, memory, at, len)?.to_vec());
    }
    let loaded = caller.data().brought(buffers, target)?.load().await?;
    keep(caller.data_mut(), loaded)
}

async fn load_by_name(caller: &mut Caller<'_, State>, name: u32, len: u32) -> Done<u32> {
    room(caller.data())?;
    if len > LONGEST_NAME {
        return Err(Fault::new(Kind::InvalidArgument, format!("a name of {len} bytes")));
    }
    let memory = memory(caller)?;
    let name = std::str::from_utf8(bytes(caller, memory, name, len)?).map(str::to_owned);
    let name = name.map_err(|_| Fault::new(Kind::InvalidArgument, "a name is a text in UTF-8"))?;
    let loaded = caller.data().named(&name)?.load().await?;
    keep(caller.data_mut(), loaded)
}

fn init(state: &mut State, graph: u32) -> Done<u32> {
    room(state)?;
    let loaded = state.nn.graphs.get(graph as usize);
    let loaded = loaded.ok_or_else(|| none("graph", graph))?.clone();
    state.nn.contexts.push(Context { loaded, inputs: BTreeMap::new(), outputs: Vec::new() });
    Ok(last(state.nn.contexts.len()))
}

fn set_input(caller: &mut Caller<'_, State>, context: u32, index: u32, tensor: u32) -> Done<()> {
    if caller.data().nn.contexts.len() <= context as usize {
        return Err(none("context", context));
    }
    bounded(index, "an input's place")?;
    let memory = memory(caller)?;
    let (dimensions, n_dimensions) = pair(caller, memory, tensor, 0)?;
    let ty = match word(caller, memory, tensor, 8)? & 0xff {
        0 => Dtype::F16,
        1 => Dtype::F32,
        2 => Dtype::F64,
        3 => Dtype::U8,
        4 => Dtype::I32,
        5 => Dtype::I64,
        other => return Err(Fault::new(Kind::InvalidArgument, format!("there is no type {other}"))),
    };
    let (data, len) = (word(caller, memory, tensor, 12)?, word(caller, memory, tensor, 16)?);
    let shape = (0..bounded(n_dimensions, "a tensor's dimensions")?)
        .map(|n| word(caller, memory, dimensions, n * 4).map(u64::from))
        .collect::<Done<Vec<_>>>()?;
    let state = caller.data();
    let tensor = state.models()?.inference.tensor(ty, &shape, bytes(caller, memory, data, len)?)?;
    if let Some(context) = caller.data_mut().nn.contexts.get_mut(context as usize) {
        context.inputs.insert(index as usize, tensor);
    }
    Ok(())
}

async fn compute(state: &mut State, context: u32) -> Done<()> {
    let found = state.nn.contexts.get_mut(context as usize).ok_or_else(|| none("context", context))?;
    let loaded = found.loaded.clone();
    found.outputs.clear();
    let inputs = found.inputs.iter().map(|(index, tensor)| (InputKey::Index(*index), tensor.clone()));
    let inputs = inputs.collect();
    let outputs = state.run(loaded, inputs)?.outputs().await?;
    if let Some(context) = state.nn.contexts.get_mut(context as usize) {
        context.outputs = outputs.into_iter().map(|(_, tensor)| tensor).collect();
    }
    Ok(())
}

fn get_output(caller: &mut Caller<'_, State>, context: u32, index: u32, buffer: u32, room: u32) -> Done<u32> {
    let memory = memory(caller)?;
    let (all, state) = memory.data_and_store_mut(&mut *caller);
    let context = state.nn.contexts.get(context as usize).ok_or_else(|| none("context", context))?;
    let tensor = context.outputs.get(index as usize).ok_or_else(|| none("output", index))?;
    if !matches!(
        travels_as(tensor.dtype()),
        Dtype::F16 | Dtype::F32 | Dtype::F64 | Dtype::U8 | Dtype::I32 | Dtype::I64
    ) {
        let message =
            format!("output {index} is of type {}, which preview 1 has no word for", tensor.dtype());
        return Err(Fault::new(Kind::Unsupported, message));
    }
    let data = tensor.data();
    if data.len() > room as usize {
        let message = format!("output {index} has {} bytes, and there is room for {room}", data.len());
        return Err(Fault::new(Kind::TooLarge, message));
    }
    let place = all.get_mut(buffer as usize..).and_then(|rest| rest.get_mut(..data.len()));
    place.ok_or_else(outside)?.copy_from_slice(data);
    Ok(u32::try_from(data.len()).unwrap_or(u32::MAX))
}

/// Whether the guest may have another handle.
fn room(state: &State) -> Done<()> {
    let (there, most) =
        (state.nn.graphs.len() + state.nn.contexts.len(), state.deployment.service.limits.handles);
    if there < most as usize {
        return Ok(());
    }
    Err(Fault::new(Kind::TooLarge, format!("a guest has at most {most} handles (`limits.handles`)")))
}

fn keep(state: &mut State, loaded: Loaded) -> Done<u32> {
    state.nn.graphs.push(loaded);
    Ok(last(state.nn.graphs.len()))
}

fn last(len: usize) -> u32 {
    u32::try_from(len.saturating_sub(1)).unwrap_or(u32::MAX)
}

fn none(what: &str, number: u32) -> Fault {
    Fault::new(Kind::InvalidArgument, format!("there is no {what} {number}"))
}

fn bounded(n: u32, what: &str) -> Done<u32> {
    if n <= MOST {
        Ok(n)
    } else {
        Err(Fault::new(Kind::InvalidArgument, format!("{what}: {n}, of at most {MOST}")))
    }
}

fn outside() -> Fault {
    Fault::new(Kind::InvalidArgument, "an address is outside of the guest's memory")
}

fn memory(caller: &mut Caller<'_, State>) -> Done<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => Err(Fault::new(Kind::InvalidArgument, "the module exports no memory")),
    }
}

fn bytes<'c>(caller: &'c Caller<'_, State>, memory: Memory, at: u32, len: u32) -> Done<&'c [u8]> {
    let rest = memory.data(caller).get(at as usize..);
    rest.and_then(|rest| rest.get(..len as usize)).ok_or_else(outside)
}

fn word(caller: &Caller<'_, State>, memory: Memory, at: u32, offset: u32) -> Done<u32> {
    let word = bytes(caller, memory, at.checked_add(offset).ok_or_else(outside)?, 4)?;
    Ok(u32::from_le_bytes(word.try_into().map_err(|_| outside())?))
}

/// The pointer and the length at place `n` of a list of such.
fn pair(caller: &Caller<'_, State>, memory: Memory, at: u32, n: u32) -> Done<(u32, u32)> {
    Ok((word(caller, memory, at, n * 8)?, word(caller, memory, at, n * 8 + 4)?))
}

/// Writes a number where the guest wants it, and answers the code.
fn answer(caller: &mut Caller<'_, State>, done: Done<u32>, out: u32) -> wasmtime::Result<u32> {
    let done = done.and_then(|number| {
        let memory = memory(caller)?;
        memory.write(&mut *caller, out as usize, &number.to_le_bytes()).map_err(|_| outside())
    });
    code(caller, done)
}

/// The number that the guest gets; the words go into the log.
fn code(caller: &Caller<'_, State>, done: Done<()>) -> wasmtime::Result<u32> {
    let Err(fault) = done else { return Ok(0) };
    let state = caller.data();
    let line = format!("inference: {}", fault.message);
    state.meter.logged(line.len() as u64 + 1)?;
    state.log.line(LogStream::Stderr, line.as_bytes());
    Ok(match fault.kind {
        Kind::InvalidArgument => 1,
        Kind::InvalidEncoding => 2,
        Kind::Busy => 4,
        Kind::Timeout | Kind::Runtime | Kind::Unknown => 5,
        Kind::Unsupported | Kind::Security => 6,
        Kind::TooLarge => 7,
        Kind::NotFound => 8,
    })
}
