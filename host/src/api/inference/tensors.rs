//! Tensors as the Open Inference Protocol sends them: numbers in JSON, or bytes behind the JSON.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut as _, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use serde_json::{Number, Value, json};
use wicket_inference::{Dtype, Inference, InputKey, Tensor};

/// Says how much of a body is JSON; the rest is bytes.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");
/// Inputs and outputs of a call.
const MOST: usize = 64;

/// What is asked of a model.
pub(super) struct Asked {
    pub(super) id: Option<String>,
    pub(super) inputs: Vec<(InputKey, Tensor)>,
    pub(super) wanted: Wanted,
}

/// Which outputs, and how.
pub(super) struct Wanted {
    /// By name, and whether as bytes; empty: all.
    named: BTreeMap<String, bool>,
    /// Whether those that nobody named come as bytes.
    binary: bool,
}

#[derive(Deserialize)]
struct Request {
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    inputs: Vec<Input>,
    #[serde(default)]
    outputs: Vec<Output>,
}

#[derive(Default, Deserialize)]
struct Parameters {
    #[serde(default)]
    binary_data_output: bool,
    binary_data_size: Option<usize>,
    binary_data: Option<bool>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    datatype: String,
    shape: Vec<u64>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    #[serde(default)]
    parameters: Parameters,
}

const WORDS: [(&str, Dtype); 13] = [
    ("BOOL", Dtype::Bool),
    ("UINT8", Dtype::U8),
    ("UINT16", Dtype::U16),
    ("UINT32", Dtype::U32),
    ("UINT64", Dtype::U64),
    ("INT8", Dtype::I8),
    ("INT16", Dtype::I16),
    ("INT32", Dtype::I32),
    ("INT64", Dtype::I64),
    ("FP16", Dtype::F16),
    ("FP32", Dtype::F32),
    ("FP64", Dtype::F64),
    ("BF16", Dtype::Bf16),
];

/// The protocol's word for a type.
pub(super) fn word(dtype: Dtype) -> &'static str {
    WORDS.iter().find(|(_, known)| *known == dtype).map_or("BYTES", |(word, _)| word)
}

impl Asked {
    /// Reads a request. The error is for who sent it.
    pub(super) fn read(inference: &Inference, headers: &HeaderMap, body: &[u8]) -> Result<Self, String> {
        let length =
            headers.get(JSON_LENGTH).map(|value| value.to_str().ok().and_then(|text| text.parse().ok()));
        let (text, mut bytes) = match length {
            None => (body, &[][..]),
            Some(Some(length)) if length <= body.len() => body.split_at(length),
            Some(_) => return Err(format!("{JSON_LENGTH} is no length within the body")),
        };
        let request: Request =
            serde_json::from_slice(text).map_err(|error| format!("the request: {error}"))?;
        if request.inputs.len() > MOST || request.outputs.len() > MOST {
            return Err(format!("a request has at most {MOST} inputs and outputs"));
        }
        let mut inputs = Vec::with_capacity(request.inputs.len());
        for input in request.inputs {
            let failed = |why: String| format!("input `{}`: {why}", input.name);
            let known = WORDS.iter().find(|(word, _)| *word == input.datatype);
            let (_, dtype) =
                known.ok_or_else(|| failed(format!("there is no datatype {:.16}", input.datatype)))?;
            let tensor = match input.parameters.binary_data_size {
                Some(size) => {
                    let (own, rest) = bytes.split_at_checked(size).ok_or_else(|| {
                        failed(format!("{size} bytes are announced, and {} are left", bytes.len()))
                    })?;
                    bytes = rest;
                    inference.tensor(*dtype, &input.shape, own)
                }
                None => {
                    let mut own = BytesMut::new();
                    put(*dtype, &input.data, &mut own).map_err(failed)?;
                    inference.tensor(*dtype, &input.shape, &own)
                }
            };
            let tensor = tensor.map_err(|error| failed(error.to_string()))?;
            inputs.push((InputKey::Name(input.name), tensor));
        }
        if !bytes.is_empty() {
            return Err(format!("{} bytes belong to no input", bytes.len()));
        }
        let binary = request.parameters.binary_data_output;
        let named = request.outputs.into_iter().map(|output| {
            let as_bytes = output.parameters.binary_data.unwrap_or(binary);
            (output.name, as_bytes)
        });
        Ok(Self { id: request.id, inputs, wanted: Wanted { named: named.collect(), binary } })
    }
}

