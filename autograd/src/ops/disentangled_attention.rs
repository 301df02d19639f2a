//! Attention in which queries and keys also meet a vector for their distance, each another one. It saves what attention
//! saves, and the vectors; the products with them, `[N, T, 2R + 1]` each, are made again in the backward: c,
//! content-to-position (c2p) in the words of the paper, and g, position-to-content (p2c).
//!
//! ```text
//! c = q a^T, g = k b^T                       of each head: [T, D] [2R + 1, D]^T
//! dq += dc a    da = dc^T q                  dk += dg b    db = dg^T k
//! ```

use tensor::ops::attention::{self, Attention, Relative};
use tensor::ops::elementwise::add_assign;
use tensor::ops::matmul;
use tensor::{Error, Tensor};

use crate::{Result, Var, record};

/// softmax(s / sqrt(3 D)) v with `s_ij = q_i . k_j + q_i . a_r + k_j . b_r` for each sequence and head; q, k, v and the
/// result are `[T, H]`. Row r = R + j - i of the vectors a and b (`[2R + 1, H]`, f32 also where the rest is bf16) belongs
/// to the distance of key j and query i.
///
/// # Errors
/// When the shapes do not fit, T is not that of the batch, H no multiple of the number of heads, a sequence is longer
/// than R + 1, or queries and keys have offsets of their own.
///
/// Source: He et al., 2020, *DeBERTa*, <https://arxiv.org/abs/2006.03654>, section 3.1.
pub fn disentangled_attention(
    settings: Attention,
    [q, k, v]: [&Var; 3],
    vectors: [&Var; 2],
) -> Result<Var> {
    let inputs = [q, k, v, vectors[0], vectors[1]];
    let backward_follows = inputs.into_iter().any(Var::needs_gradient);
    let (qkv, vectors) = ([q, k, v].map(|x| x.value.clone()), vectors.map(|x| x.value.clone()));
    let products = products(&qkv, &vectors, settings.heads)?;
    let (y, left) =
        attention::forward(&settings, qkv.each_ref(), products.as_ref(), backward_follows)?;
    drop(products);
    let o = y.clone();
    record("disentangled_attention", inputs, y, move |d_o, wanted| {
        let products = self::products(&qkv, &vectors, settings.heads)?;
        let saved = (&o, &left);
        let ([mut dq, mut dk, dv], d_products) =
            attention::backward(&settings, qkv.each_ref(), products.as_ref(), saved, d_o)?;
        drop(products);
        let mut d_vectors = [None, None];
        if let Relative::Products([dc, dg]) = d_products {
            let heads = settings.heads;
            d_vectors = [
                backward_of_product(dc, [&qkv[0], &vectors[0]], (&mut dq, wanted[3]), heads)?,
                backward_of_product(dg, [&qkv[1], &vectors[1]], (&mut dk, wanted[4]), heads)?,
            ];
        }
        let [da, db] = d_vectors;
        Ok([Some(dq), Some(dk), Some(dv), da, db])
    })
}

/// c and g.
fn products(
    [q, k, _]: &[Tensor; 3],
    [a, b]: &[Tensor; 2],
    heads: usize,
) -> Result<Relative<Tensor>> {
    let product = |x: &Tensor, vectors: &Tensor| -> Result<Tensor> {
        let x = by_head(&x.to_dtype(vectors.dtype())?, heads)?;
        Ok(matmul::forward(&x, &by_head(vectors, heads)?.t()?)?)
    };
    Ok(Relative::Products([product(q, a)?, product(k, b)?]))
}

/// Adds what a product `x vectors^T` gives to the gradient of x, and returns that of the vectors, if it is wanted.
fn backward_of_product(
    dy: Tensor,
    [x, vectors]: [&Tensor; 2],
    (dx, wanted): (&mut Tensor, bool),
    heads: usize,
) -> Result<Option<Tensor>> {
    let mut sum = side_by_side(&matmul::forward(&dy, &by_head(vectors, heads)?)?)?;
    add_assign(&mut sum, &dx.to_dtype(vectors.dtype())?)?;
    *dx = sum.to_dtype(dx.dtype())?;
    if !wanted {
        return Ok(None);
    }
    let x = by_head(&x.to_dtype(vectors.dtype())?, heads)?;
    Ok(Some(side_by_side(&matmul::forward(&dy.t()?, &x)?)?))
}

/// A view `[N, rows, D]` of `[rows, N*D]`.
fn by_head(x: &Tensor, heads: usize) -> Result<Tensor> {
    let &[rows, h] = x.shape() else {
        let (op, expected) = ("disentangled_attention", "matrices".to_owned());
        return Err(Error::Shape { op, expected, got: x.shape().to_vec() }.into());
    };
    let head_dim = h.checked_div(heads).unwrap_or(0);
    Ok(x.reshape(&[rows, heads, head_dim])?.transpose(0, 1)?)
}

/// `[rows, N*D]` from `[N, rows, D]`.
fn side_by_side(x: &Tensor) -> Result<Tensor> {
    let &[heads, rows, d] = x.shape() else { unreachable!("made by head") };
    Ok(x.transpose(0, 1)?.contiguous()?.reshape(&[rows, heads * d])?)
}
