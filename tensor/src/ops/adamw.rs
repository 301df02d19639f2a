//! The fused AdamW update of one parameter; see [`kernels::adamw`].

use kernels::adamw::{self, Table, reference};
pub use kernels::adamw::{Lazy, Step};

use super::{Floats, floats, same_shape, wide};
use crate::{DType, Error, Result, Rows, Tensor};

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
    let g = g.contiguous()?;
    adamw::update(step, w.make_mut()?, g.as_slice()?, m.make_mut()?, v.make_mut()?);
    Ok(())
}

/// For deferred updates of the table `w` with these moments, `None` for zeros; nothing if `w` is no table of f32.
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn lazy(w: &Tensor, moments: Option<(&Tensor, &Tensor)>) -> Result<Option<Lazy>> {
    let (&[rows, _], DType::F32) = (w.shape(), w.dtype()) else { return Ok(None) };
    let Some((m, v)) = moments else { return Ok(Some(Lazy::new(rows))) };
    same_shape(OP, w, m)?;
    same_shape(OP, w, v)?;
    let (m, v) = (m.contiguous()?, v.contiguous()?);
    Ok(Some(Lazy::with_moments(rows, m.as_slice()?, v.as_slice()?)))
}

/// Updates the rows of `g` now and the others of the table `w` when they catch up; see [`Lazy`].
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn update_rows(
    (lazy, step): (&mut Lazy, Step),
    w: &mut Tensor,
    g: &Rows,
    moments: (&mut Tensor, &mut Tensor),
) -> Result<()> {
    if w.shape() != g.shape() {
        let (left, right) = (w.shape().to_vec(), g.shape().to_vec());
        return Err(Error::Shapes { op: OP, left, right });
    }
    let values = g.values().contiguous()?;
    lazy.update(step, g.ids(), values.as_slice()?, table(w, moments)?);
    Ok(())
}

/// Brings rows of the table `w` up to date: `ids`, in any order, or all, after which nothing is pending.
///
/// # Errors
/// When the shapes or dtypes differ or an id is not below V.
pub fn catch_up(
    lazy: &mut Lazy,
    ids: Option<&[u32]>,
    w: &mut Tensor,
    moments: (&mut Tensor, &mut Tensor),
) -> Result<()> {
    let limit = w.shape()[0];
    let too_large = |id: &u32| *id as usize >= limit;
    if let Some(position) = ids.and_then(|ids| ids.iter().position(too_large)) {
        let index = u64::from(ids.unwrap_or_default()[position]);
        return Err(Error::Index { op: OP, index, position, limit });
    }
    let table = table(w, moments)?;
    match ids {
        Some(ids) => lazy.catch_up(ids, table),
        None => lazy.flush(table),
    }
    Ok(())
}

fn table<'a>(w: &'a mut Tensor, (m, v): (&'a mut Tensor, &'a mut Tensor)) -> Result<Table<'a>> {
    same_shape(OP, w, m)?;
    same_shape(OP, w, v)?;
    Ok(Table { w: w.make_mut()?, m: m.make_mut()?, v: v.make_mut()? })
}

fn update_wide(
    step: Step,
    w: &mut Tensor,
    g: &Tensor,
    (m, v): (&mut Tensor, &mut Tensor),
) -> Result<()> {
    let g = g.contiguous()?;
    let Floats::F64([g]) = floats(OP, [&g])? else {
        return Err(Error::DType { op: OP, expected: "f64", got: g.dtype() });
    };
    let mut values = [w.to_f64_vec()?, m.to_f64_vec()?, v.to_f64_vec()?];
    let [ws, ms, vs] = &mut values;
    reference::update(step, ws, g, ms, vs);
    let shape = w.shape().to_vec();
    [*w, *m, *v] = values.map(|x| wide(x, &shape));
    Ok(())
}

// STUB
/// stub
pub struct Update<'a> {
    /// x
    pub step: Step,
    /// x
    pub w: &'a mut Tensor,
    /// x
    pub g: &'a Tensor,
    /// x
    pub m: &'a mut Tensor,
    /// x
    pub v: &'a mut Tensor,
}
/// stub
pub struct Clip<'a> {
    /// x
    pub norm: &'a Tensor,
    /// x
    pub max_norm: f64,
}
/// stub
pub fn norm(_: &[&Tensor]) -> Result<Tensor> {
    todo!()
}
/// stub
pub fn update_all(_: &mut [Update], _: Option<Clip>) -> Result<()> {
    todo!()
}
