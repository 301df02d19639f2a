//! On a GPU: a block takes 32 columns of a sequence, a lane each; see `pooling.cu`.

use super::Pooling;
use crate::cuda::{Array, DType, Launch, Result, Slice, Source, WARP};

pub(crate) static SOURCE: Source =
    Source { name: "pooling.cu", text: include_str!("pooling.cu"), hopper: false };

/// The tokens of a batch by sequence.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Where each sequence begins, and the end: `[B + 1]`, ascending from 0, u32.
    pub cu_seqlens: Slice<'a>,
    /// T, the last of them, as the host knows it.
    pub tokens: usize,
}

/// y `[B, H]` of each sequence of x `[T, H]`, f32 or bf16.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the lengths or types do not fit. That the offsets ascend to T is for the caller to know.
pub fn forward(op: Pooling, x: Slice, batch: Batch, h: usize) -> Result<Array> {
    let kernel = match op {
        Pooling::First => "pooling_first",
        Pooling::Mean => "pooling_mean",
    };
    assert!(x.len() == batch.tokens * h, "pooling: {x:?}, {batch:?}");
    run(kernel, x, batch, h, batch.sequences())
}

/// dx `[T, H]` from dy `[B, H]`, f32 or bf16.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn backward(op: Pooling, dy: Slice, batch: Batch, h: usize) -> Result<Array> {
    let kernel = match op {
        Pooling::First => "pooling_first_backward",
        Pooling::Mean => "pooling_mean_backward",
    };
    assert!(dy.len() == batch.sequences() * h, "pooling: {dy:?}, {batch:?}");
    run(kernel, dy, batch, h, batch.tokens)
}

impl Batch<'_> {
    fn sequences(&self) -> usize {
        self.cu_seqlens.len() - 1
    }
}

/// All four kernels take the same parameters.
fn run(kernel: &'static str, from: Slice, batch: Batch, h: usize, rows: usize) -> Result<Array> {
    let ends = batch.cu_seqlens;
    assert!(
        ends.dtype() == DType::U32 && from.dtype() != DType::U32,
        "pooling: {from:?}, {ends:?}"
    );
    let mut to = Array::uninit(from.device(), from.dtype(), rows * h)?;
    let launch = Launch::new(from.device(), &SOURCE, from.dtype(), kernel)?;
    let launch = launch.grid_3([batch.sequences(), h.div_ceil(WARP), 1]);
    // SAFETY: the kernel's parameters; block i reads and writes sequence i, of which one side has a row and the
    // other one for each token: the offsets ascend from 0 to T.
    unsafe { launch.read(from).read(ends).write(&mut to).arg(h as i32).start() }?;
    Ok(to)
}
