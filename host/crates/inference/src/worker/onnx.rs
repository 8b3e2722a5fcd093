//! What can be seen of an ONNX file before a runtime touches it.
//!
//! Only the fields that are looked at are declared; `prost` skips the others, weights above all, without a copy. The
//! numbers are those of `onnx.proto`.

use prost::Message;

use super::backend::Signature;
use crate::{Dtype, Port};

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(int64, optional, tag = "1")]
    ir_version: Option<i64>,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<Function>,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(message, repeated, tag = "7")]
    node: Vec<Node>,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Weights>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<Value>,
    #[prost(message, repeated, tag = "15")]
    sparse_initializer: Vec<Sparse>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(message, optional, tag = "5")]
    t: Option<Weights>,
    #[prost(message, optional, boxed, tag = "6")]
    g: Option<Box<Graph>>,
    #[prost(message, repeated, tag = "10")]
    tensors: Vec<Weights>,
    #[prost(message, repeated, tag = "11")]
    graphs: Vec<Graph>,
    #[prost(message, optional, tag = "22")]
    sparse_tensor: Option<Sparse>,
    #[prost(message, repeated, tag = "23")]
    sparse_tensors: Vec<Sparse>,
}

#[derive(Clone, PartialEq, Message)]
struct Weights {
    #[prost(string, tag = "8")]
    name: String,
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<Entry>,
    #[prost(int32, tag = "14")]
    data_location: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Sparse {
    #[prost(message, optional, tag = "1")]
    values: Option<Weights>,
    #[prost(message, optional, tag = "2")]
    indices: Option<Weights>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
struct Dim {
    #[prost(int64, optional, tag = "1")]
    value: Option<i64>,
    #[prost(string, tag = "2")]
    param: String,
}

/// What a file declares.
pub(super) struct Declared {
    /// Inputs of the graph that are not weights.
    pub(super) inputs: Vec<Signature>,
    pub(super) outputs: Vec<Signature>,
}

/// Reads what a file declares.
///
/// # Errors
///
/// When it is no ONNX model, names weights in another file, or takes or gives something else than tensors of numbers.
pub(super) fn read(bytes: &[u8]) -> Result<Declared, String> {
    let model = Model::decode(bytes).map_err(|error| format!("not an ONNX file: {error}"))?;
    if model.ir_version.is_none() {
        return Err("not an ONNX file: no version".into());
    }
    let graph = model.graph.ok_or("an ONNX file without a graph")?;
    model.functions.iter().try_for_each(|function| inside_nodes(&function.node))?;
    inside_graph(&graph)?;
    let is_weight = |value: &&Value| graph.initializer.iter().any(|weight| weight.name == value.name);
    let inputs = graph.input.iter().filter(|value| !is_weight(value)).map(|value| signature("input", value));
    let outputs = graph.output.iter().map(|value| signature("output", value));
    Ok(Declared { inputs: inputs.collect::<Result<_, _>>()?, outputs: outputs.collect::<Result<_, _>>()? })
}

fn inside_graph(graph: &Graph) -> Result<(), String> {
    graph.initializer.iter().try_for_each(inside)?;
    graph.sparse_initializer.iter().try_for_each(inside_sparse)?;
    inside_nodes(&graph.node)
}

fn inside_nodes(nodes: &[Node]) -> Result<(), String> {
    for attribute in nodes.iter().flat_map(|node| &node.attribute) {
        attribute.t.iter().chain(&attribute.tensors).try_for_each(inside)?;
        attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors).try_for_each(inside_sparse)?;
        attribute.g.as_deref().into_iter().chain(&attribute.graphs).try_for_each(inside_graph)?;
    }
    Ok(())
}

fn inside_sparse(sparse: &Sparse) -> Result<(), String> {
    sparse.values.iter().chain(&sparse.indices).try_for_each(inside)
}

/// Weights must be in the file itself: a model could name any file that the worker can read.
fn inside(weights: &Weights) -> Result<(), String> {
    if weights.data_location != EXTERNAL && weights.external_data.is_empty() {
        return Ok(());
    }
    let place = weights.external_data.iter().find(|entry| entry.key == "location");
    let place = place.map_or("?", |entry| &entry.value);
    Err(format!("the weights {:?} are in another file, {place:?}; save the model as one file", weights.name))
}

fn signature(what: &str, value: &Value) -> Result<Signature, String> {
    let name = &value.name;
    let declared = value.r#type.as_ref().and_then(|declared| declared.tensor.as_ref());
    let tensor = declared.ok_or_else(|| format!("{what} {name:?} is not a tensor"))?;
    let dtype = dtype(tensor.elem_type).ok_or_else(|| {
        format!("{what} {name:?} has elements of type {}, which is not served", tensor.elem_type)
    })?;
    let dims = |shape: &Shape| {
        shape.dim.iter().map(|dim| dim.value.and_then(|dim| u64::try_from(dim).ok())).collect()
    };
    let shape = tensor.shape.as_ref();
    let symbols = shape.map(|shape| shape.dim.iter().map(|dim| dim.param.clone()).collect());
    Ok(Signature {
        port: Port { name: name.clone(), dtype, dims: shape.map(dims) },
        symbols: symbols.unwrap_or_default(),
    })
}

/// `TensorProto.DataType`.
fn dtype(number: i32) -> Option<Dtype> {
    Some(match number {
        1 => Dtype::F32,
        2 => Dtype::U8,
        3 => Dtype::I8,
        4 => Dtype::U16,
        5 => Dtype::I16,
        6 => Dtype::I32,
        7 => Dtype::I64,
        9 => Dtype::Bool,
        10 => Dtype::F16,
        11 => Dtype::F64,
        12 => Dtype::U32,
        13 => Dtype::U64,
        16 => Dtype::Bf16,
        _ => return None,
    })
}
