//! Rows of a table; saves the ids. The gradient is rows, too.

use tensor::ops::embedding as op;
use tensor::{DType, Tensor};

use crate::tape::record_shares;
use crate::{Gradient, Param, Result, Tape, Var};

/// Row `ids[t]` of `table` for each t: table `[V, H]`, ids `[T]` (u32) `-> [T, H]`.
///
/// # Errors
/// When an id is not below V, or the shapes do not fit.
pub fn embedding(table: &Var, ids: &Tensor) -> Result<Var> {
    let (y, ids) = (op::forward(&table.value, ids)?, ids.clone());
    let v = table.shape()[0];
    record_shares("embedding", [table], y, move |dy, _| {
        Ok([Some(Gradient::Rows(op::backward(dy, &ids, v)?))])
    })
}

/// [`embedding`] added to `x`, `[T, H]`: `x_t + table[ids_t]`.
///
/// # Errors
/// As [`embedding`].
pub fn embedding_add(x: &Var, table: &Var, ids: &Tensor) -> Result<Var> {
    let (y, ids) = (op::add(&x.value, &table.value, ids)?, ids.clone());
    let v = table.shape()[0];
    record_shares("embedding_add", [x, table], y, move |dy, [_, of_table]| {
        let rows = of_table.then(|| op::backward(dy, &ids, v)).transpose()?;
        Ok([Some(Gradient::Dense(dy.clone())), rows.map(Gradient::Rows)])
    })
}

/// [`embedding`] of a parameter on `tape`, of which only the rows `ids` need be up to date.
///
/// # Errors
/// As [`embedding`]; and when updates of one of these rows are deferred, see [`Param::update_rows`].
pub fn lookup(tape: &Tape, table: &Param, ids: &Tensor) -> Result<Var> {
    embedding(&tape.param_as(table, table.value_for(ids)?), ids)
}

/// [`lookup`] added to `x`, `[T, H]`.
///
/// # Errors
/// As [`lookup`].
pub fn lookup_add(tape: &Tape, x: &Var, table: &Param, ids: &Tensor) -> Result<Var> {
    embedding_add(x, &tape.param_as(table, table.value_for(ids)?), ids)
}

impl Var {
    /// Row `rows[m]` of hidden states for each m, in their dtype: `[T, H]`, rows `[M]` (u32) `-> [M, H]`. A row may
    /// occur more than once.
    ///
    /// # Errors
    /// When a row is not below T, or the shapes do not fit.
    pub fn select(&self, rows: &Tensor) -> Result<Var> {
        let dtype = self.value.dtype();
        // To f32 and back changes no bf16, and the gradients of a row that occurs twice are added in f32.
        let wide = if dtype == DType::BF16 { self.to_dtype(DType::F32)? } else { self.clone() };
        embedding(&wide, rows)?.to_dtype(dtype)
    }
}
