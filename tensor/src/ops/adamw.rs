//! The fused AdamW update of one parameter, or of all; see [`kernels::adamw`].

use kernels::adamw::{self, Table, cuda, reference};
pub use kernels::adamw::{Lazy, Step};

use super::{Floats, floats, on_gpu, reduce, same_shape, wide, wide_scalar};
use crate::{DType, Device, Error, Result, Rows, Tensor};

const OP: &str = "adamw";

/// A parameter with what updates it; all four tensors have the same shape and dtype.
#[derive(Debug)]
pub struct Update<'a> {
    /// The numbers of the update.
    pub step: Step,
    /// The parameter.
    pub w: &'a mut Tensor,
    /// Its gradient.
    pub g: &'a Tensor,
    /// The first moment.
    pub m: &'a mut Tensor,
    /// The second moment.
    pub v: &'a mut Tensor,
}

/// Clipping by the norm of all gradients: they are multiplied by [`clip_factor`], in place of the `grad_scale` of each
/// [`Step`].
#[derive(Clone, Copy, Debug)]
pub struct Clip<'a> {
    /// What [`norm`] returned; on a GPU it is read there.
    pub norm: &'a Tensor,
    /// What the norm is brought down to if it is greater.
    pub max_norm: f64,
}

/// Updates the parameter `w` and the moments `m` and `v` in place from the gradient `g`; all have the same
/// shape and dtype.
///
/// # Errors
/// When the shapes, dtypes or devices differ.
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
    if on_gpu(OP, [w, g, m, v])? {
        return update_on_gpu(&mut [Update { step, w, g, m, v }], None);
    }
    if w.dtype() == DType::F64 {
        return update_wide(step, w, g, (m, v));
    }
    let g = g.contiguous()?;
    adamw::update(step, w.make_mut()?, g.as_slice()?, m.make_mut()?, v.make_mut()?);
    Ok(())
}

/// Updates all parameters of a step: one launch on a GPU, one after the other on the host.
///
/// # Errors
/// When the shapes, dtypes or devices differ.
pub fn update_all(updates: &mut [Update], clip: Option<Clip>) -> Result<()> {
    let Some(first) = updates.first() else { return Ok(()) };
    if on_gpu(OP, [first.w])? {
        return update_on_gpu(updates, clip);
    }
    let factor = |clip: Clip| Ok::<_, Error>(clip_factor(clip.norm.item()?, clip.max_norm));
    let factor = clip.map(factor).transpose()?;
    for Update { step, w, g, m, v } in updates {
        let grad_scale = factor.unwrap_or(step.grad_scale);
        update(Step { grad_scale, ..*step }, w, g, (m, v))?;
    }
    Ok(())
}

/// What brings `norm` down to `max_norm`, 1 if it is smaller; NaN if `norm` is. 1e-6 is PyTorch's, against division by
/// zero.
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    let factor = max_norm / (norm + 1e-6);
    if factor >= 1.0 { 1.0 } else { factor }
}

/// The [`clip_factor`] of a norm on a GPU, a scalar there: the host does not wait for the norm.
///
/// # Errors
/// When the norm is not on a GPU, or that is full.
pub fn clip_scalar(Clip { norm, max_norm }: Clip) -> Result<Tensor> {
    let norm = norm.reshape(&[])?;
    let factor = cuda::clip_factor(cuda::Clip { norm: norm.as_array(OP)?, max_norm })?;
    Ok(Tensor::from_array(factor, &[]))
}

/// The Euclidean norm of all gradients together, a scalar where they are: f32 on a GPU, f64 on the host; 0 of none.
///
/// # Errors
/// When a gradient is neither f32 nor f64, or they are on several devices.
pub fn norm(grads: &[&Tensor]) -> Result<Tensor> {
    let on_gpu = grads.first().map_or(Ok(false), |g| on_gpu(OP, [g]))?;
    if !on_gpu {
        let squares = grads.iter().map(|g| reduce::sum_squares(g));
        return Ok(wide_scalar(squares.sum::<Result<f64>>()?.sqrt()));
    }
    let grads = grads.iter().map(|g| g.contiguous()).collect::<Result<Vec<_>>>()?;
    let device = grads[0].device();
    grads.iter().try_for_each(|g| expect_f32(&device, g))?;
    let grads = grads.iter().map(|g| g.as_array(OP)).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::from_array(adamw::cuda::norm(&grads)?, &[]))
}

fn update_on_gpu(updates: &mut [Update], clip: Option<Clip>) -> Result<()> {
    let device = updates[0].w.device();
    let mut grads = Vec::with_capacity(updates.len());
    for Update { w, g, m, v, .. } in updates.iter() {
        expect_f32(&device, w)?;
        for other in [*g, m, v] {
            same_shape(OP, w, other)?;
            expect_f32(&device, other)?;
        }
        grads.push(g.contiguous()?);
    }
    let mut arrays = Vec::with_capacity(updates.len());
    for (Update { step, w, m, v, .. }, g) in updates.iter_mut().zip(&grads) {
        let [w, m, v] = [w, m, v].map(|x| x.make_array_mut(OP));
        arrays.push(cuda::Update { step: *step, w: w?, g: g.as_array(OP)?, m: m?, v: v? });
    }
    let norm = clip.map(|clip| clip.norm.reshape(&[])).transpose()?;
    let clip = match (&norm, clip) {
        (Some(norm), Some(Clip { max_norm, .. })) => {
            Some(cuda::Clip { norm: norm.as_array(OP)?, max_norm })
        }
        _ => None,
    };
    Ok(cuda::update(&mut arrays, clip)?)
}

/// An error unless `x` is f32 on that GPU.
fn expect_f32(gpu: &Device, x: &Tensor) -> Result<()> {
    match (x.device(), x.dtype()) {
        (got, _) if got != *gpu => Err(Error::Device { op: OP, expected: gpu.to_string(), got }),
        (_, DType::F32) => Ok(()),
        (_, got) => Err(Error::DType { op: OP, expected: "f32 on a GPU", got }),
    }
}

/// For deferred updates of the table `w` with these moments, `None` for zeros; nothing if `w` is no table of f32 on
/// the host. On a GPU all rows are updated at once: at terabytes a second the whole table of a vocabulary costs a
/// tenth of a millisecond, less than to keep account of which rows are behind.
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn lazy(w: &Tensor, moments: Option<(&Tensor, &Tensor)>) -> Result<Option<Lazy>> {
    let (&[rows, _], DType::F32, Device::Cpu) = (w.shape(), w.dtype(), w.device()) else {
        return Ok(None);
    };
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
