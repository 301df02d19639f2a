//! On a GPU: a block takes 32 columns of a sequence, a lane each; see `pooling.cu`.

use super::Pooling;
use crate::cuda::{Array, DType, Launch, Offsets, Result, Slice, Source, WARP};

pub(crate) static SOURCE: Source =
    Source { name: "pooling.cu", text: include_str!("pooling.cu"), hopper: false };

/// y `[B, H]` of each sequence of x `[T, H]`, f32 or bf16.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the lengths or types do not fit.
pub fn forward(op: Pooling, x: Slice, batch: &Offsets, h: usize) -> Result<Array> {
    let kernel = match op {
        Pooling::First => "pooling_first",
        Pooling::Mean => "pooling_mean",
    };
    assert!(x.len() == batch.tokens() * h, "pooling: {x:?}, {batch:?}");
    run(kernel, x, batch, h, batch.sequences())
}

/// dx `[T, H]` from dy `[B, H]`, f32 or bf16.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn backward(op: Pooling, dy: Slice, batch: &Offsets, h: usize) -> Result<Array> {
    let kernel = match op {
        Pooling::First => "pooling_first_backward",
        Pooling::Mean => "pooling_mean_backward",
    };
    assert!(dy.len() == batch.sequences() * h, "pooling: {dy:?}, {batch:?}");
    run(kernel, dy, batch, h, batch.tokens())
}

/// All four kernels take the same parameters.
fn run(kernel: &'static str, from: Slice, batch: &Offsets, h: usize, rows: usize) -> Result<Array> {
    assert!(from.dtype() != DType::U32, "pooling: {from:?}");
    let mut to = Array::uninit(from.device(), from.dtype(), rows * h)?;
    let launch = Launch::new(from.device(), &SOURCE, from.dtype(), kernel)?;
    let launch = launch.grid_3([batch.sequences(), h.div_ceil(WARP), 1]);
    // SAFETY: the kernel's parameters; block i reads and writes sequence i, of which one side has a row and the
    // other one for each token: the offsets ascend from 0 to T.
    unsafe { launch.read(from).read(batch.slice()).write(&mut to).int(h).start() }?;
    Ok(to)
}
