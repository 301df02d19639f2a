//! What scores have by distance, among the parameters of a launch, and what comes back as its gradient.
//!
//! Of a bias each block of dq adds up its part, `[2R + 1, N]`; one more launch adds up the parts. Products have their
//! gradients written to their places: those of queries by dq, those of keys by dkdv, either along its rows.

use super::super::Relative;
use super::{Attention, MAX_REACH, plan::Kernel, tiles_of_longest};
use crate::cuda::{Array, DType, Launch, Result, Slice};
use crate::reduce::cuda::column_sums;

/// 2R + 1, of each part.
///
/// # Panics
/// When there are no kernels for it.
pub(super) fn widths(a: Attention, relative: Relative<Slice>) -> Relative<usize> {
    let lengths = relative.map(Slice::len);
    a.check_relative(lengths);
    let reach = a.reach(lengths);
    assert!(i32::try_from(2 * reach + 1).is_ok(), "attention: R {reach} on a GPU");
    if let Relative::Bias(_) = relative {
        assert!(reach <= MAX_REACH, "attention: a bias of R {reach} on a GPU");
        assert!(a.scale != 0.0, "attention: a bias of scores that are scaled by 0");
    }
    relative.map(|part| {
        assert_eq!(part.dtype(), DType::F32, "attention: {part:?} by distance");
        2 * reach + 1
    })
}

/// `RELATIVE_PARAMETERS` of the kernels, with the gradient that this one writes, if it does.
pub(super) fn add_parameters<'a>(
    launch: Launch<'a>,
    a: Attention,
    relative: Relative<Slice>,
    grad: Option<&mut Array>,
) -> Launch<'a> {
    let launch = match relative {
        Relative::None => return launch,
        Relative::Bias(bias) => launch.read(bias),
        Relative::Products([c, g]) => launch.read(c).read(g),
    };
    let launch = match grad {
        Some(grad) => launch.write(grad),
        None => launch.none(),
    };
    let launch = match relative {
        Relative::Products(_) => launch.int(super::super::total(a.keys)),
        _ => launch,
    };
    launch.int(a.reach(relative.map(Slice::len)))
}

/// Where the kernels of a backward write the gradient. Zeros at first: blocks beyond the end of their sequence leave
/// them, and so do distances that a sequence has not.
pub(super) struct Gradient(Relative<Array>);

impl Gradient {
    pub(super) fn zeros(a: Attention, dq: Kernel, relative: Relative<Slice>) -> Result<Self> {
        let parts = match relative {
            Relative::Bias(_) => (a.queries.len() - 1) * tiles_of_longest(a.queries, dq.tile),
            _ => 1,
        };
        let zeros = |x: Slice| Array::zeros(x.device(), DType::F32, parts * x.len());
        Ok(Self(relative.map(zeros).transpose()?))
    }

    /// What dq writes.
    pub(super) fn of_dq(&mut self) -> Option<&mut Array> {
        match &mut self.0 {
            Relative::None => None,
            Relative::Bias(sums) => Some(sums),
            Relative::Products([dc, _]) => Some(dc),
        }
    }

    /// What dkdv writes.
    pub(super) fn of_dkdv(&mut self) -> Option<&mut Array> {
        match &mut self.0 {
            Relative::Products([_, dg]) => Some(dg),
            _ => None,
        }
    }

    /// The whole gradient, when both have.
    pub(super) fn finish(self, relative: Relative<Slice>) -> Result<Relative<Array>> {
        match (self.0, relative) {
            (Relative::Bias(sums), Relative::Bias(bias)) => {
                Ok(Relative::Bias(column_sums(sums.slice(), bias.len())?))
            }
            (grads, _) => Ok(grads),
        }
    }
}
