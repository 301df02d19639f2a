//! Matrix product of f32 and of bf16.
//!
//! ```text
//! forward    C  = A B          c_ij  = sum_k a_ik b_kj
//! backward   dA = dC B^T       da_ik = sum_j dc_ij b_kj
//!            dB = A^T dC       db_kj = sum_i a_ik dc_ij
//! ```
//!
//! Shapes: `[M, K] x [K, N] -> [M, N]`. All three are the same product of views: [`MatRef::t`] transposes
//! without a copy. A linear layer with its weight `[N, K]` is `gemm(x, w.t(), y)`, its gradients are
//! `gemm(dy, w, dx)` and `gemm(dy.t(), x, dw)`.
//!
//! Sums are f32, in the order of k (in partial sums, one a lane, where N <= 8); blocks of K are added one after
//! the other, and K is never split between threads. A row of C has the same bits alone and among others. No
//! product is skipped: 0 x NaN is NaN. Where an operand is bf16, the other one is rounded to bf16; products and
//! sums are f32, and rounded once if C is bf16.
//!
//! From the inside out: `portable`, `neon`, `avx2`, `avx512`, `avx512bf16` and `amx` hold the micro-kernels, `pack` the
//! copies that feed them, `blocked` the loops around them; `narrow` does without all of these. `kernels/README.md`
//! has a table of which runs when. [`ladder`] climbs from the definition to there, a step a file. Above:
//! `tensor/src/ops/matmul.rs`.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512bf16;
mod blocked;
pub mod cuda;
mod kernel;
pub mod ladder;
mod narrow;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pack;
mod portable;
pub mod reference;
mod store;
mod view;

use rayon::prelude::*;

use blocked::{Product, SERIAL_WORK};
pub use store::Store;
pub use view::{MatMut, MatRef, Values, ValuesMut};

/// C = A B, by the rule of `store`, on the threads of the current rayon pool.
///
/// `a` is `[M, K]`, `b` is `[K, N]`, `c` is `[M, N]`.
///
/// # Panics
/// When the shapes disagree, or `store` has both a bias and `accumulate`.
pub fn gemm(a: MatRef, b: MatRef, c: MatMut, store: Store) {
    if let Some(product) = prepare(a, b, c, store) {
        // SAFETY: `prepare` has taken the exclusive borrow of C.
        unsafe { product.run() }
    }
}

/// [`gemm`] on this thread alone: what tests compare its bits with, and benchmarks its speed.
///
/// # Panics
/// As [`gemm`].
pub fn gemm_serial(a: MatRef, b: MatRef, c: MatMut, store: Store) {
    if let Some(product) = prepare(a, b, c, store) {
        // SAFETY: `prepare` has taken the exclusive borrow of C.
        unsafe { product.run_serial() }
    }
}

/// `batch` products of one shape, in parallel where there is work for several threads: C_i = A_i B_i with
/// `operands(i)` = (A_i, B_i).
///
/// `c` is `[batch, M, N]` without gaps; `store` holds for each product.
///
/// # Panics
/// As [`gemm`]; when `c` has another length.
pub fn gemm_batched<'a>(
    batch: usize,
    operands: impl Fn(usize) -> (MatRef<'a>, MatRef<'a>) + Sync,
    c: &mut [f32],
    store: Store,
) {
    if c.is_empty() {
        return;
    }
    assert!(batch > 0 && c.len().is_multiple_of(batch), "matmul: {} in {batch} parts", c.len());
    let (work, len) = (c.len() * operands(0).0.cols(), c.len() / batch);
    let product = |(i, c): (usize, &mut [f32])| {
        let (a, b) = operands(i);
        assert_eq!(c.len(), a.rows() * b.cols(), "matmul: length of c in product {i}");
        gemm(a, b, MatMut::new(c, a.rows(), b.cols()), store);
    };
    if batch == 1 || work <= SERIAL_WORK {
        c.chunks_mut(len).enumerate().for_each(product);
    } else {
        c.par_chunks_mut(len).enumerate().for_each(product);
    }
}

/// Checks the shapes; none where nothing is left to multiply.
fn prepare<'a>(
    a: MatRef<'a>,
    b: MatRef<'a>,
    c: MatMut<'a>,
    store: Store<'a>,
) -> Option<Product<'a>> {
    let (m, n) = (a.rows(), b.cols());
    assert_eq!(a.cols(), b.rows(), "matmul: {:?} times {:?}", a.shape(), b.shape());
    assert_eq!(c.shape(), [m, n], "matmul: shape of the output");
    if let Some(bias) = store.bias {
        assert!(!store.accumulate, "matmul: a bias and accumulate");
        assert_eq!(bias.len(), n, "matmul: length of the bias");
    }
    if m == 0 || n == 0 {
        return None;
    }
    let c = c.share();
    if a.cols() == 0 {
        // SAFETY: `c` comes from an exclusive borrow and is used here only.
        unsafe { c.store_zero(store) };
        return None;
    }
    Some(Product { a, b, c, store })
}
