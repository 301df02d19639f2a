//! LayerNorm; saves its input and two numbers a row.

use tensor::ops::layer_norm::{self as op, LayerNorm};

use crate::{Result, Var, record};

/// y = (x - mean) / sqrt(var + eps) w + b along the last axis: x `[.., H]`, w and b `[H]`; without b it is zeros.
///
/// # Errors
/// When the shapes do not fit, or y cannot have the dtype asked for.
pub fn layer_norm(settings: LayerNorm, x: &Var, w: &Var, b: Option<&Var>) -> Result<Var> {
    let out = op::forward(settings, &x.value, &w.value, b.map(|b| &b.value))?;
    let op::Output { y, mean, rstd } = out;
    let (x_value, w_value) = (x.value.clone(), w.value.clone());
    let absent = Var::absent();
    record("layer_norm", [x, w, b.unwrap_or(&absent)], y, move |dy, [dx, dw, db]| {
        let saved = (&mean, &rstd);
        let grads = op::backward(&x_value, &w_value, saved, dy, settings.eps, (dx, dw || db))?;
        let (dw, db) = grads.dw_db.unzip();
        Ok([grads.dx, dw, db])
    })
}
