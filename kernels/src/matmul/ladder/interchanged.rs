//! The same sums with k in the middle: a row of C is a sum of rows of B, each scaled by an element of A.
//!
//! The inner loop now goes along rows. Every byte of a cache line is used, the next line is known before it is
//! needed, and neighbours are sums of their own: the compiler computes several with one instruction. Each element
//! still adds its products in the order of k, so it has the bits of `naive`.
//!
//! What is left: a multiplication costs a load of B and a load and a store of C, and all of B passes for each row
//! of A, from L2 or beyond.

use super::Shape;

/// C = A B for `a` `[M, K]`, `b` `[K, N]` and `c` `[M, N]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn product(a: &[f32], b: &[f32], c: &mut [f32], shape: Shape) {
    shape.check(a, b, c);
    let Shape { m, n, k } = shape;
    c.fill(0.0);
    for i in 0..m {
        for p in 0..k {
            add_scaled(a[i * k + p], &b[p * n..][..n], &mut c[i * n..][..n]);
        }
    }
}

/// c += a b
pub(super) fn add_scaled(a: f32, b: &[f32], c: &mut [f32]) {
    c.iter_mut().zip(b).for_each(|(c, b)| *c += a * b);
}
