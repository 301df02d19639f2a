//! How work is split between threads.
//!
//! The split depends on shapes only, never on the number of threads, and partial sums are added in a fixed
//! order: the same input gives the same bits on any machine with the same instruction set.

use std::marker::PhantomData;

use rayon::prelude::*;

use crate::simd::Element;

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
pub(crate) fn map_chunks<A: Element, B: Element>(
    x: &[A],
    y: &mut [B],
    f: impl Fn(&[A], &mut [B]) + Sync,
) {
    let n = elements_per_task();
    x.par_chunks(n).zip(y.par_chunks_mut(n)).for_each(|(x, y)| f(x, y));
}

/// Calls `f` on matching chunks of `a`, `b` and `y`, in parallel; the lengths are equal.
pub(crate) fn map2_chunks<E: Element>(
    a: &[E],
    b: &[E],
    y: &mut [E],
    f: impl Fn(&[E], &[E], &mut [E]) + Sync,
) {
    let n = elements_per_task();
    a.par_chunks(n)
        .zip(b.par_chunks(n))
        .zip(y.par_chunks_mut(n))
        .for_each(|((a, b), y)| f(a, b, y));
}

/// The mean of a function of two numbers over all elements of `a` and `b`, whose lengths are equal. `sum` adds it up
/// over matching chunks, in parallel; their sums are added in order.
pub(crate) fn mean2_chunks(
    a: &[f32],
    b: &[f32],
    sum: impl Fn(&[f32], &[f32]) -> f64 + Sync,
) -> f32 {
    let n = elements_per_task();
    let sums: Vec<f64> = a.par_chunks(n).zip(b.par_chunks(n)).map(|(a, b)| sum(a, b)).collect();
    (sums.iter().sum::<f64>() / a.len() as f64) as f32
}

/// Rows whose contributions to a column sum are added up before the next block of rows is begun.
pub(crate) const ROW_BLOCK: usize = 64;

/// Column sums over blocks of rows: `block(rows, acc)` adds these rows, a block of all, to `acc`; the accumulators
/// (`[blocks, width]`) are then added up in `out` (`[width]`, overwritten) in the order of the blocks.
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
    add_partials(&partial, out);
}

/// Adds the accumulators of all blocks (`[blocks, width]`) up into `out` (`[width]`), in their order.
pub(crate) fn add_partials(partial: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for acc in partial.chunks(out.len().max(1)) {
        for (o, a) in out.iter_mut().zip(acc) {
            *o += a;
        }
    }
}

/// The rows `ids`, ascending and distinct, of a table with rows of `h`, for tasks to write at once.
pub(crate) fn pick_rows(
    ids: impl IntoIterator<Item = u32>,
    h: usize,
    mut table: &mut [f32],
) -> Vec<&mut [f32]> {
    let mut next = 0;
    let mut rows = Vec::new();
    for id in ids {
        let (row, rest) = table[(id as usize - next) * h..].split_at_mut(h);
        rows.push(row);
        (table, next) = (rest, id as usize + 1);
    }
    rows
}

/// A slice that several tasks write at once, each to elements of its own: the columns of an attention head, or a
/// tile of a matrix product, which no split of a row-major matrix into slices can hand out.
///
/// It is made from an exclusive borrow, so that nobody but its users can reach the elements; that these keep
/// apart is what the callers of [`slice`](Self::slice) vouch for.
pub(crate) struct Shared<'a, T = f32> {
    data: *mut T,
    len: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<'_, T> {}

// SAFETY: elements are reached through `slice`, `read` and `pointer` alone, whose callers vouch that no two users share
// one that is written.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// Takes the slice until the last use of what `slice` hands out.
    pub(crate) fn new(data: &'a mut [T]) -> Self {
        Self { data: data.as_mut_ptr(), len: data.len(), lifetime: PhantomData }
    }

    /// Elements of the slice.
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// The `n` elements from `at` on; panics when they lie outside.
    ///
    /// # Safety
    /// While the result lives, no other result of this function has an element in common with it.
    #[inline(always)]
    pub(crate) unsafe fn slice(self, at: usize, n: usize) -> &'a mut [T] {
        assert!(at <= self.len && n <= self.len - at, "shared: {at} + {n} of {}", self.len);
        // SAFETY: inside the slice that `new` took for 'a, and by the caller's word not handed out twice.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(at), n) }
    }

    /// Where the `n` elements from `at` on are, for what lies between those of others; panics when they lie outside.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) fn pointer(self, at: usize, n: usize) -> *mut T {
        assert!(at <= self.len && n <= self.len - at, "shared: {at} + {n} of {}", self.len);
        self.data.wrapping_add(at)
    }

    /// The `n` elements from `at` on, for reading; panics when they lie outside.
    ///
    /// # Safety
    /// While the result lives, nobody writes these elements.
    #[inline(always)]
    pub(crate) unsafe fn read(self, at: usize, n: usize) -> &'a [T] {
        assert!(at <= self.len && n <= self.len - at, "shared: {at} + {n} of {}", self.len);
        // SAFETY: inside the slice that `new` took for 'a, and by the caller's word not written meanwhile.
        unsafe { std::slice::from_raw_parts(self.data.add(at), n) }
    }
}
