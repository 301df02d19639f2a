//! On a GPU: a block of threads a row, or a warp; see `softmax.cu`.

use crate::cuda::{Array, BLOCK, DType, Device, Launch, Result, Slice, Source, WARP};

pub(crate) static SOURCE: Source =
    Source { name: "softmax.cu", text: include_str!("softmax.cu"), hopper: false };

/// y `[rows, cols]` from x, f32.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the length is no multiple of `cols`, or x is not f32.
pub fn forward(x: Slice, cols: usize) -> Result<Array> {
    assert!(
        x.dtype() == DType::F32 && x.len().is_multiple_of(cols),
        "softmax: {x:?}, {cols} columns"
    );
    let rows = x.len() / cols;
    let mut y = Array::uninit(x.device(), DType::F32, x.len())?;
    let kernels = ["softmax_forward_warp", "softmax_forward_block"];
    let launch = teams(x.device(), kernels, [rows, cols])?.read(x).write(&mut y);
    // SAFETY: the kernel's parameters; team i reads and writes the `cols` elements of row i where that exists.
    unsafe { launch.int(rows).int(cols).start() }?;
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
    let rows = y.len() / cols;
    let mut dx = Array::uninit(y.device(), DType::F32, y.len())?;
    let kernels = ["softmax_backward_warp", "softmax_backward_block"];
    let launch = teams(y.device(), kernels, [rows, cols])?.read(y).read(dy).write(&mut dx);
    // SAFETY: the kernel's parameters; team i reads and writes row i of each, where that exists.
    unsafe { launch.int(rows).int(cols).start() }?;
    Ok(dx)
}

/// A warp for each row where a lane has at most eight of its elements, else a block.
fn teams<'a>(
    device: &'a Device,
    [warp, block]: [&'static str; 2],
    [rows, cols]: [usize; 2],
) -> Result<Launch<'a>> {
    Ok(match cols <= 8 * WARP {
        true => Launch::new(device, &SOURCE, DType::F32, warp)?
            .grid(rows.div_ceil(BLOCK as usize / WARP)),
        false => Launch::new(device, &SOURCE, DType::F32, block)?.grid(rows),
    })
}
