//! On a GPU: losses that are the mean of a function of prediction and target, element by element.
//!
//! ```text
//! forward    loss = 1/n sum_i f(x_i, t_i)          partial sums of blocks, then their total
//! backward   dx_i = dloss/n f'(x_i, t_i)           dloss is one f32 on the GPU, which no one waits for
//! ```
//!
//! Both kernels are the loss's own: `partials(x, t, sums, n, packs)` and `backward(x, t, dloss, dx, n, packs)`.

use super::cuda::Partials;
use crate::cuda::{Array, DType, Launch, Result, Slice, Source, blocks_for};

/// A loss by its kernels.
#[derive(Debug)]
pub(crate) struct MeanLoss {
    pub source: Source,
    /// The kernel of the forward.
    pub partials: &'static str,
    /// The kernel of the backward.
    pub backward: &'static str,
}

impl MeanLoss {
    /// One f32.
    ///
    /// # Panics
    /// When the lengths differ or are 0, or one is not f32.
    pub fn forward(&'static self, x: Slice, targets: Slice) -> Result<Array> {
        let (n, packs) = self.check(x, targets);
        let mut sums = Partials::of_elements(x.device(), n)?;
        let launch = Launch::new(x.device(), &self.source, DType::F32, self.partials)?;
        let launch = launch.grid(sums.blocks()).read(x).read(targets);
        // SAFETY: the kernel's parameters; both have n elements, packs are aligned, and each block writes its sum.
        unsafe { launch.write(sums.array()).arg(n).arg(packs).start() }?;
        sums.total(1.0 / n as f64)
    }

    /// dx from the gradient of the loss.
    ///
    /// # Panics
    /// As [`forward`](Self::forward), and when `dloss` is not one f32.
    pub fn backward(&'static self, x: Slice, targets: Slice, dloss: Slice) -> Result<Array> {
        let ((n, packs), name) = (self.check(x, targets), self.source.name);
        assert!(dloss.dtype() == DType::F32 && dloss.len() == 1, "{name}: dloss {dloss:?}");
        let mut dx = Array::uninit(x.device(), DType::F32, n)?;
        let launch = Launch::new(x.device(), &self.source, DType::F32, self.backward)?;
        let launch = launch.grid(blocks_for(x.device(), n)).read(x).read(targets).read(dloss);
        // SAFETY: the kernel's parameters; x, targets and dx have n elements, dloss is one, and packs are aligned.
        unsafe { launch.write(&mut dx).arg(n).arg(packs).start() }?;
        Ok(dx)
    }

    /// The number of elements, and how many packs of four may move at once.
    fn check(&self, x: Slice, targets: Slice) -> (usize, usize) {
        let name = self.source.name;
        let types = x.dtype() == DType::F32 && targets.dtype() == DType::F32;
        assert!(types && x.len() == targets.len() && !x.is_empty(), "{name}: {x:?}, {targets:?}");
        (x.len(), x.packs(4).min(targets.packs(4)))
    }
}
