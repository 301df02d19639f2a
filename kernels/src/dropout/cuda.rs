//! On a GPU: a thread makes the mask of four columns; see `dropout.cu`.

use super::Dropout;
use crate::cuda::{Array, DType, DropoutParam, Launch, Result, Slice, Source, blocks_for};
use crate::elementwise;

pub(crate) static SOURCE: Source =
    Source { name: "dropout.cu", text: include_str!("dropout.cu"), hopper: false };

/// y = mask * x, or the backward, the same map of dy; `[rows, cols]`, f32. y is of type `to`, f32 or bf16.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the length is no multiple of `cols`, x is not f32, `to` is u32, or p is not in [0, 1).
pub fn forward(d: Dropout, x: Slice, cols: usize, to: DType) -> Result<Array> {
    const PACK: usize = 4;
    assert!(x.dtype() == DType::F32 && x.len().is_multiple_of(cols), "dropout: {x:?}, {cols} cols");
    assert!(to != DType::U32, "dropout: to {to:?}");
    if d.p == 0.0 && to == DType::F32 {
        return Array::duplicate(x);
    }
    if d.p == 0.0 {
        return elementwise::cuda::convert(x, to);
    }
    let mut y = Array::uninit(x.device(), to, x.len())?;
    let rows = x.len() / cols;
    let packed = cols.is_multiple_of(PACK) && x.packs(PACK) > 0;
    let blocks = blocks_for(x.device(), rows * cols.div_ceil(PACK));
    let launch = Launch::new(x.device(), &SOURCE, to, "dropout")?.grid(blocks);
    let launch = launch.read(x).write(&mut y).arg(rows).arg(cols as u32);
    // SAFETY: the kernel's parameters; both are [rows, cols]; with `packed` x is aligned to packs and rows are
    // whole packs.
    unsafe { launch.arg(i32::from(packed)).arg(DropoutParam::from(Some(d))).start() }?;
    Ok(y)
}
