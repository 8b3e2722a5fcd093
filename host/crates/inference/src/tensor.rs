//! What goes into a model and comes out.

use serde::{Deserialize, Serialize};

use crate::{Buffer, InferenceError};

/// Most dimensions of a tensor.
pub const MAX_RANK: usize = 16;

/// The type of an element. [`Dtype::Bool`] is one byte, 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    Bool,
}

impl Dtype {
    /// Every type there is.
    pub const ALL: [Self; 13] = [
        Self::F16,
        Self::Bf16,
        Self::F32,
        Self::F64,
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::Bool,
    ];

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::U16 | Self::I16 => 2,
            Self::F32 | Self::U32 | Self::I32 => 4,
            Self::F64 | Self::U64 | Self::I64 => 8,
        }
    }

    /// The name, as people write it: `f32`, `bool`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::Bool => "bool",
        }
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Elements in rows, packed, little endian. Cloning one copies no elements.
#[derive(Clone, Debug)]
pub struct Tensor {
    dtype: Dtype,
    shape: Vec<u64>,
    data: Buffer,
}

impl Tensor {
    /// A tensor of what is in `data`.
    ///
    /// # Errors
    ///
    /// [`InferenceError::Invalid`] when `data` does not have the bytes that `shape` makes, or the shape has more than
    /// [`MAX_RANK`] dimensions or makes more bytes than can be counted.
    pub fn new(dtype: Dtype, shape: Vec<u64>, data: Buffer) -> Result<Self, InferenceError> {
        let wanted = byte_len(dtype, &shape)?;
        if wanted != data.len() {
            return Err(InferenceError::invalid(
                format_args!("a tensor {dtype}{shape:?}"),
                format_args!("{wanted} bytes"),
                format_args!("{}", data.len()),
            ));
        }
        Ok(Self { dtype, shape, data })
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Its dimensions, outermost first; none for a single number.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Its bytes.
    pub fn data(&self) -> &Buffer {
        &self.data
    }
}

/// Bytes of a tensor of this type and shape.
///
/// # Errors
///
/// As [`Tensor::new`].
pub(crate) fn byte_len(dtype: Dtype, shape: &[u64]) -> Result<usize, InferenceError> {
    let refused = |wanted: &str| {
        let shown = &shape[..shape.len().min(MAX_RANK)];
        InferenceError::invalid("a tensor's shape", wanted, format_args!("{dtype}{shown:?}"))
    };
    if shape.len() > MAX_RANK {
        return Err(refused("at most 16 dimensions"));
    }
    // A zero further right must not hide an overflow: what is counted is then of no use to a runtime.
    let count = shape.iter().filter(|dim| **dim != 0).try_fold(1_u64, |count, dim| count.checked_mul(*dim));
    let bytes = count
        .and_then(|count| count.checked_mul(dtype.size() as u64))
        .filter(|bytes| *bytes <= isize::MAX as u64)
        .ok_or_else(|| refused("a size that can be counted"))?;
    Ok(if shape.contains(&0) { 0 } else { bytes as usize })
}
