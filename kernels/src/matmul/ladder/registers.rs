//! 4 x 8 sums at a time, in registers while all of K passes.
//!
//! A step of K is an outer product: it loads 4 numbers of A and 8 of B for 32 multiplications, and C is written once.
//! The sums are eight vectors of four lanes, of the sixteen registers that any 64-bit CPU has. Bits are those of
//! `naive`: each sum is one accumulator in the order of k.
//!
//! What is left is the memory. Going down eight columns of B touches a line for each k and uses half of it, and lines
//! that are a power of two of bytes apart compete for the few places that a cache has for such: at N = 512, a row
//! of 2 KiB, L1 keeps 16 or 24 of them, so hardly any is still there for the next tile.

use super::Shape;

/// Rows of a tile of C.
const ROWS: usize = 4;

/// Columns of a tile of C.
const COLS: usize = 8;

/// C = A B for `a` `[M, K]`, `b` `[K, N]` and `c` `[M, N]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn product(a: &[f32], b: &[f32], c: &mut [f32], shape: Shape) {
    shape.check(a, b, c);
    let whole = shape.m - shape.m % ROWS;
    for i in (0..whole).step_by(ROWS) {
        rows::<ROWS>((a, b), c, shape, i);
    }
    for i in whole..shape.m {
        rows::<1>((a, b), c, shape, i);
    }
}

/// The rows of C from `i` on.
fn rows<const R: usize>(ab: (&[f32], &[f32]), c: &mut [f32], shape: Shape, i: usize) {
    let whole = shape.n - shape.n % COLS;
    for j in (0..whole).step_by(COLS) {
        tile::<R, COLS>(ab, c, shape, (i, j));
    }
    for j in whole..shape.n {
        tile::<R, 1>(ab, c, shape, (i, j));
    }
}

/// The tile of C whose first element is (i, j).
fn tile<const R: usize, const C: usize>(
    (a, b): (&[f32], &[f32]),
    c: &mut [f32],
    Shape { n, k, .. }: Shape,
    (i, j): (usize, usize),
) {
    let mut sums = [[0.0; C]; R];
    let a: [&[f32]; R] = std::array::from_fn(|r| &a[(i + r) * k..][..k]);
    for p in 0..k {
        let b = &b[p * n + j..][..C];
        for r in 0..R {
            for s in 0..C {
                sums[r][s] += a[r][p] * b[s];
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        c[(i + r) * n + j..][..C].copy_from_slice(sums);
    }
}
