//! The fused AdamW update of one parameter; see [`kernels::adamw`].

pub use kernels::adamw::Step;
use kernels::adamw::{self, reference};

use super::{Floats, floats, same_shape, wide};
use crate::{DType, Result, Tensor};

const OP: &str = "adamw";

/// Updates the parameter `w` and the moments `m` and `v` in place from the gradient `g`; all have the same
/// shape and dtype.
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn update(
    step: Step,
    w: &mut Tensor,
    g: &Tensor,
    moments: (&mut Tensor, &mut Tensor),
) -> Result<()> {
    let (m, v) = moments;
    same_shape(OP, w, g)?;
    same_shape(OP, w, m)?;
    same_shape(OP, w, v)?;
    if w.dtype() == DType::F64 {
        return update_wide(step, w, g, (m, v));
    }
    let g = g.contiguous();
    adamw::update(step, w.make_mut()?, g.as_slice()?, m.make_mut()?, v.make_mut()?);
    Ok(())
}

fn update_wide(
    step: Step,
    w: &mut Tensor,
    g: &Tensor,
    (m, v): (&mut Tensor, &mut Tensor),
) -> Result<()> {
    let g = g.contiguous();
    let Floats::F64([g]) = floats(OP, [&g])? else {
        return Err(crate::Error::DType { op: OP, expected: "f64", got: g.dtype() });
    };
    let mut values = [w.to_f64_vec(), m.to_f64_vec(), v.to_f64_vec()];
    let [ws, ms, vs] = &mut values;
    reference::update(step, ws, g, ms, vs);
    let shape = w.shape().to_vec();
    [*w, *m, *v] = values.map(|x| wide(x, &shape));
    Ok(())
}
