//! Small ONNX models, written byte by byte: no package of another language is needed to test.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use wicket_inference::{Dtype, Model};

/// A dimension: a name or a number.
#[derive(Clone, Copy)]
pub(crate) enum Dim {
    Any(&'static str),
    Is(i64),
}

/// A field of a message.
fn field(tag: u32, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [varint(u64::from(tag << 3 | 2)), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn number(tag: u32, number: i64) -> Vec<u8> {
    [varint(u64::from(tag << 3)), varint(number as u64)].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

pub(crate) fn code(dtype: Dtype) -> i64 {
    match dtype {
        Dtype::F32 => 1,
        Dtype::U8 => 2,
        Dtype::I8 => 3,
        Dtype::U16 => 4,
        Dtype::I16 => 5,
        Dtype::I32 => 6,
        Dtype::I64 => 7,
        Dtype::Bool => 9,
        Dtype::F16 => 10,
        Dtype::F64 => 11,
        Dtype::U32 => 12,
        Dtype::U64 => 13,
        Dtype::Bf16 => 16,
    }
}

/// An input or output.
pub(crate) fn value(name: &str, dtype: Dtype, dims: &[Dim]) -> Vec<u8> {
    let dim = |dim: &Dim| match dim {
        Dim::Any(name) => field(1, field(2, name)),
        Dim::Is(size) => field(1, number(1, *size)),
    };
    let shape: Vec<u8> = dims.iter().flat_map(dim).collect();
    let tensor = [number(1, code(dtype)), field(2, shape)].concat();
    [field(1, name), field(2, field(1, tensor))].concat()
}

/// A node; attributes as they are written.
pub(crate) fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes: Vec<u8> = inputs.iter().flat_map(|name| field(1, name)).collect();
    bytes.extend(outputs.iter().flat_map(|name| field(2, name)));
    bytes.extend(field(4, op));
    bytes.extend(attributes.iter().flat_map(|attribute| field(5, attribute)));
    bytes
}

pub(crate) fn graph_attribute(name: &str, graph: Vec<u8>) -> Vec<u8> {
    [field(1, name), field(6, graph), number(20, 5)].concat()
}

/// Weights.
pub(crate) fn weights(name: &str, dtype: Dtype, dims: &[i64], raw: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| number(1, *dim)).collect();
    [dims, number(2, code(dtype)), field(8, name), field(9, raw)].concat()
}

/// Weights that say they are in another file.
pub(crate) fn weights_elsewhere(name: &str, dims: &[i64], place: &str) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| number(1, *dim)).collect();
    let entry = [field(1, "location"), field(2, place)].concat();
    [dims, number(2, 2), field(8, name), field(13, entry), number(14, 1)].concat()
}

pub(crate) struct Graph {
    pub(crate) nodes: Vec<Vec<u8>>,
    pub(crate) weights: Vec<Vec<u8>>,
    pub(crate) inputs: Vec<Vec<u8>>,
    pub(crate) outputs: Vec<Vec<u8>>,
}

impl Graph {
    pub(crate) fn new(nodes: Vec<Vec<u8>>, inputs: Vec<Vec<u8>>, outputs: Vec<Vec<u8>>) -> Self {
        Self { nodes, weights: Vec::new(), inputs, outputs }
    }

    pub(crate) fn with(mut self, weights: Vec<u8>) -> Self {
        self.weights.push(weights);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let all =
            |tag, parts: &[Vec<u8>]| parts.iter().flat_map(|part| field(tag, part)).collect::<Vec<u8>>();
        [
            all(1, &self.nodes),
            field(2, "test"),
            all(5, &self.weights),
            all(11, &self.inputs),
            all(12, &self.outputs),
        ]
        .concat()
    }

    /// The file.
    pub(crate) fn model(&self) -> Vec<u8> {
        [number(1, 8), field(7, self.bytes()), field(8, [field(1, ""), number(2, 13)].concat())].concat()
    }
}

