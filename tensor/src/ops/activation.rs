//! GELU, ReLU, tanh and sigmoid, element by element; see [`kernels::activation`].

use kernels::activation::{self, Activation, reference};

use super::{Hidden, hidden, same_shape, wide};
use crate::dtype::HiddenElement;
use crate::pool::Buffer;
use crate::{Result, Tensor};

const OP: &str = "activation";

/// y = f(x), any shape; f32, bf16 or f64.
///
/// # Errors
/// When `x` has another dtype.
pub fn forward(f: Activation, x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    Ok(match hidden(OP, [&x])? {
        Hidden::Cuda([v]) => Tensor::from_array(activation::cuda::forward(f, v)?, x.shape()),
        Hidden::F32([v]) => Tensor::build(x.shape(), |y| activation::forward(f, v, y)),
        Hidden::BF16([v]) => Tensor::build(x.shape(), |y| activation::forward(f, v, y)),
        Hidden::F64([v]) => wide(reference::forward(f, v), x.shape()),
    })
}

/// dx = f'(x) dy, and f(x) once more.
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn backward_and_value(f: Activation, x: &Tensor, dy: &Tensor) -> Result<(Tensor, Tensor)> {
    same_shape(OP, x, dy)?;
    let (x, dy) = (x.contiguous()?, dy.contiguous()?);
    Ok(match hidden(OP, [&x, &dy])? {
        Hidden::Cuda([v, d]) => {
            let (dx, y) = activation::cuda::backward_and_value(f, v, d)?;
            (Tensor::from_array(dx, x.shape()), Tensor::from_array(y, x.shape()))
        }
        Hidden::F32([v, d]) => both(f, v, d, x.shape()),
        Hidden::BF16([v, d]) => both(f, v, d, x.shape()),
        Hidden::F64([v, d]) => {
            let (dx, y) = (reference::backward(f, v, d), reference::forward(f, v));
            (wide(dx, x.shape()), wide(y, x.shape()))
        }
    })
}

fn both<E: HiddenElement>(f: Activation, x: &[E], dy: &[E], shape: &[usize]) -> (Tensor, Tensor) {
    let [mut dx, mut y] = [(); 2].map(|()| Buffer::uninit(x.len()));
    activation::backward_and_value(f, x, dy, &mut dx, &mut y);
    (Tensor::from_buffer(dx, shape), Tensor::from_buffer(y, shape))
}

/// dx = f'(x) dy.
///
/// # Errors
/// When the shapes or dtypes differ.
pub fn backward(f: Activation, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    same_shape(OP, x, dy)?;
    let (x, dy) = (x.contiguous()?, dy.contiguous()?);
    Ok(match hidden(OP, [&x, &dy])? {
        Hidden::Cuda([v, d]) => Tensor::from_array(activation::cuda::backward(f, v, d)?, x.shape()),
        Hidden::F32([v, d]) => Tensor::build(x.shape(), |dx| activation::backward(f, v, d, dx)),
        Hidden::BF16([v, d]) => Tensor::build(x.shape(), |dx| activation::backward(f, v, d, dx)),
        Hidden::F64([v, d]) => wide(reference::backward(f, v, d), x.shape()),
    })
}
