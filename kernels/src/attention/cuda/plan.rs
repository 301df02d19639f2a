//! Which kernel computes an attention, and what it needs.

use super::{Attention, FLASH, FLASH_BACKWARD, MAX_HEAD_DIM, PLAIN, Relative};
use crate::cuda::{DType, Slice, Source, WARP};

/// A kernel and the shape of its blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    pub(super) source: &'static Source,
    pub(super) name: &'static str,
    /// Rows of a block: queries, or keys for dk and dv.
    pub(super) tile: usize,
    pub(super) threads: u32,
    /// Bytes of shared memory.
    pub(super) shared: usize,
}

/// The kernels of both directions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) forward: Kernel,
    /// dk and dv.
    pub(super) dkdv: Kernel,
    /// dq.
    pub(super) dq: Kernel,
    /// Whether the forward leaves its dropout mask to the backward.
    pub(super) keeps_mask: bool,
}

/// Rows and columns of a tile of `flash.cu` and `flash_backward.cu`.
pub(super) const FLASH_TILE: usize = 64;
/// Threads of their blocks.
pub(super) const FLASH_THREADS: usize = 128;

/// The alignment of what `cp.async` reads.
const COPY: u64 = 16;

impl Path {
    /// Tensor cores where the operands allow it. Folding the scale into the exponent takes a positive one. What scores
    /// have by distance is 2R + 1 wide.
    pub(super) fn choose(a: Attention, operands: &[Slice], widths: Relative<usize>) -> Self {
        assert!(a.head_dim <= MAX_HEAD_DIM, "attention: heads of {} on a GPU", a.head_dim);
        let bf16 = operands.iter().all(|x| x.dtype() == DType::BF16);
        let aligned = operands.iter().all(|x| x.address().is_multiple_of(COPY));
        let fits = bf16 && aligned && a.scale > 0.0;
        let flash = if fits { flash(a.head_dim, widths) } else { None };
        flash.unwrap_or_else(|| plain(a.head_dim, widths))
    }
}

/// Which of a kernel's sources it is, and the rows of a bias, which is in shared memory.
fn variant(widths: Relative<usize>) -> (usize, usize) {
    match widths {
        Relative::None => (0, 0),
        Relative::Bias(rows) => (1, rows),
        Relative::Products(_) => (2, 0),
    }
}

/// The names of the kernels for heads up to `$width` wide: forward, dk and dv, dq.
macro_rules! names {
    ($kind:literal, $width:literal) => {
        [
            concat!("attention_", $kind, "_forward_", $width),
            concat!("attention_", $kind, "_backward_dkdv_", $width),
            concat!("attention_", $kind, "_backward_dq_", $width),
        ]
    };
}

/// `flash.cu` and `flash_backward.cu`, which have heads of these sizes.
fn flash(head_dim: usize, widths: Relative<usize>) -> Option<Path> {
    let (variant, bias_rows) = variant(widths);
    let alone = widths == Relative::None;
    let [forward, dkdv, dq] = match head_dim {
        32 => names!("flash", "32"),
        64 => names!("flash", "64"),
        96 if alone => names!("flash", "96"),
        128 if alone => names!("flash", "128"),
        _ => return None,
    };
    let kernel = |sources: &'static [Source; 3], name, tiles: usize, more: usize| {
        let tiles = tiles * FLASH_TILE * head_dim * DType::BF16.size();
        let shared = tiles + more + bias_rows * DType::F32.size();
        let (source, threads) = (&sources[variant], FLASH_THREADS as u32);
        Kernel { source, name, tile: FLASH_TILE, threads, shared }
    };
    // lse and delta of the queries of two stages, and the mask.
    let statistics = 2 * (2 * FLASH_TILE * DType::F32.size() + FLASH_THREADS * DType::U32.size());
    // The gradients of a step of each warp, `STEP_STRIDE` of the kernels for each of its rows; dbias of each warp.
    let step = FLASH_TILE * 40 * DType::F32.size();
    let sums = FLASH_THREADS / WARP * bias_rows * DType::F32.size();
    let (for_dkdv, for_dq) = match widths {
        Relative::None => (0, 0),
        Relative::Bias(_) => (0, step + sums),
        Relative::Products(_) => (step, step),
    };
    Some(Path {
        // q, two stages of k and v.
        forward: kernel(&FLASH, forward, 5, 0),
        // k and v, two stages of q and do.
        dkdv: kernel(&FLASH_BACKWARD, dkdv, 6, statistics + for_dkdv),
        // q and do, two stages of k and v.
        dq: kernel(&FLASH_BACKWARD, dq, 6, for_dq),
        keeps_mask: true,
    })
}

/// `plain.cu`.
fn plain(head_dim: usize, widths: Relative<usize>) -> Path {
    let (variant, bias_rows) = variant(widths);
    let (width, forward_tile, backward_tile, [forward, dkdv, dq]) = match head_dim {
        0..=32 => (32, 64, 64, names!("plain", "32")),
        33..=64 => (64, 64, 64, names!("plain", "64")),
        65..=128 => (128, 64, 32, names!("plain", "128")),
        _ => (256, 32, 16, names!("plain", "256")),
    };
    let source = &PLAIN[variant];
    let kernel = |name, tile: usize, tiles: usize, more: usize| {
        // `STRIDE` and `P_STRIDE` of the kernels.
        let elements = tiles * tile * (width + 4) + tile * (tile + 16) + more;
        let shared = elements * DType::F32.size();
        Kernel { source, name, tile, threads: 256, shared }
    };
    Path {
        // q, then k and v in turn.
        forward: kernel(forward, forward_tile, 2, bias_rows),
        dkdv: kernel(dkdv, backward_tile, 4, bias_rows),
        // The bias and its gradient.
        dq: kernel(dq, backward_tile, 4, 2 * bias_rows),
        keeps_mask: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::MAX_REACH;
    use super::*;

    /// What a block may have on every GPU since Ampere.
    const LIMIT: usize = 99 << 10;

    #[test]
    fn shared_memory_fits_every_gpu() {
        // What `block_sum` has beside, and what aligns the rest.
        const SUMS: usize = 1 << 10;
        let width = 2 * MAX_REACH + 1;
        let variants = [Relative::None, Relative::Bias(width), Relative::Products([width; 2])];
        for (head_dim, widths) in (1..=MAX_HEAD_DIM).flat_map(|d| variants.map(|v| (d, v))) {
            for path in
                [Some(plain(head_dim, widths)), flash(head_dim, widths)].into_iter().flatten()
            {
                for kernel in [path.forward, path.dkdv, path.dq] {
                    let sums = if widths == Relative::None { 0 } else { SUMS };
                    let shared = kernel.shared + sums;
                    assert!(shared <= LIMIT, "{}: {shared} bytes", kernel.name);
                }
            }
        }
    }
}
