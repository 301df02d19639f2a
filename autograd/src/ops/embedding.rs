//! Rows of a table; saves the ids.

use tensor::Tensor;
use tensor::ops::embedding as op;

use crate::{Result, Var, record};

/// Row `ids[t]` of `table` for each t: table `[V, H]`, ids `[T]` (u32) `-> [T, H]`.
///
/// # Errors
/// When an id is not below V, or the shapes do not fit.
pub fn embedding(table: &Var, ids: &Tensor) -> Result<Var> {
    let (y, ids) = (op::forward(&table.value, ids)?, ids.clone());
    let v = table.shape()[0];
    record("embedding", [table], y, move |dy, _| Ok([Some(op::backward(dy, &ids, v)?)]))
}
