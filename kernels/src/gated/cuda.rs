//! On a GPU: a thread takes 16 bytes of each half of a row; see `gated.cu`.

use crate::activation::Activation;
use crate::cuda::{Array, DType, Launch, Result, Slice, Source, blocks_for};

pub(crate) static SOURCE: Source =
    Source { name: "gated.cu", text: include_str!("gated.cu"), hopper: false };

/// y `[M, F]` from z `[M, 2 F]`, f32 or bf16; `cols` is F.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When z has no such rows or is u32.
pub fn forward(f: Activation, z: Slice, cols: usize) -> Result<Array> {
    let [kernel, _] = kernels(f);
    let rows = rows(z, cols);
    let mut y = Array::uninit(z.device(), z.dtype(), rows * cols)?;
    let launch = Launch::new(z.device(), &SOURCE, z.dtype(), kernel)?.read(z).write(&mut y);
    // SAFETY: the kernel's parameters; z has rows of 2 F, y as many of F.
    unsafe { start(launch, [z, z], [rows, cols]) }?;
    Ok(y)
}

/// dz `[M, 2 F]` from z and from dy `[M, F]`, f32 or bf16; `cols` is F.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When the lengths or types do not fit.
pub fn backward(f: Activation, z: Slice, dy: Slice, cols: usize) -> Result<Array> {
    run_backward(f, [z, dy], cols, None)
}

/// As [`backward`], and y once more: (dz, y).
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// As [`backward`].
pub fn backward_and_value(
    f: Activation,
    z: Slice,
    dy: Slice,
    cols: usize,
) -> Result<(Array, Array)> {
    let mut y = Array::uninit(dy.device(), dy.dtype(), dy.len())?;
    let dz = run_backward(f, [z, dy], cols, Some(&mut y))?;
    Ok((dz, y))
}

fn run_backward(
    f: Activation,
    [z, dy]: [Slice; 2],
    cols: usize,
    y: Option<&mut Array>,
) -> Result<Array> {
    let [_, kernel] = kernels(f);
    let rows = rows(z, cols);
    assert!(dy.dtype() == z.dtype() && dy.len() == rows * cols, "gated: {z:?}, {dy:?}");
    let mut dz = Array::uninit(z.device(), z.dtype(), z.len())?;
    let launch = Launch::new(z.device(), &SOURCE, z.dtype(), kernel)?;
    let launch = launch.read(z).read(dy).write(&mut dz);
    let launch = match y {
        Some(y) => launch.write(y),
        None => launch.none(),
    };
    // SAFETY: the kernel's parameters; z and dz have rows of 2 F, dy as many of F, and so has y where it is not null.
    unsafe { start(launch, [z, dy], [rows, cols]) }?;
    Ok(dz)
}

/// M, the rows of z.
fn rows(z: Slice, cols: usize) -> usize {
    assert!(cols > 0 && z.len().is_multiple_of(2 * cols), "gated: {z:?}, {cols} columns");
    assert!(z.dtype() != DType::U32, "gated: {z:?}");
    z.len() / (2 * cols)
}

/// Starts a kernel with the parameters that end both lists: elements move by 16 bytes where the operands and the length
/// of a row allow it, else one by one.
///
/// # Safety
/// The operands and results are arguments already, and have these rows.
unsafe fn start(launch: Launch, operands: [Slice; 2], [rows, cols]: [usize; 2]) -> Result<()> {
    let pack = 16 / operands[0].dtype().size();
    let whole = |x: Slice| x.packs(pack) * pack == x.len();
    let packed = cols.is_multiple_of(pack) && operands.into_iter().all(whole);
    let threads = rows * cols / if packed { pack } else { 1 };
    let launch = launch.grid(blocks_for(operands[0].device(), threads));
    let cols = u32::try_from(cols).expect("a row has fewer than 2^32 columns");
    // SAFETY: by the caller's word; each thread writes columns that no other does, in rows that exist, and packs are
    // aligned where there are any.
    unsafe { launch.arg(rows).arg(cols).arg(i32::from(packed)).start() }
}

/// Forward and backward.
fn kernels(f: Activation) -> [&'static str; 2] {
    match f {
        Activation::Gelu => ["gated_gelu_forward", "gated_gelu_backward"],
        Activation::GeluTanh => ["gated_gelu_tanh_forward", "gated_gelu_tanh_backward"],
        Activation::Relu => ["gated_relu_forward", "gated_relu_backward"],
        Activation::Tanh => ["gated_tanh_forward", "gated_tanh_backward"],
        Activation::Sigmoid => ["gated_sigmoid_forward", "gated_sigmoid_backward"],
    }
}
