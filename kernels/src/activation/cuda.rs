//! On a GPU: maps of one element to one element; see `activation.cu`.

use super::Activation;
use crate::cuda::{Array, DType, Launch, Result, Slice, Source, blocks_for};

pub(crate) static SOURCE: Source =
    Source { name: "activation.cu", text: include_str!("activation.cu"), hopper: false };

/// y = f(x), f32 or bf16, as x.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When x is u32.
pub fn forward(f: Activation, x: Slice) -> Result<Array> {
    let [kernel, _, _] = kernels(f);
    let (n, packs) = check(f, [x, x]);
    let mut y = Array::uninit(x.device(), x.dtype(), n)?;
    let launch = Launch::new(x.device(), &SOURCE, x.dtype(), kernel)?;
    // SAFETY: the kernel's parameters; both have n elements, and packs are aligned.
    unsafe {
        launch.grid(blocks_for(x.device(), n)).read(x).write(&mut y).arg(n).arg(packs).start()
    }?;
    Ok(y)
}

/// dx from the input x and the gradient dy of the output, f32 or bf16.
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// When lengths or types differ, or they are u32.
pub fn backward(f: Activation, x: Slice, dy: Slice) -> Result<Array> {
    let [_, kernel, _] = kernels(f);
    let (n, packs) = check(f, [x, dy]);
    let mut dx = Array::uninit(x.device(), x.dtype(), n)?;
    let launch =
        Launch::new(x.device(), &SOURCE, x.dtype(), kernel)?.grid(blocks_for(x.device(), n));
    // SAFETY: the kernel's parameters; all have n elements, and packs are aligned in x and dy.
    unsafe { launch.read(x).read(dy).write(&mut dx).arg(n).arg(packs).start() }?;
    Ok(dx)
}

/// As [`backward`], and y once more: (dx, y).
///
/// # Errors
/// When the GPU refuses or is full.
///
/// # Panics
/// As [`backward`].
pub fn backward_and_value(f: Activation, x: Slice, dy: Slice) -> Result<(Array, Array)> {
    let [_, _, kernel] = kernels(f);
    let (n, packs) = check(f, [x, dy]);
    let mut dx = Array::uninit(x.device(), x.dtype(), n)?;
    let mut y = Array::uninit(x.device(), x.dtype(), n)?;
    let launch =
        Launch::new(x.device(), &SOURCE, x.dtype(), kernel)?.grid(blocks_for(x.device(), n));
    // SAFETY: the kernel's parameters; all have n elements, and packs are aligned in x and dy.
    unsafe { launch.read(x).read(dy).write(&mut dx).write(&mut y).arg(n).arg(packs).start() }?;
    Ok((dx, y))
}

/// The number of elements, and how many packs of 16 bytes may move at once.
fn check(f: Activation, [x, dy]: [Slice; 2]) -> (usize, usize) {
    assert!(x.dtype() != DType::U32 && x.dtype() == dy.dtype(), "{}: {x:?}, {dy:?}", f.name());
    assert_eq!(x.len(), dy.len(), "{}: lengths", f.name());
    let width = 16 / x.dtype().size();
    (x.len(), x.packs(width).min(dy.packs(width)))
}

/// Forward, backward, backward and value.
fn kernels(f: Activation) -> [&'static str; 3] {
    match f {
        Activation::Gelu => ["gelu_forward", "gelu_backward", "gelu_backward_and_value"],
        Activation::GeluTanh => {
            ["gelu_tanh_forward", "gelu_tanh_backward", "gelu_tanh_backward_and_value"]
        }
        Activation::Relu => ["relu_forward", "relu_backward", "relu_backward_and_value"],
        Activation::Tanh => ["tanh_forward", "tanh_backward", "tanh_backward_and_value"],
        Activation::Sigmoid => {
            ["sigmoid_forward", "sigmoid_backward", "sigmoid_backward_and_value"]
        }
    }
}
