//! Elementary functions on vectors.
//!
//! Each states the greatest error found against f64 over its whole range; a test repeats the search.

use super::Simd;

/// e^x, relative error below 2 ulp (2.4e-7).
///
/// x = n ln 2 + r with |r| <= ln 2 / 2, e^x = 2^n e^r, and e^r a polynomial of degree 6 (Cephes `expf`,
/// S. Moshier, <https://www.netlib.org/cephes/>). ln 2 is split in two so that n ln 2 loses no bits.
/// Below -87 the result is 0 (the true value is under 1.7e-38), above 88.72 infinity; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    const POLY: [f32; 6] =
        [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.0e-1];
    const LN2_HIGH: f32 = 0.693_359_375;
    const LN2_LOW: f32 = -2.121_944_4e-4;

    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-LN2_HIGH), x);
    let r = s.fma(n, s.splat(-LN2_LOW), r);
    let mut p = s.splat(POLY[0]);
    for c in &POLY[1..] {
        p = s.fma(p, r, s.splat(*c));
    }
    let y = s.add(s.fma(s.mul(r, r), p, r), s.splat(1.0));
    // 2^128 is no float: scale by 2^(n-1), then by 2.
    let y = s.mul(s.mul(y, s.exp2i(s.sub(n, s.splat(1.0)))), s.splat(2.0));
    let y = s.select_gt(s.splat(-87.0), x, s.splat(0.0), y);
    s.select_gt(x, s.splat(88.722_84), s.splat(f32::INFINITY), y)
}

/// ln(1 + x) for x in [0, 1], relative error below 3 ulp (3.6e-7), near 0 too; NaN stays NaN.
///
/// ln(1 + x) = 2 atanh z with z = x / (2 + x) <= 1/3, and atanh(z) / z a polynomial of degree 5 in z^2:
/// least squares at 400 Chebyshev nodes of [0, 1/9], relative error 1e-10 before rounding.
#[inline(always)]
pub(crate) fn ln_1p<S: Simd>(s: S, x: S::F) -> S::F {
    const POLY: [f32; 5] = [0.244_094_03, 0.213_942_68, 0.286_206_25, 0.399_986_95, 0.666_666_8];

    let z = s.div(x, s.add(s.splat(2.0), x));
    let u = s.mul(z, z);
    let mut p = s.splat(POLY[0]);
    for c in &POLY[1..] {
        p = s.fma(p, u, s.splat(*c));
    }
    s.fma(s.mul(z, u), p, s.add(z, z))
}
