//! On a GPU: a thread takes four columns; see `residual.cu`.

use crate::cuda::{Array, DType, DropoutParam, Launch, Result, Slice, Source, blocks_for};
use crate::dropout::{self, Dropout};

pub(crate) static SOURCE: Source =
    Source { name: "residual.cu", text: include_str!("residual.cu"), hopper: false };

/// s = x + m u, f32: x `[rows, h]` in f32, u the same in f32 or bf16.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the lengths or types do not fit, or p is not in [0, 1).
pub fn forward(x: Slice, u: Slice, dropout: Option<Dropout>, h: usize) -> Result<Array> {
    /// Columns of a thread, as in `residual.cu`.
    const COLS: usize = 4;
    assert!(x.dtype() == DType::F32 && u.dtype() != DType::U32, "residual: {x:?}, {u:?}");
    assert!(x.len() == u.len() && x.len().is_multiple_of(h), "residual: {x:?}, {u:?}, {h} columns");
    let mut s = Array::uninit(x.device(), DType::F32, x.len())?;
    let rows = x.len() / h;
    let packed = [x, u].iter().all(|operand| operand.packs(COLS) * COLS == x.len());
    let packed = packed && h.is_multiple_of(COLS);
    let launch = Launch::new(x.device(), &SOURCE, u.dtype(), "residual_forward")?;
    let launch = launch.grid(blocks_for(x.device(), rows * h.div_ceil(COLS)));
    let launch = launch.read(x).read(u).write(&mut s).arg(rows).arg(h as u32);
    // SAFETY: the kernel's parameters; all three are [rows, h]; with `packed` they are aligned to four elements and
    // rows are whole fours.
    unsafe { launch.arg(i32::from(packed)).arg(DropoutParam::from(dropout)).start() }?;
    Ok(s)
}

/// du = m ds, of type `to`, f32 or bf16: [`dropout`](dropout::cuda::forward) of ds, `[rows, h]` in f32.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn backward(dropout: Dropout, ds: Slice, h: usize, to: DType) -> Result<Array> {
    dropout::cuda::forward(dropout, ds, h, to)
}
