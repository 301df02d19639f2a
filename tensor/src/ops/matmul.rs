//! Matrix product, batched and strided; see [`kernels::matmul`].
//!
//! ```text
//! forward    Y = A B              [.., M, K] [.., K, N] -> [.., M, N]
//! backward   dA = dY B^T          dB = A^T dY
//! ```
//!
//! The leading axes are broadcast. Transposed views are multiplied where they lie, without a copy.

use kernels::matmul::{MatRef, Store, cuda, gemm_batched, reference};

use super::{Floats, floats, on_gpu};
use crate::shape::{Layout, broadcast_shapes, count};
use crate::storage::Storage;
use crate::{DType, Element, Error, Result, Tensor};

const OP: &str = "matmul";

/// Y = A B; both have at least two axes, leading axes are broadcast.
///
/// # Errors
/// When the inner lengths differ, the leading axes do not fit, or the dtypes differ.
pub fn forward(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a, b) = (dense_rows(a)?, dense_rows(b)?);
    let shape = output_shape(&a, &b)?;
    if a.dtype() == DType::F64 {
        return forward_wide(&a, &b, &shape);
    }
    let lead = &shape[..shape.len() - 2];
    if on_gpu(OP, [&a, &b])? {
        return forward_on_gpu(&a, &b, &shape);
    }
    let (a, b) = (Batches::new(&a, lead)?, Batches::new(&b, lead)?);
    Ok(Tensor::build(&shape, |y| {
        gemm_batched(count(lead), |i| (a.matrix(i), b.matrix(i)), y, Store::default());
    }))
}

/// dA and dB, each in the shape of its operand and only if wanted.
///
/// # Errors
/// When the shapes do not fit.
pub fn backward(
    a: &Tensor,
    b: &Tensor,
    dy: &Tensor,
    wanted: [bool; 2],
) -> Result<[Option<Tensor>; 2]> {
    let da = wanted[0].then(|| super::reduce::sum_to(&forward(dy, &b.t()?)?, a.shape()));
    let db = wanted[1].then(|| super::reduce::sum_to(&forward(&a.t()?, dy)?, b.shape()));
    Ok([da.transpose()?, db.transpose()?])
}

/// `t` itself when one of its last two axes has stride 1, as the kernel's packing likes it, else a copy.
fn dense_rows(t: &Tensor) -> Result<Tensor> {
    let dense = t.strides().iter().rev().take(2).any(|&s| s == 1);
    if dense { Ok(t.clone()) } else { t.contiguous() }
}

fn output_shape(a: &Tensor, b: &Tensor) -> Result<Vec<usize>> {
    let misfit = || Error::Shapes { op: OP, left: a.shape().to_vec(), right: b.shape().to_vec() };
    let (Some((lead_a, &[m, k])), Some((lead_b, &[k_b, n]))) =
        (a.shape().split_last_chunk::<2>(), b.shape().split_last_chunk::<2>())
    else {
        return Err(misfit());
    };
    if k != k_b {
        return Err(misfit());
    }
    let mut shape = broadcast_shapes(OP, lead_a, lead_b).map_err(|_| misfit())?;
    shape.extend([m, n]);
    Ok(shape)
}

/// Where the operands lie, which may be anywhere in their arrays.
fn forward_on_gpu(a: &Tensor, b: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let (lead, &[m, n]) = shape.split_last_chunk::<2>().expect("made by output_shape");
    let sizes = [m, n, a.shape()[a.rank() - 1]];
    let layouts = [(a, [m, sizes[2]]), (b, [sizes[2], n])]
        .map(|(t, matrix)| t.layout.broadcast_to(&[lead, &matrix].concat()));
    let [a_layout, b_layout] = layouts;
    let (a_layout, b_layout) = (a_layout?, b_layout?);
    let (a, b) = (operand(a, &a_layout)?, operand(b, &b_layout)?);
    Ok(Tensor::from_array(cuda::batched(a, b, lead, sizes)?, shape))
}

/// A tensor under a layout of its storage, the last two axes a matrix.
fn operand<'a>(t: &'a Tensor, layout: &'a Layout) -> Result<cuda::Operand<'a>> {
    let Storage::Cuda(array) = &t.storage else { unreachable!("the caller checked the device") };
    if t.dtype() != DType::F32 {
        return Err(Error::DType { op: OP, expected: "f32", got: t.dtype() });
    }
    let (lead, &strides) = layout.strides.split_last_chunk::<2>().expect("two axes at least");
    let start = layout.offset.min(array.len());
    let values = array.slice().narrow(start, array.len() - start);
    Ok(cuda::Operand { values, strides, lead })
}

/// The matrices of a batched operand, repeated along broadcast leading axes.
struct Batches<'a> {
    values: &'a [f32],
    /// The start of each matrix in `values`.
    starts: Vec<usize>,
    sizes: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Batches<'a> {
    fn new(t: &'a Tensor, lead: &[usize]) -> Result<Self> {
        let values = f32::unwrap(&t.storage);
        let values = values.ok_or(Error::DType { op: OP, expected: "f32", got: t.dtype() })?;
        let (_, &sizes) = t.shape().split_last_chunk::<2>().expect("checked by output_shape");
        let (_, &strides) = t.strides().split_last_chunk::<2>().expect("checked by output_shape");
        let full = [lead, &sizes].concat();
        let layout = t.layout.broadcast_to(&full)?;
        let starts = starts(lead, &layout.strides[..lead.len()], layout.offset);
        Ok(Self { values, starts, sizes, strides })
    }

    fn matrix(&self, i: usize) -> MatRef<'a> {
        let ([rows, cols], [row_stride, col_stride]) = (self.sizes, self.strides);
        // A matrix without elements may begin beyond the storage.
        let start = self.starts[i].min(self.values.len());
        MatRef::strided(&self.values[start..], rows, cols, row_stride, col_stride)
    }
}

/// The offset of every index of the leading axes, in row-major order.
fn starts(lead: &[usize], strides: &[usize], offset: usize) -> Vec<usize> {
    let mut starts = Vec::with_capacity(count(lead));
    starts.push(offset);
    for (&n, &stride) in lead.iter().zip(strides) {
        starts = starts.iter().flat_map(|s| (0..n).map(move |i| s + i * stride)).collect();
    }
    starts
}

fn forward_wide(a: &Tensor, b: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let (lead, &[m, n]) = shape.split_last_chunk::<2>().expect("made by output_shape");
    let k = a.shape()[a.rank() - 1];
    let whole = |t: &Tensor, rows, cols| {
        t.broadcast_to(&[lead, &[rows, cols]].concat()).and_then(|t| t.contiguous())
    };
    let (a, b) = (whole(a, m, k)?, whole(b, k, n)?);
    let Floats::F64([a, b]) = floats(OP, [&a, &b])? else { unreachable!("the caller checked a") };
    let mut y = Vec::with_capacity(count(shape));
    for i in 0..count(lead) {
        y.extend(reference::product(&a[i * m * k..][..m * k], &b[i * k * n..][..k * n], m, n));
    }
    Ok(super::wide(y, shape))
}
