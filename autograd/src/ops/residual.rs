//! The sum of the residual stream and an update; saves nothing, the mask of its dropout is made again from its key.

use tensor::Dropout;
use tensor::ops::residual as op;

use crate::{Result, Var, record};

/// s = x + dropout(u), all `[.., H]`: the stream, x and s, is f32, the update u is f32 or bf16. The gradient of x is
/// that of s, without a copy.
///
/// # Errors
/// When the shapes differ or the dtypes do not fit.
pub fn residual(x: &Var, u: &Var, dropout: Option<Dropout>) -> Result<Var> {
    let s = op::forward(&x.value, &u.value, dropout)?;
    let to = u.value.dtype();
    record("residual", [x, u], s, move |ds, [dx, du]| {
        let du = du.then(|| op::backward(ds, to, dropout)).transpose()?;
        Ok([dx.then(|| ds.clone()), du])
    })
}

#[cfg(test)]
mod tests {
    use tensor::philox::{Key, Rng};
    use tensor::{DType, Tensor};

    use super::*;
    use crate::Tape;

    /// An update in bf16 and its conversion, dropout and sum one after the other: the same bits, and a gradient in
    /// bf16.
    #[test]
    fn is_its_parts_one_after_the_other() {
        let [x, u] = [1, 2].map(|seed| Tensor::randn(&[5, 21], &mut Rng::new(seed, 0)));
        let u = u.to_dtype(DType::BF16).unwrap();
        for dropout in [None, Some(Dropout { p: 0.3, key: Key { seed: 7, step: 3, site: 1 } })] {
            let fused = gradients(&x, &u, |x, u| residual(x, u, dropout));
            let parts = gradients(&x, &u, |x, u| {
                let u = u.to_dtype(DType::F32)?;
                x.add(&dropout.map_or_else(|| Ok(u.clone()), |d| u.dropout(d))?)
            });
            assert_eq!(fused[2].dtype(), DType::BF16);
            assert_eq!(
                fused.map(|t| t.to_f64_vec().unwrap()),
                parts.map(|t| t.to_f64_vec().unwrap())
            );
        }
    }

    /// The sum, and the gradients of both operands of the sum of its squares.
    fn gradients(x: &Tensor, u: &Tensor, sum: impl Fn(&Var, &Var) -> Result<Var>) -> [Tensor; 3] {
        let tape = Tape::new();
        let [x, u] = [x, u].map(|t| tape.input(t.clone()));
        let s = sum(&x, &u).unwrap();
        let grads = s.mul(&s).unwrap().sum().unwrap().backward().unwrap();
        let [dx, du] = [&x, &u].map(|v| grads.input(v).unwrap());
        [s.value().clone(), dx.clone(), du.clone()]
    }
}
