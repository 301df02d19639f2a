//! On a GPU: a block a row, and for dw and db a thread a column; see `layer_norm.cu`.

use crate::cuda::{Array, BLOCK, DType, Launch, Result, Slice, Source, WARP};

pub(crate) static SOURCE: Source =
    Source { name: "layer_norm.cu", text: include_str!("layer_norm.cu"), hopper: false };

/// Rows of one partial sum of dw and db, as in `layer_norm.cu`.
const ROW_BLOCK: usize = 64;

/// Threads of a block that takes columns: few, so that narrow matrices make enough blocks.
const COLUMN_BLOCK: u32 = 128;

/// Threads of a block that adds up partial sums, as in `layer_norm.cu`.
const ADD_BLOCK: u32 = 1024;

/// What the forward returns.
#[derive(Debug)]
pub struct Output {
    /// The normalized rows, `[rows, H]`, f32 or bf16.
    pub y: Array,
    /// The mean of each row, `[rows]`.
    pub mean: Array,
    /// One over the standard deviation of each row, `[rows]`.
    pub rstd: Array,
}

/// y = layer_norm(x) w + b, of type `to`, f32 or bf16: x `[rows, H]`, w and b `[H]`, all f32; without b it is zeros.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the lengths do not fit, an operand is not f32, or `to` is u32.
pub fn forward(x: Slice, (w, b): (Slice, Option<Slice>), eps: f32, to: DType) -> Result<Output> {
    let (device, cols) = (x.device(), w.len());
    let all = [x, w, b.unwrap_or(w)];
    assert!(all.iter().all(|s| s.dtype() == DType::F32), "layer_norm: {all:?}");
    assert!(to != DType::U32, "layer_norm: to {to:?}");
    assert!(all[2].len() == cols && x.len().is_multiple_of(cols), "layer_norm: {all:?}");
    let rows = x.len() / cols;
    let mut y = Array::uninit(device, to, x.len())?;
    let mut mean = Array::uninit(device, DType::F32, rows)?;
    let mut rstd = Array::uninit(device, DType::F32, rows)?;
    let launch = Launch::new(device, &SOURCE, to, "layer_norm_forward")?;
    let launch = launch.grid(rows).block(threads_of_row(cols)).read(x).read(w);
    let launch = match b {
        Some(b) => launch.read(b),
        None => launch.none(),
    };
    let launch = launch.write(&mut y).write(&mut mean).write(&mut rstd).int(cols).arg(eps);
    // SAFETY: the kernel's parameters; block i reads and writes the `cols` elements of row i, which exist, and
    // number i of mean and rstd.
    unsafe { launch.start() }?;
    Ok(Output { y, mean, rstd })
}

/// dx `[rows, H]`, from what the forward saved (mean and rstd, `[rows]`), all f32, and dy `[rows, H]`, f32 or bf16.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn backward_input(x: Slice, w: Slice, [mean, rstd]: [Slice; 2], dy: Slice) -> Result<Array> {
    let cols = w.len();
    assert!(x.dtype() == DType::F32 && w.dtype() == DType::F32, "layer_norm: {x:?}, {w:?}");
    assert!(dy.dtype() != DType::U32, "layer_norm: {dy:?}");
    check_saved(x, [mean, rstd], dy, cols);
    let mut dx = Array::uninit(x.device(), DType::F32, x.len())?;
    let launch = Launch::new(x.device(), &SOURCE, dy.dtype(), "layer_norm_backward_input")?;
    let launch = launch.grid(mean.len()).block(threads_of_row(cols));
    let launch = launch.read(x).read(w).read(mean).read(rstd).read(dy);
    // SAFETY: the kernel's parameters; block i reads and writes the `cols` elements of row i, which exist.
    unsafe { launch.write(&mut dx).int(cols).start() }?;
    Ok(dx)
}

/// dw and db, `[H]` in f32, of x and dy `[rows, H]`: x is f32, or like dy; dy is f32 or bf16.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn backward_params(
    x: Slice,
    [mean, rstd]: [Slice; 2],
    dy: Slice,
    cols: usize,
) -> Result<[Array; 2]> {
    let kernel = match (x.dtype(), dy.dtype()) {
        (DType::F32, DType::F32 | DType::BF16) => "layer_norm_backward_params",
        (DType::BF16, DType::BF16) => "layer_norm_backward_params_of_hidden",
        _ => panic!("layer_norm: {x:?}, {dy:?}"),
    };
    check_saved(x, [mean, rstd], dy, cols);
    let blocks = mean.len().div_ceil(ROW_BLOCK);
    let mut partial = Array::uninit(x.device(), DType::F32, blocks * 2 * cols)?;
    let launch = Launch::new(x.device(), &SOURCE, dy.dtype(), kernel)?;
    let launch = launch.grid_3([blocks, cols.div_ceil(COLUMN_BLOCK as usize), 1]);
    let launch = launch.block(COLUMN_BLOCK).read(x).read(mean).read(rstd).read(dy);
    let launch = launch.write(&mut partial).int(mean.len()).int(cols);
    // SAFETY: the kernel's parameters; each thread reads one column of at most ROW_BLOCK rows and writes it to its
    // own row of `partial`, which has `blocks` of them.
    unsafe { launch.start() }?;
    add_partials(&partial, cols)
}

/// dw and db, `[H]`, from rows of `[2 H]`: their columns added up in a fixed order.
pub(crate) fn add_partials(partial: &Array, cols: usize) -> Result<[Array; 2]> {
    let (device, blocks) = (partial.device(), partial.len() / (2 * cols));
    let mut dw = Array::uninit(device, DType::F32, cols)?;
    let mut db = Array::uninit(device, DType::F32, cols)?;
    let launch = Launch::new(device, &SOURCE, DType::F32, "layer_norm_add_partials")?;
    let launch = launch.grid((2 * cols).div_ceil(WARP)).block(ADD_BLOCK).read(partial.slice());
    let launch = launch.write(&mut dw).write(&mut db).int(blocks).int(cols);
    // SAFETY: the kernel's parameters; a lane reads one of the 2 H columns of rows that are there, and a warp writes
    // one element of dw or db.
    unsafe { launch.start() }?;
    Ok([dw, db])
}

/// A thread for about four columns: short rows make small blocks, of which many fit a multiprocessor.
fn threads_of_row(cols: usize) -> u32 {
    (cols.div_ceil(4).next_multiple_of(WARP)).min(BLOCK as usize) as u32
}

fn check_saved(x: Slice, [mean, rstd]: [Slice; 2], dy: Slice, cols: usize) {
    assert!(mean.dtype() == DType::F32 && rstd.dtype() == DType::F32, "{mean:?}, {rstd:?}");
    assert!(x.len() == dy.len() && mean.len() * cols == x.len(), "layer_norm: {x:?}, {mean:?}");
    assert!(mean.len() == rstd.len(), "layer_norm: {mean:?}, {rstd:?}");
}
