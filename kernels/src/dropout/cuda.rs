//! On a GPU: a thread makes the mask of four columns; see `dropout.cu`.

use super::Dropout;
use crate::cuda::{Array, DType, DropoutParam, Launch, Result, Slice, Source, blocks_for};

pub(crate) static SOURCE: Source =
    Source { name: "dropout.cu", text: include_str!("dropout.cu"), hopper: false };

/// y = mask * x, or the backward, the same map of dy; `[rows, cols]`, f32.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the length is no multiple of `cols`, x is not f32, or p is not in [0, 1).
pub fn forward(d: Dropout, x: Slice, cols: usize) -> Result<Array> {
    const PACK: usize = 4;
    assert!(x.dtype() == DType::F32 && x.len().is_multiple_of(cols), "dropout: {x:?}, {cols} cols");
    if d.p == 0.0 {
        return Array::duplicate(x);
    }
    let mut y = Array::uninit(x.device(), DType::F32, x.len())?;
    if x.is_empty() {
        return Ok(y);
    }
    let rows = x.len() / cols;
    let packed = cols.is_multiple_of(PACK) && x.packs(PACK) > 0;
    let blocks = blocks_for(x.device(), rows * cols.div_ceil(PACK));
    let launch = Launch::new(x.device(), &SOURCE, DType::F32, "dropout")?.grid(blocks);
    let launch = launch.read(x).write(&mut y).arg(rows as i32).arg(cols as i32);
    // SAFETY: the kernel's parameters; both are [rows, cols]; with `packed` x is aligned to packs and rows are
    // whole packs.
    unsafe { launch.arg(i32::from(packed)).arg(DropoutParam::from(Some(d))).start() }?;
    Ok(y)
}
