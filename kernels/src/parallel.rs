//! How work is split between threads.
//!
//! The split depends on shapes only, never on the number of threads, and partial sums are added in a fixed
//! order: the same input gives the same bits on any machine with the same instruction set.

use rayon::prelude::*;

/// Elements one task should touch at least: enough work (some 10 microseconds) to pay for handing it out.
const TASK: usize = 16 * 1024;

/// Rows of one task in a row-wise kernel.
pub(crate) fn rows_per_task(cols: usize) -> usize {
    (TASK / cols.max(1)).max(1)
}

/// Elements of one task in an elementwise kernel.
pub(crate) const fn elements_per_task() -> usize {
    TASK
}

/// Calls `f` on matching chunks of `x` and `y`, in parallel; the lengths are equal.
pub(crate) fn map_chunks(x: &[f32], y: &mut [f32], f: impl Fn(&[f32], &mut [f32]) + Sync) {
    let n = elements_per_task();
    x.par_chunks(n).zip(y.par_chunks_mut(n)).for_each(|(x, y)| f(x, y));
}

/// Calls `f` on matching chunks of `a`, `b` and `y`, in parallel; the lengths are equal.
pub(crate) fn map2_chunks(
    a: &[f32],
    b: &[f32],
    y: &mut [f32],
    f: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
) {
    let n = elements_per_task();
    a.par_chunks(n)
        .zip(b.par_chunks(n))
        .zip(y.par_chunks_mut(n))
        .for_each(|((a, b), y)| f(a, b, y));
}

/// Rows whose contributions to a column sum are added up before the next block of rows is begun.
pub(crate) const ROW_BLOCK: usize = 64;

/// Column sums over row blocks: `block(i, acc)` adds the rows of block `i` to `acc`; the accumulators
/// (`[blocks, width]`) are then added into `out` (`[width]`) in the order of the blocks.
pub(crate) fn sum_blocks(
    rows: usize,
    out: &mut [f32],
    block: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync,
) {
    let width = out.len();
    let mut partial = vec![0.0f32; rows.div_ceil(ROW_BLOCK) * width];
    partial.par_chunks_mut(width.max(1)).enumerate().for_each(|(i, acc)| {
        let start = i * ROW_BLOCK;
        block(start..(start + ROW_BLOCK).min(rows), acc);
    });
    out.fill(0.0);
    for acc in partial.chunks(width.max(1)) {
        for (o, a) in out.iter_mut().zip(acc) {
            *o += a;
        }
    }
}
