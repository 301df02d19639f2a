//! On a card: a block of threads a row; see `softmax.cu`.

use crate::cuda::{Array, DType, Launch, Result, Slice, Source};

pub(crate) static SOURCE: Source =
    Source { name: "softmax.cu", text: include_str!("softmax.cu"), hopper: false };

/// y `[rows, cols]` from x, f32.
///
/// # Errors
/// When the card refuses or is full.
///
/// # Panics
/// When the length is no multiple of `cols`, or x is not f32.
pub fn forward(x: Slice, cols: usize) -> Result<Array> {
    assert!(
        x.dtype() == DType::F32 && x.len().is_multiple_of(cols),
        "softmax: {x:?}, {cols} columns"
    );
    let mut y = Array::stale(x.device(), DType::F32, x.len())?;
    let launch = Launch::new(x.device(), &SOURCE, DType::F32, "softmax_forward")?;
    // SAFETY: the kernel's parameters; block i reads and writes the `cols` elements of row i, which exist.
    unsafe { launch.grid(x.len() / cols).read(x).write(&mut y).arg(cols as i32).start() }?;
    Ok(y)
}

/// dx `[rows, cols]` from the output y and its gradient dy, f32.
///
/// # Errors
/// As [`forward`].
///
/// # Panics
/// As [`forward`], and when the lengths differ.
pub fn backward(y: Slice, dy: Slice, cols: usize) -> Result<Array> {
    assert!(y.dtype() == DType::F32 && dy.dtype() == DType::F32, "softmax: {y:?}, {dy:?}");
    assert!(
        y.len() == dy.len() && y.len().is_multiple_of(cols),
        "softmax: {y:?}, {dy:?}, {cols} columns"
    );
    let mut dx = Array::stale(y.device(), DType::F32, y.len())?;
    let launch = Launch::new(y.device(), &SOURCE, DType::F32, "softmax_backward")?;
    // SAFETY: the kernel's parameters; block i reads and writes row i of each, which exists.
    unsafe {
        launch.grid(y.len() / cols).read(y).read(dy).write(&mut dx).arg(cols as i32).start()
    }?;
    Ok(dx)
}
