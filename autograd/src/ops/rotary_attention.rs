//! Attention of queries and keys that are turned by their places, out of a packed product: split, turned and attended
//! in one entry of the tape. It keeps what attention keeps, the turned q and k, v and the output; the packed product
//! is not kept.

use tensor::ops::attention::{self, Attention, Relative};
use tensor::ops::rotary;
use tensor::{Error, RotaryTable};

use crate::{Result, Var, record};

/// softmax(q k^T / sqrt(D)) v for each sequence and head, q and k turned by the table:
/// qkv `[T, 3 H]` (queries of all heads, then keys, then values) `-> [T, H]`.
///
/// # Errors
/// When the shape does not fit the batch or H is not that of the heads; when not all tokens ask.
pub fn rotary_attention(settings: Attention, table: &RotaryTable, qkv: &Var) -> Result<Var> {
    if settings.queries != settings.keys {
        let message = "rotary_attention: expected queries of all tokens, as there are keys";
        return Err(Error::CuSeqLens(message.to_owned()).into());
    }
    let [q, k, v] = rotary::split(table, settings.heads, &settings.keys, &qkv.value)?;
    let (y, left) =
        attention::forward(&settings, [&q, &k, &v], Relative::None, qkv.needs_gradient())?;
    let (o, table) = (y.clone(), table.clone());
    record("rotary_attention", [qkv], y, move |d_o, _| {
        let (grads, _) =
            attention::backward(&settings, [&q, &k, &v], Relative::None, (&o, &left), d_o)?;
        drop((q, k, v, o, left));
        let dqkv = rotary::join(&table, settings.heads, &settings.keys, grads.each_ref())?;
        Ok([Some(dqkv)])
    })
}

#[cfg(test)]
mod tests {
    use tensor::{CuSeqLens, Tensor};

    use super::*;

    #[test]
    fn fewer_queries_than_keys_are_refused() {
        let [queries, keys] = [[1, 1], [2, 3]].map(|lens| CuSeqLens::from_lens(&lens).unwrap());
        let settings = Attention { queries, ..Attention::of_all(&keys, 2, None) };
        let (table, qkv) = (RotaryTable::new(4, 1e4).unwrap(), Tensor::zeros(&[5, 24]));
        let error = rotary_attention(settings, &table, &Var::constant(qkv)).unwrap_err();
        assert!(error.to_string().contains("queries of all tokens"), "{error}");
    }
}
