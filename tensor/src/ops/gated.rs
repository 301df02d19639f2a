//! The gated linear unit, row by row; see [`kernels::gated`].

use kernels::activation::Activation;
use kernels::gated::{self, reference};

use super::{Hidden, expect_shape, hidden, last_axis, wide};
use crate::dtype::HiddenElement;
use crate::pool::Buffer;
use crate::{Error, Result, Tensor};

const OP: &str = "gated";

/// y = f(a) g of rows z = [a, g]: `[.., 2 F] -> [.., F]`; f32, bf16 or f64.
///
/// # Errors
/// When the last axis is odd or empty, or `z` has another dtype.
pub fn forward(f: Activation, z: &Tensor) -> Result<Tensor> {
    let (shape, z) = (halved(z)?, z.contiguous()?);
    let cols = last_axis(OP, &z)? / 2;
    Ok(match hidden(OP, [&z])? {
        Hidden::Cuda([z]) => Tensor::from_array(gated::cuda::forward(f, z, cols)?, &shape),
        Hidden::F32([z]) => Tensor::build(&shape, |y| gated::forward(f, z, cols, y)),
        Hidden::BF16([z]) => Tensor::build(&shape, |y| gated::forward(f, z, cols, y)),
        Hidden::F64([z]) => wide(reference::forward(f, z, cols), &shape),
    })
}

/// dz `[.., 2 F]` from z and dy `[.., F]`.
///
/// # Errors
/// As [`forward`]; and when dy has another shape or dtype.
pub fn backward(f: Activation, z: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let Operands { z, dy, cols } = Operands::new(z, dy)?;
    Ok(match hidden(OP, [&z, &dy])? {
        Hidden::Cuda([v, d]) => {
            Tensor::from_array(gated::cuda::backward(f, v, d, cols)?, z.shape())
        }
        Hidden::F32([v, d]) => Tensor::build(z.shape(), |dz| gated::backward(f, v, d, cols, dz)),
        Hidden::BF16([v, d]) => Tensor::build(z.shape(), |dz| gated::backward(f, v, d, cols, dz)),
        Hidden::F64([v, d]) => wide(reference::backward(f, v, d, cols), z.shape()),
    })
}

/// dz, and y once more.
///
/// # Errors
/// As [`backward`].
pub fn backward_and_value(f: Activation, z: &Tensor, dy: &Tensor) -> Result<(Tensor, Tensor)> {
    let operands = Operands::new(z, dy)?;
    let Operands { z, dy, cols } = &operands;
    Ok(match hidden(OP, [z, dy])? {
        Hidden::Cuda([v, d]) => {
            let (dz, y) = gated::cuda::backward_and_value(f, v, d, *cols)?;
            (Tensor::from_array(dz, z.shape()), Tensor::from_array(y, dy.shape()))
        }
        Hidden::F32([v, d]) => operands.both(f, v, d),
        Hidden::BF16([v, d]) => operands.both(f, v, d),
        Hidden::F64([v, d]) => {
            let (dz, y) = (reference::backward(f, v, d, *cols), reference::forward(f, v, *cols));
            (wide(dz, z.shape()), wide(y, dy.shape()))
        }
    })
}

/// The shape of y.
fn halved(z: &Tensor) -> Result<Vec<usize>> {
    let mut shape = z.shape().to_vec();
    match shape.last_mut() {
        Some(n) if *n > 0 && n.is_multiple_of(2) => *n /= 2,
        _ => return Err(Error::Shape { op: OP, expected: "[.., 2 F > 0]".into(), got: shape }),
    }
    Ok(shape)
}

/// What a backward takes, in row-major order and checked.
struct Operands {
    z: Tensor,
    dy: Tensor,
    /// F
    cols: usize,
}

impl Operands {
    fn new(z: &Tensor, dy: &Tensor) -> Result<Self> {
        expect_shape(OP, dy, &halved(z)?)?;
        Ok(Self { z: z.contiguous()?, dy: dy.contiguous()?, cols: last_axis(OP, dy)? })
    }

    fn both<E: HiddenElement>(&self, f: Activation, z: &[E], dy: &[E]) -> (Tensor, Tensor) {
        let (mut dz, mut y) = (Buffer::uninit(z.len()), Buffer::uninit(dy.len()));
        gated::backward_and_value(f, z, dy, self.cols, &mut dz, &mut y);
        (Tensor::from_buffer(dz, self.z.shape()), Tensor::from_buffer(y, self.dy.shape()))
    }
}
