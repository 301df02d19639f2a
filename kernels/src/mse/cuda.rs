//! On a card; see `mse.cu`.

use crate::cuda::{Array, DType, Launch, Result, Slice, Source, blocks_for};
use crate::reduce::cuda::Partials;

pub(crate) static SOURCE: Source =
    Source { name: "mse.cu", text: include_str!("mse.cu"), hopper: false };

/// The mean loss, one f32, from predictions and targets, f32.
///
/// # Errors
/// When the card refuses or is full.
///
/// # Panics
/// When the lengths differ or are 0, or one is not f32.
pub fn forward(x: Slice, targets: Slice) -> Result<Array> {
    let (n, packs) = check(x, targets);
    let mut sums = Partials::stale(x.device(), n)?;
    let launch = Launch::new(x.device(), &SOURCE, DType::F32, "mse_partials")?.grid(sums.blocks());
    // SAFETY: the kernel's parameters; both have n elements, packs are aligned, and each block writes its sum.
    unsafe { launch.read(x).read(targets).write(sums.array()).arg(n).arg(packs).start() }?;
    sums.total(1.0 / n as f64)
}

/// dx from the gradient of the loss, one f32 on the card.
///
/// # Errors
/// When the card refuses or is full.
///
/// # Panics
/// As [`forward`], and when `dloss` is not one f32.
pub fn backward(x: Slice, targets: Slice, dloss: Slice) -> Result<Array> {
    let (n, packs) = check(x, targets);
    assert!(dloss.dtype() == DType::F32 && dloss.len() == 1, "mse: dloss {dloss:?}");
    let mut dx = Array::stale(x.device(), DType::F32, n)?;
    let launch = Launch::new(x.device(), &SOURCE, DType::F32, "mse_backward")?;
    let launch = launch.grid(blocks_for(x.device(), n)).read(x).read(targets).read(dloss);
    // SAFETY: the kernel's parameters; x, targets and dx have n elements, dloss is one, and packs are aligned.
    unsafe { launch.write(&mut dx).arg(n).arg(packs).start() }?;
    Ok(dx)
}

/// The number of elements, and how many packs of four may move at once.
fn check(x: Slice, targets: Slice) -> (usize, usize) {
    assert!(x.dtype() == DType::F32 && targets.dtype() == DType::F32, "mse: {x:?}, {targets:?}");
    assert!(x.len() == targets.len() && !x.is_empty(), "mse: {x:?}, {targets:?}");
    (x.len(), x.packs(4).min(targets.packs(4)))
}
