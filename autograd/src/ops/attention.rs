//! Ragged multi-head attention; saves its operands, its output and one log-sum-exp a row and head, on a GPU also what
//! was dropped, in bits. The probabilities are computed again in the backward.

use tensor::ops::attention::{self as op, Attention};

use crate::{Result, Var, record};

/// softmax(q k^T / sqrt(D)) v for each sequence and head; q and the result are `[Tq, H]`, k and v `[T, H]`.
///
/// # Errors
/// When the shapes do not fit, Tq or T is not that of the batch, H no multiple of the number of heads, or there is a
/// window but queries and keys have offsets of their own.
pub fn attention(settings: Attention, q: &Var, k: &Var, v: &Var) -> Result<Var> {
    let backward_follows = [q, k, v].into_iter().any(Var::needs_gradient);
    let (o, left) = op::forward(&settings, [&q.value, &k.value, &v.value], backward_follows)?;
    let saved = [&q.value, &k.value, &v.value, &o].map(Clone::clone);
    record("attention", [q, k, v], o, move |d_o, _| {
        let [q, k, v, o] = &saved;
        Ok(op::backward(&settings, [q, k, v], (o, &left), d_o)?.map(Some))
    })
}
