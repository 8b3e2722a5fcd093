//! Numbers in a shape.

use std::borrow::Cow;

use bytemuck::Pod;

use super::{Code, Error};

/// What a tensor is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Dtype {
    F16,
    F32,
    F64,
    Bf16,
    U8,
    I32,
    I64,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// A tensor: packed, row-major, little endian. It borrows what it is made of, so that a run copies it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor<'a> {
    dtype: Dtype,
    shape: Vec<u32>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Tensor<'a> {
    /// A tensor from bytes. [`Code::InvalidArgument`] when there are more or fewer of them than the shape has room for.
    pub fn new(dtype: Dtype, shape: &[u32], bytes: impl Into<Cow<'a, [u8]>>) -> Result<Self, Error> {
        let bytes = bytes.into();
        let wanted = shape.iter().try_fold(dtype.size(), |size, side| size.checked_mul(*side as usize));
        if wanted != Some(bytes.len()) {
            let what = format!("a tensor {dtype:?} {shape:?} is not made of {} bytes", bytes.len());
            return Err(Error::new(Code::InvalidArgument, "", &what));
        }
        Ok(Self { dtype, shape: shape.to_vec(), bytes })
    }

    /// A tensor of `f32`; shape and length must agree.
    pub fn from_f32(shape: &[u32], data: impl Into<Cow<'a, [f32]>>) -> Result<Self, Error> {
        Self::new(Dtype::F32, shape, bytes(data.into()))
    }

    /// A tensor of `i64`; shape and length must agree.
    pub fn from_i64(shape: &[u32], data: impl Into<Cow<'a, [i64]>>) -> Result<Self, Error> {
        Self::new(Dtype::I64, shape, bytes(data.into()))
    }

    /// A tensor of `u8`; shape and length must agree.
    pub fn from_u8(shape: &[u32], data: impl Into<Cow<'a, [u8]>>) -> Result<Self, Error> {
        Self::new(Dtype::U8, shape, data)
    }

    /// What it is made of.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Elements along each dimension.
    pub fn shape(&self) -> &[u32] {
        &self.shape
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its elements, where they are `f32`; else [`Code::InvalidArgument`].
    pub fn f32s(&self) -> Result<Cow<'_, [f32]>, Error> {
        self.elements(Dtype::F32)
    }

    /// Its elements, where they are `i64`; else [`Code::InvalidArgument`].
    pub fn i64s(&self) -> Result<Cow<'_, [i64]>, Error> {
        self.elements(Dtype::I64)
    }

    fn elements<T: Pod>(&self, dtype: Dtype) -> Result<Cow<'_, [T]>, Error> {
        if self.dtype != dtype {
            let what = format!("a tensor of {:?} was taken for one of {dtype:?}", self.dtype);
            return Err(Error::new(Code::InvalidArgument, "", &what));
        }
        // Bytes of a run begin where an element may; those that a caller brought may begin anywhere.
        let here = bytemuck::try_cast_slice(&self.bytes);
        Ok(here.map_or_else(|_| Cow::Owned(bytemuck::pod_collect_to_vec(&self.bytes)), Cow::Borrowed))
    }
}

fn bytes<T: Pod>(data: Cow<'_, [T]>) -> Cow<'_, [u8]> {
    match data {
        Cow::Borrowed(data) => Cow::Borrowed(bytemuck::cast_slice(data)),
        // The allocation of a `Vec<T>` cannot become that of a `Vec<u8>`.
        Cow::Owned(data) => Cow::Owned(bytemuck::cast_slice(&data).to_vec()),
    }
}

#[cfg(target_family = "wasm")]
mod host {
    use super::Dtype;
    use crate::wasm::bindings::wasi::nn::tensor::TensorType;

    impl From<Dtype> for TensorType {
        fn from(dtype: Dtype) -> Self {
            match dtype {
                Dtype::F16 => Self::Fp16,
                Dtype::F32 => Self::Fp32,
                Dtype::F64 => Self::Fp64,
                Dtype::Bf16 => Self::Bf16,
                Dtype::U8 => Self::U8,
                Dtype::I32 => Self::I32,
                Dtype::I64 => Self::I64,
            }
        }
    }

    impl From<TensorType> for Dtype {
        fn from(of: TensorType) -> Self {
            match of {
                TensorType::Fp16 => Self::F16,
                TensorType::Fp32 => Self::F32,
                TensorType::Fp64 => Self::F64,
                TensorType::Bf16 => Self::Bf16,
                TensorType::U8 => Self::U8,
                TensorType::I32 => Self::I32,
                TensorType::I64 => Self::I64,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_does_not_fit_its_data_is_refused_by_name() {
        let error = Tensor::from_f32(&[2, 3], &[0.0; 5][..]).unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
        assert_eq!(error.to_string(), "invalid argument: a tensor F32 [2, 3] is not made of 20 bytes");
        assert!(Tensor::from_u8(&[u32::MAX, u32::MAX, u32::MAX, 4], &[][..]).is_err());
        assert!(Tensor::from_f32(&[0, 3], &[][..]).is_ok());
    }

    #[test]
    fn elements_come_back_whatever_the_bytes_are_aligned_to() {
        let tensor = Tensor::from_i64(&[2], vec![-1, 1 << 40]).unwrap();
        let odd: Vec<u8> = [&[0], tensor.bytes()].concat();
        let odd = Tensor::new(Dtype::I64, &[2], &odd[1..]).unwrap();
        assert_eq!(odd.i64s().unwrap()[..], [-1, 1 << 40]);
        assert_eq!(odd.f32s().unwrap_err().data, "a tensor of I64 was taken for one of F32");
    }
}
