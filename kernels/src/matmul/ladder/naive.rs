//! The definition, c_ij = sum_k a_ik b_kj, as it is written.
//!
//! One sum at a time: each addition waits some 3 or 4 cycles for the one before it. Each step loads two numbers for
//! one multiplication, and going down a column of B it touches a cache line of 64 bytes to use 4 of them; the next
//! column needs the same lines again, when they are gone.

use super::Shape;

/// C = A B for `a` `[M, K]`, `b` `[K, N]` and `c` `[M, N]`.
///
/// # Panics
/// When the lengths do not fit.
pub fn product(a: &[f32], b: &[f32], c: &mut [f32], shape: Shape) {
    shape.check(a, b, c);
    let Shape { m, n, k } = shape;
    for i in 0..m {
        for j in 0..n {
            let mut sum = 0.0;
            for p in 0..k {
                sum += a[i * k + p] * b[p * n + j];
            }
            c[i * n + j] = sum;
        }
    }
}