/// Writes numbers, however they are nested.
fn put(dtype: Dtype, data: &Value, into: &mut BytesMut) -> Result<(), String> {
    match data {
        Value::Array(list) => list.iter().try_for_each(|one| put(dtype, one, into)),
        Value::Bool(is) if dtype == Dtype::Bool => {
            into.put_u8(u8::from(*is));
            Ok(())
        }
        Value::Number(number) => {
            one(dtype, number, into).ok_or_else(|| format!("{number} is no number of type {}", word(dtype)))
        }
        Value::Null => Err("there is no data".to_owned()),
        Value::Bool(_) | Value::String(_) | Value::Object(_) => {
            Err(format!("its data are not all of type {}", word(dtype)))
        }
    }
}

fn one(dtype: Dtype, number: &Number, into: &mut BytesMut) -> Option<()> {
    let whole = number.as_i64();
    match dtype {
        Dtype::F32 => into.put_f32_le(number.as_f64()? as f32),
        Dtype::F64 => into.put_f64_le(number.as_f64()?),
        Dtype::Bool => into.put_u8(u8::try_from(whole?).ok().filter(|n| *n < 2)?),
        Dtype::U8 => into.put_u8(whole?.try_into().ok()?),
        Dtype::I8 => into.put_i8(whole?.try_into().ok()?),
        Dtype::U16 => into.put_u16_le(whole?.try_into().ok()?),
        Dtype::I16 => into.put_i16_le(whole?.try_into().ok()?),
        Dtype::U32 => into.put_u32_le(whole?.try_into().ok()?),
        Dtype::I32 => into.put_i32_le(whole?.try_into().ok()?),
        Dtype::U64 => into.put_u64_le(number.as_u64()?),
        Dtype::I64 => into.put_i64_le(whole?),
        // The protocol has them as bytes only.
        Dtype::F16 | Dtype::Bf16 => return None,
    }
    Some(())
}

/// The answer: JSON, and behind it the outputs that were wanted as bytes.
pub(super) fn response(
    model: &str,
    version: u32,
    id: Option<&str>,
    outputs: &[(String, Tensor)],
    wanted: &Wanted,
) -> Response {
    let mut bytes = BytesMut::new();
    let mut told = Vec::new();
    for (name, tensor) in outputs {
        let binary = match wanted.named.get(name) {
            Some(binary) => *binary,
            None if wanted.named.is_empty() => wanted.binary,
            None => continue,
        };
        let mut output = json!({"name": name, "datatype": word(tensor.dtype()), "shape": tensor.shape()});
        match numbers(tensor).filter(|_| !binary) {
            Some(numbers) => output["data"] = numbers,
            None => {
                output["parameters"] = json!({"binary_data_size": tensor.data().len()});
                bytes.extend_from_slice(tensor.data());
            }
        }
        told.push(output);
    }
    let mut answer = json!({"model_name": model, "model_version": version.to_string(), "outputs": told});
    if let Some(id) = id {
        answer["id"] = id.into();
    }
    let mut body = BytesMut::from(answer.to_string().as_bytes());
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    if bytes.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(JSON_LENGTH, body.len().into());
        body.extend_from_slice(&bytes);
    }
    headers.insert(header::CONTENT_LENGTH, body.len().into());
    *response.body_mut() = Body::from(body.freeze());
    response
}

/// A tensor in JSON; none where the protocol has its type as bytes only, or one of its numbers is none in JSON.
fn numbers(tensor: &Tensor) -> Option<Value> {
    let data = tensor.data();
    macro_rules! all {
        ($type:ty) => {
            data.as_chunks::<{ size_of::<$type>() }>()
                .0
                .iter()
                .map(|bytes| Some(Value::from(<$type>::from_le_bytes(*bytes))))
                .collect::<Option<Vec<_>>>()
        };
    }
    let real = |number: f64| Number::from_f64(number).map(Value::Number);
    let list = match tensor.dtype() {
        Dtype::Bool => Some(data.iter().map(|byte| Value::Bool(*byte != 0)).collect()),
        Dtype::U8 => all!(u8),
        Dtype::I8 => all!(i8),
        Dtype::U16 => all!(u16),
        Dtype::I16 => all!(i16),
        Dtype::U32 => all!(u32),
        Dtype::I32 => all!(i32),
        Dtype::U64 => all!(u64),
        Dtype::I64 => all!(i64),
        Dtype::F32 => {
            data.as_chunks::<4>().0.iter().map(|bytes| real(f64::from(f32::from_le_bytes(*bytes)))).collect()
        }
        Dtype::F64 => data.as_chunks::<8>().0.iter().map(|bytes| real(f64::from_le_bytes(*bytes))).collect(),
        Dtype::F16 | Dtype::Bf16 => None,
    };
    list.map(Value::Array)
}