/// One node from `x` to `y`, of one type and shape.
pub(crate) fn one(op: &str, dtype: Dtype, dims: &[Dim]) -> Vec<u8> {
    let inputs: &[&str] = if op == "Add" { &["x", "x"] } else { &["x"] };
    Graph::new(
        vec![node(op, inputs, &["y"], &[])],
        vec![value("x", dtype, dims)],
        vec![value("y", dtype, dims)],
    )
    .model()
}

/// Adds 1 to `x` `n` times. A million take a while; with a negative `n` it never ends.
pub(crate) fn counts() -> Vec<u8> {
    let scalar = |name, dtype| value(name, dtype, &[]);
    let number = |name, dtype| value(name, dtype, &[Dim::Is(1)]);
    let body = Graph::new(
        vec![node("Identity", &["go"], &["go_on"], &[]), node("Add", &["v", "one"], &["w"], &[])],
        vec![scalar("i", Dtype::I64), scalar("go", Dtype::Bool), number("v", Dtype::F32)],
        vec![scalar("go_on", Dtype::Bool), number("w", Dtype::F32)],
    );
    Graph::new(
        vec![node("Loop", &["n", "yes", "x"], &["y"], &[graph_attribute("body", body.bytes())])],
        vec![scalar("n", Dtype::I64), number("x", Dtype::F32)],
        vec![number("y", Dtype::F32)],
    )
    .with(weights("one", Dtype::F32, &[1], &1.0_f32.to_le_bytes()))
    .with(weights("yes", Dtype::Bool, &[], &[1]))
    .model()
}

/// Makes a tensor as large as its input says.
pub(crate) fn fills() -> Vec<u8> {
    Graph::new(
        vec![node("ConstantOfShape", &["n"], &["y"], &[])],
        vec![value("n", Dtype::I64, &[Dim::Is(1)])],
        vec![value("y", Dtype::F32, &[Dim::Any("n")])],
    )
    .model()
}

/// Looks up rows of a table of four.
pub(crate) fn looks_up() -> Vec<u8> {
    let table: Vec<u8> =
        [10.0_f32, 11.0, 12.0, 13.0].iter().flat_map(|number| number.to_le_bytes()).collect();
    Graph::new(
        vec![node("Gather", &["table", "x"], &["y"], &[])],
        vec![value("x", Dtype::I64, &[Dim::Any("batch"), Dim::Is(1)])],
        vec![value("y", Dtype::F32, &[Dim::Any("batch"), Dim::Is(1)])],
    )
    .with(weights("table", Dtype::F32, &[4], &table))
    .model()
}

/// Looks up one of as many weights as asked for.
pub(crate) fn weighs(n: usize) -> Vec<u8> {
    Graph::new(
        vec![node("Gather", &["w", "x"], &["y"], &[])],
        vec![value("x", Dtype::I64, &[Dim::Is(1)])],
        vec![value("y", Dtype::F32, &[Dim::Is(1)])],
    )
    .with(weights("w", Dtype::F32, &[n as i64], &1.0_f32.to_le_bytes().repeat(n)))
    .model()
}

/// Says that rows come out as they went in, and sums them up.
pub(crate) fn mixes_rows() -> Vec<u8> {
    let dims = [Dim::Any("batch"), Dim::Any("width")];
    Graph::new(
        vec![node("ReduceSum", &["x", "rows"], &["y"], &[])],
        vec![value("x", Dtype::F32, &dims)],
        vec![value("y", Dtype::F32, &dims)],
    )
    .with(weights("rows", Dtype::I64, &[1], &0_i64.to_le_bytes()))
    .model()
}

/// Puts a file where the service finds it.
pub(crate) fn store(dir: &std::path::Path, bytes: &[u8]) -> Model {
    let digest = hex::encode(Sha256::digest(bytes));
    let path: PathBuf = dir.join(&digest);
    std::fs::write(&path, bytes).unwrap();
    Model::new(digest, path)
}
