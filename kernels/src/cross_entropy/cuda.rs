//! On a GPU: a block of threads a row; see `cross_entropy.cu`.

use crate::cuda::{Array, DType, Launch, Result, Slice, Source, WARP};
use crate::reduce::cuda::Partials;

pub(crate) static SOURCE: Source =
    Source { name: "cross_entropy.cu", text: include_str!("cross_entropy.cu"), hopper: false };

/// Threads of the largest block: of a row as wide as a vocabulary.
const LARGEST_BLOCK: usize = 512;

/// The mean loss, one element, and `rsum`, `[rows]`, for the backward; logits `[rows, C]` in f32, labels `[rows]`,
/// on the host, where they are checked.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When there are no rows, the lengths or types do not fit or a label is not below C.
pub fn forward(logits: Slice, labels: &[u32]) -> Result<[Array; 2]> {
    let (device, cols, rows) = (logits.device(), columns(logits, labels), labels.len());
    let labels = Array::from_host(device, labels)?;
    let mut rsum = Array::uninit(device, DType::F32, rows)?;
    let mut losses = Partials::uninit(device, rows)?;
    let launch = Launch::new(device, &SOURCE, DType::F32, "cross_entropy_rows")?;
    let launch = launch.grid(rows).block(threads(cols)).read(logits).read(labels.slice());
    let launch = launch.write(losses.array()).write(&mut rsum).int(cols);
    // SAFETY: the kernel's parameters; block i reads row i and its label, which is a column, and writes number i of
    // the losses and of rsum.
    unsafe { launch.start() }?;
    Ok([losses.total(1.0 / rows as f64)?, rsum])
}

/// dlogits `[rows, C]`, from the operands, what the forward saved, and the gradient of the loss, one element that
/// stays on the GPU.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`].
pub fn backward(logits: Slice, labels: &[u32], rsum: Slice, dloss: Slice) -> Result<Array> {
    let (device, cols, rows) = (logits.device(), columns(logits, labels), labels.len());
    assert!(rsum.dtype() == DType::F32 && rsum.len() == rows, "cross_entropy: {rsum:?}");
    assert!(dloss.dtype() == DType::F32 && dloss.len() == 1, "cross_entropy: {dloss:?}");
    let labels = Array::from_host(device, labels)?;
    let mut dx = Array::uninit(device, DType::F32, logits.len())?;
    let launch = Launch::new(device, &SOURCE, DType::F32, "cross_entropy_backward")?;
    let launch = launch.grid(rows).block(threads(cols)).read(logits).read(labels.slice());
    let launch = launch.read(rsum).read(dloss).write(&mut dx).int(cols);
    // SAFETY: the kernel's parameters; block i reads row i, its label and its rsum, and writes row i.
    unsafe { launch.start() }?;
    Ok(dx)
}

/// A thread for four columns, in whole warps.
fn threads(cols: usize) -> u32 {
    cols.div_ceil(4).next_multiple_of(WARP).min(LARGEST_BLOCK) as u32
}

fn columns(logits: Slice, labels: &[u32]) -> usize {
    assert!(!labels.is_empty(), "cross_entropy: no rows");
    assert!(
        logits.dtype() == DType::F32 && logits.len().is_multiple_of(labels.len()),
        "cross_entropy: {} labels, {logits:?}",
        labels.len()
    );
    let cols = logits.len() / labels.len();
    assert!(labels.iter().all(|&l| (l as usize) < cols), "cross_entropy: expected labels < {cols}");
    cols
}
