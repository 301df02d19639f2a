//! Queries and keys turned by their places, out of a packed product; see [`kernels::rotary`].

use kernels::rotary::{self, Rotary, cuda, reference};

use super::{Hidden, dense, expect_shape, hidden, wide};
use crate::dtype::HiddenElement;
use crate::pool::Buffer;
use crate::{CuSeqLens, Error, Result, RotaryTable, Tensor};

const OP: &str = "rotary";

/// q and k, turned, and v, `[T, N D]` each, from qkv `[T, 3 N D]`: queries of all N heads, then keys, then values.
///
/// # Errors
/// When the shape does not fit the batch and N heads of the table's size, or the dtype is not f32, bf16 or f64.
pub fn split(
    table: &RotaryTable,
    heads: usize,
    batch: &CuSeqLens,
    qkv: &Tensor,
) -> Result<[Tensor; 3]> {
    let (shape, head_dim) = (shape_of_part(table, heads, batch)?, table.head_dim());
    expect_shape(OP, qkv, &[shape[0], 3 * shape[1]])?;
    let (qkv, made) = (qkv.contiguous()?, table.for_batch(batch));
    let rotary = Rotary { table: made.rows(), cu_seqlens: batch.offsets(), heads, head_dim };
    Ok(match hidden(OP, [&qkv])? {
        Hidden::Cuda([x]) => {
            let (table, places) = (made.on_gpu(x.device())?, batch.places_on_gpu(x.device())?);
            let (table, places) = (table.slice(), &*places);
            let rotary = cuda::Rotary { table, places, heads, head_dim };
            cuda::split(rotary, x)?.map(|part| Tensor::from_array(part, &shape))
        }
        Hidden::F32([x]) => run_split(rotary, x, &shape),
        Hidden::BF16([x]) => run_split(rotary, x, &shape),
        Hidden::F64([x]) => {
            let parts = reference::split(table.theta(), batch.offsets(), [heads, head_dim], x);
            parts.map(|part| wide(part, &shape))
        }
    })
}

fn run_split<E: HiddenElement>(rotary: Rotary, qkv: &[E], shape: &[usize]) -> [Tensor; 3] {
    let mut parts = [(); 3].map(|()| Buffer::uninit(qkv.len() / 3));
    let [q, k, v] = &mut parts;
    rotary::split(rotary, qkv, [q, k, v]);
    parts.map(|part| Tensor::from_buffer(part, shape))
}

/// The gradient of qkv, `[T, 3 N D]`, from those of q, k and v, `[T, N D]` each.
///
/// # Errors
/// As [`split`]; and when the dtypes differ.
pub fn join(
    table: &RotaryTable,
    heads: usize,
    batch: &CuSeqLens,
    parts: [&Tensor; 3],
) -> Result<Tensor> {
    let ([tokens, h], head_dim) = (shape_of_part(table, heads, batch)?, table.head_dim());
    parts.iter().try_for_each(|part| expect_shape(OP, part, &[tokens, h]))?;
    let (parts, shape, made) = (dense(parts)?, [tokens, 3 * h], table.for_batch(batch));
    let rotary = Rotary { table: made.rows(), cu_seqlens: batch.offsets(), heads, head_dim };
    Ok(match hidden(OP, parts.each_ref())? {
        Hidden::Cuda(parts) => {
            let gpu = parts[0].device();
            let (table, places) = (made.on_gpu(gpu)?, batch.places_on_gpu(gpu)?);
            let (table, places) = (table.slice(), &*places);
            let rotary = cuda::Rotary { table, places, heads, head_dim };
            Tensor::from_array(cuda::join(rotary, parts)?, &shape)
        }
        Hidden::F32(parts) => Tensor::build(&shape, |dqkv| rotary::join(rotary, parts, dqkv)),
        Hidden::BF16(parts) => Tensor::build(&shape, |dqkv| rotary::join(rotary, parts, dqkv)),
        Hidden::F64(parts) => {
            let (theta, offsets) = (table.theta(), batch.offsets());
            wide(reference::join(theta, offsets, [heads, head_dim], parts), &shape)
        }
    })
}

/// That of q: `[T, N D]`.
fn shape_of_part(table: &RotaryTable, heads: usize, batch: &CuSeqLens) -> Result<[usize; 2]> {
    let shape = [batch.total(), heads * table.head_dim()];
    match heads {
        0 => Err(Error::Shape { op: OP, expected: "[.., heads > 0]".into(), got: shape.into() }),
        _ => Ok(shape),
    }
}
