//! Rows of a table by index; see [`kernels::embedding`].

use kernels::embedding::{self, reference};

use super::{Floats, expect_shape, floats, indices, matrix, wide};
use crate::{Result, Tensor};

const OP: &str = "embedding";

/// Row `ids[t]` of `table` for each t: table `[V, H]`, ids `[T]` (u32) `-> [T, H]`.
///
/// # Errors
/// When an id is not below V (the message says which), the table is no matrix, or the ids are not u32.
pub fn forward(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    let ((v, h), table, ids) = (matrix(OP, table)?, table.contiguous(), ids.contiguous());
    let rows = indices(OP, &ids, v)?;
    let shape = [rows.len(), h];
    Ok(match floats(OP, [&table])? {
        Floats::F32([w]) => Tensor::build(&shape, |y| embedding::forward(w, rows, h, y)),
        Floats::F64([w]) => wide(reference::forward(w, rows, h), &shape),
    })
}

/// The gradient of the table, `[V, H]`: rows of `dy` (`[T, H]`) added up by id.
///
/// # Errors
/// When the shapes do not fit or an id is not below V.
pub fn backward(dy: &Tensor, ids: &Tensor, v: usize) -> Result<Tensor> {
    let ((_, h), dy, ids) = (matrix(OP, dy)?, dy.contiguous(), ids.contiguous());
    let rows = indices(OP, &ids, v)?;
    expect_shape(OP, &dy, &[rows.len(), h])?;
    Ok(match floats(OP, [&dy])? {
        Floats::F32([d]) => {
            let mut dtable = Tensor::zeros(&[v, h]);
            embedding::backward(d, rows, h, dtable.make_mut()?);
            dtable
        }
        Floats::F64([d]) => wide(reference::backward(d, rows, h, v), &[v, h]),
    })
}
