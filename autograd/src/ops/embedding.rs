//! Rows of a table; saves the ids. The gradient is rows, too.

use tensor::Tensor;
use tensor::ops::embedding as op;

use crate::tape::record_gradients;
use crate::{Gradient, Param, Result, Tape, Var};

/// Row `ids[t]` of `table` for each t: table `[V, H]`, ids `[T]` (u32) `-> [T, H]`.
///
/// # Errors
/// When an id is not below V, or the shapes do not fit.
pub fn embedding(table: &Var, ids: &Tensor) -> Result<Var> {
    let (y, ids) = (op::forward(&table.value, ids)?, ids.clone());
    let v = table.shape()[0];
    record_gradients("embedding", [table], y, move |dy, _| {
        Ok([Some(Gradient::Rows(op::backward(dy, &ids, v)?))])
    })
}

/// [`embedding`] of a parameter on `tape`, of which only the rows `ids` need be up to date.
///
/// # Errors
/// As [`embedding`]; and when updates of one of these rows are deferred, see [`Param::update_rows`].
pub fn lookup(tape: &Tape, table: &Param, ids: &Tensor) -> Result<Var> {
    embedding(&tape.param_as(table, table.value_for(ids)?), ids)
}
