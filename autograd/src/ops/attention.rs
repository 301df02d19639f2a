//! Ragged multi-head attention; saves its operands, its output and one log-sum-exp a row and head, on a GPU also what
//! was dropped, in bits. The probabilities are computed again in the backward.

use tensor::ops::attention::{self as op, Attention, Relative};

use crate::{Result, Var, record};

/// softmax(q k^T / sqrt(D) + b) v for each sequence and head; q and the result are `[Tq, H]`, k and v `[T, H]`. b is
/// taken from a relative position bias, if any, `[2R + 1, N]`: its row R + j - i for the key j of a query i, the first
/// and the last row also for keys further away.
///
/// # Errors
/// When the shapes do not fit, Tq or T is not that of the batch, H no multiple of the number of heads, or there is a
/// window or a bias but queries and keys have offsets of their own.
pub fn attention(
    settings: Attention,
    q: &Var,
    k: &Var,
    v: &Var,
    bias: Option<&Var>,
) -> Result<Var> {
    let absent = Var::absent();
    let inputs = [q, k, v, bias.unwrap_or(&absent)];
    let backward_follows = inputs.into_iter().any(Var::needs_gradient);
    let relative = bias.map_or(Relative::None, |bias| Relative::Bias(bias.value.clone()));
    let qkv = [&q.value, &k.value, &v.value];
    let (o, left) = op::forward(&settings, qkv, relative.as_ref(), backward_follows)?;
    let (qkv, y) = (qkv.map(Clone::clone), o.clone());
    record("attention", inputs, y, move |d_o, _| {
        let saved = (&o, &left);
        let (grads, d_relative) =
            op::backward(&settings, qkv.each_ref(), relative.as_ref(), saved, d_o)?;
        let dbias = if let Relative::Bias(dbias) = d_relative { Some(dbias) } else { None };
        let [dq, dk, dv] = grads.map(Some);
        Ok([dq, dk, dv, dbias])
    })
}
