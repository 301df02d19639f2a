//! Rows of a table by index; see [`kernels::embedding`].

use kernels::elementwise::Binary;
use kernels::embedding::{self, reference};

use super::elementwise;
use super::{Floats, expect_shape, floats, indices, last_axis, matrix, wide};
use crate::{Result, Rows, Tensor};

const OP: &str = "embedding";

/// Row `ids[t]` of `table` for each t: table `[V, H]`, ids `[T]` (u32) `-> [T, H]`.
///
/// # Errors
/// When an id is not below V (the message says which), the table is no matrix or has no columns, or the ids are not
/// u32.
pub fn forward(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    let ((v, h), table, ids) = (sizes(table)?, table.contiguous()?, ids.contiguous()?);
    let rows = indices(OP, &ids, v)?;
    let shape = [rows.len(), h];
    Ok(match floats(OP, [&table])? {
        Floats::Cuda([w]) => Tensor::from_array(embedding::cuda::forward(w, rows, h)?, &shape),
        Floats::F32([w]) => Tensor::build(&shape, |y| embedding::forward(w, rows, h, y)),
        Floats::F64([w]) => wide(reference::forward(w, rows, h), &shape),
    })
}

/// [`forward`] added to `x`, `[T, H]`: `x_t + table[ids_t]`.
///
/// # Errors
/// As [`forward`]; and when the shape of x does not fit.
pub fn add(x: &Tensor, table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    let ((v, h), x, table) = (sizes(table)?, x.contiguous()?, table.contiguous()?);
    let ids = ids.contiguous()?;
    let rows = indices(OP, &ids, v)?;
    expect_shape(OP, &x, &[rows.len(), h])?;
    Ok(match floats(OP, [&x, &table])? {
        Floats::Cuda([x, w]) => {
            Tensor::from_array(embedding::cuda::add(x, w, rows, h)?, &[rows.len(), h])
        }
        _ => elementwise::binary(Binary::Add, &x, &forward(&table, &ids)?)?,
    })
}

/// The gradient of a table `[V, H]`: rows of `dy` (`[T, H]`) added up by id. Only rows of an id are stored.
///
/// # Errors
/// When the shapes do not fit, there are no columns, or an id is not below V.
pub fn backward(dy: &Tensor, ids: &Tensor, v: usize) -> Result<Rows> {
    let ((_, h), ids) = (sizes(dy)?, ids.contiguous()?);
    let tokens = indices(OP, &ids, v)?;
    expect_shape(OP, dy, &[tokens.len(), h])?;
    let (ids, places) = embedding::distinct(tokens, v);
    let values = scatter(dy, &places, ids.len())?;
    Ok(Rows::new(ids, values, [v, h]))
}

/// Each row of `dy` (`[T, H]`) added to row `ids[t]` of zeros `[V, H]`.
pub(crate) fn scatter(dy: &Tensor, ids: &[u32], v: usize) -> Result<Tensor> {
    let ((_, h), dy) = (sizes(dy)?, dy.contiguous()?);
    Ok(match floats(OP, [&dy])? {
        Floats::Cuda([d]) => Tensor::from_array(embedding::cuda::scatter(d, ids, h, v)?, &[v, h]),
        Floats::F32([d]) => {
            let mut table = Tensor::zeros(&[v, h]);
            embedding::backward(d, ids, h, table.make_mut()?);
            table
        }
        Floats::F64([d]) => wide(reference::backward(d, ids, h, v), &[v, h]),
    })
}

/// The rows and columns of a table, which has columns.
fn sizes(table: &Tensor) -> Result<(usize, usize)> {
    let (v, _) = matrix(OP, table)?;
    Ok((v, last_axis(OP, table)?))
}
