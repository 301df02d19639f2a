//! Elementary functions on vectors.
//!
//! Each states the greatest error found against f64 over its whole range; `tests/math.rs` repeats the
//! search. Sources: Cephes (S. Moshier, <https://www.netlib.org/cephes/>) for the polynomials of [`exp`]
//! and [`ln`]; the polynomial of [`normal`] is our own fit.

use super::Simd;

/// The first 9 bits of ln 2: times an integer below 2^15 it is exact.
const LN2_HIGH: f32 = 355.0 / 512.0;
/// ln 2 - `LN2_HIGH`.
const LN2_LOW: f32 = -2.121_944_4e-4;

/// e^x, relative error below 1 ulp (1.2e-7).
///
/// x = n ln 2 + r with |r| <= ln 2 / 2, e^x = 2^n e^r, and e^r a polynomial of degree 6 (Cephes `expf`).
/// Below -86.98 the result is 0 (the true value is under 1.7e-38), above 88.72 infinity; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let (n, r) = reduce(s, x);
    exp_reduced(s, x, n, r)
}

/// 1 / (1 + e^-x) and its derivative, relative error of both below 3 ulp; at most 1.7e-38 becomes 0.
///
/// With e = e^-|x| the value is 1 / (1 + e) or e / (1 + e), the derivative e / (1 + e)^2: no overflow and
/// no cancellation on either side.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let zero = s.splat(0.0);
    let e = exp(s, s.sub(zero, s.abs(x)));
    let near_one = s.div(s.splat(1.0), s.add(e, s.splat(1.0)));
    let near_zero = s.mul(e, near_one);
    (s.select_gt(x, zero, near_one, near_zero), s.mul(near_zero, near_one))
}

/// tanh x, relative error below 2 ulp, denormals included.
///
/// With m = e^2x - 1 it is m / (m + 2); m = 2^n (e^r - 1) + (2^n - 1) loses nothing around 0. From |x| = 10
/// on, the nearest float is 1.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    let x = clamp(s, x, 10.0);
    let (n, r) = reduce(s, s.add(x, x));
    let power = s.exp2i(n);
    let m = s.fma(power, expm1_reduced(s, r), s.sub(power, s.splat(1.0)));
    s.div(m, s.add(m, s.splat(2.0)))
}

/// The standard normal distribution function P(X <= x) = erfc(-x / sqrt 2) / 2, and its density.
///
/// Relative error of both below 4 ulp while above 1e-37, 0 further left. For x < 0
///
/// ```text
/// cdf = e^(-x^2 / 2) Q(|x|)      Q(x) = e^(x^2 / 2) erfc(x / sqrt 2) / 2 = t poly(u)
/// t = 1 / (x + 3)                u = 1 - 6 t, which maps [0, 13.3] to [-1, 0.63]
/// ```
///
/// and 1 - cdf(-x) for x > 0: no cancellation in the left tail, where erf would lose all digits. The
/// polynomial is a Remez fit of relative error 4e-8 (the substitution: Shepherd and Laframboise, *Chebyshev
/// approximation of (1+2x) exp(x^2) erfc x*, 1981). x^2 / 2 is taken in two parts, because an error of one
/// ulp in an exponent of 80 is one of 4e-6 in the power.
#[inline(always)]
pub(crate) fn normal<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    const POLY: [f32; 9] = [
        -2.722_039_4e-4,
        -9.114_203e-4,
        1.077_484_5e-3,
        6.929_5e-3,
        -1.047_951_9e-2,
        -4.725_722e-2,
        2.300_192_6e-1,
        -5.093_322_4e-1,
        7.290_836_6e-1,
    ];
    const SQRT_1_2PI: f32 = 0.398_942_3;
    // Beyond 14 everything is 0 or 1.
    let a = s.abs(clamp(s, x, 14.0));
    let gauss = exp_minus_half_square(s, a);
    let t = s.div(s.splat(1.0), s.add(a, s.splat(3.0)));
    let u = s.fma(t, s.splat(-6.0), s.splat(1.0));
    let left = s.mul(gauss, s.mul(t, horner(s, u, &POLY)));
    let cdf = s.select_gt(x, s.splat(0.0), s.sub(s.splat(1.0), left), left);
    (cdf, s.mul(gauss, s.splat(SQRT_1_2PI)))
}

/// The natural logarithm, relative error below 1 ulp, denormals included; ln 0 = -inf, ln of less is NaN.
///
/// x = 2^e m with m in [sqrt 1/2, sqrt 2], ln x = e ln 2 + ln(1 + f) with f = m - 1, and ln(1 + f) =
/// f - f^2 / 2 + f^3 poly(f) (Cephes `logf`).
#[inline(always)]
pub(crate) fn ln<S: Simd>(s: S, x: S::F) -> S::F {
    const POLY: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_84e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    let (e, f) = split_power(s, x);
    let f2 = s.mul(f, f);
    let y = s.mul(s.mul(f, f2), horner(s, f, &POLY));
    let y = s.fma(e, s.splat(LN2_LOW), y);
    let y = s.add(f, s.fma(f2, s.splat(-0.5), y));
    let y = s.fma(e, s.splat(LN2_HIGH), y);
    let y = s.select_gt(x, s.splat(f32::MAX), x, y);
    let y = s.select_gt(s.splat(SMALLEST), x, s.splat(f32::NEG_INFINITY), y);
    s.select_gt(s.splat(0.0), x, s.splat(f32::NAN), y)
}

/// x within [-bound, bound]; NaN stays NaN.
#[inline(always)]
pub(crate) fn clamp<S: Simd>(s: S, x: S::F, bound: f32) -> S::F {
    let (low, high) = (s.splat(-bound), s.splat(bound));
    let x = s.select_gt(x, high, high, x);
    s.select_gt(low, x, low, x)
}

/// The smallest number above 0.
const SMALLEST: f32 = f32::from_bits(1);

/// c_0 x^(n-1) + ... + c_(n-1)
#[inline(always)]
fn horner<S: Simd>(s: S, x: S::F, coefficients: &[f32]) -> S::F {
    let mut p = s.splat(coefficients[0]);
    for c in &coefficients[1..] {
        p = s.fma(p, x, s.splat(*c));
    }
    p
}

/// (n, r) with x = n ln 2 + r, n whole and |r| <= ln 2 / 2. ln 2 is in two parts: n ln 2 loses no bits.
#[inline(always)]
fn reduce<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-LN2_HIGH), x);
    (n, s.fma(n, s.splat(-LN2_LOW), r))
}

/// e^r - 1 for |r| <= 0.37.
#[inline(always)]
fn expm1_reduced<S: Simd>(s: S, r: S::F) -> S::F {
    const POLY: [f32; 6] =
        [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.0e-1];
    s.fma(s.mul(r, r), horner(s, r, &POLY), r)
}

/// 2^n e^r, where `x`, near n ln 2 + r, decides on 0 and infinity.
#[inline(always)]
fn exp_reduced<S: Simd>(s: S, x: S::F, n: S::F, r: S::F) -> S::F {
    let y = s.add(expm1_reduced(s, r), s.splat(1.0));
    // 2^128 is no float: scale by 2^(n-1), then by 2. At -86.98 n is -125, the last that this can do.
    let y = s.mul(s.mul(y, s.exp2i(s.sub(n, s.splat(1.0)))), s.splat(2.0));
    let y = s.select_gt(s.splat(-86.98), x, s.splat(0.0), y);
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

/// e^(-x^2 / 2) for |x| <= 14.
///
/// x = h + l with h of 12 bits (Veltkamp's splitting), so that h^2 is exact; the rest, (h - x)(x + h) / 2,
/// is below 0.03 and joins the exponent after its reduction.
#[inline(always)]
fn exp_minus_half_square<S: Simd>(s: S, x: S::F) -> S::F {
    let c = s.mul(x, s.splat(4097.0));
    let h = s.sub(c, s.sub(c, x));
    let high = s.mul(s.mul(h, h), s.splat(-0.5));
    let low = s.mul(s.mul(s.sub(h, x), s.add(x, h)), s.splat(0.5));
    let (n, r) = reduce(s, high);
    exp_reduced(s, high, n, s.add(r, low))
}

/// (e, f) with x = 2^e (1 + f) and 1 + f in [sqrt 1/2, sqrt 2], for finite x > 0.
#[inline(always)]
fn split_power<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    const TWO_23: f32 = 8_388_608.0;
    let (zero, one) = (s.splat(0.0), s.splat(1.0));
    let least = s.splat(f32::MIN_POSITIVE);
    let raised = s.select_gt(least, x, s.splat(23.0), zero);
    let x = s.mul(x, s.select_gt(least, x, s.splat(TWO_23), one));
    let e = s.exponent(x);
    // 2^-127 is no normal float: scale by 2^(1-e), then by 1/2.
    let m = s.mul(s.mul(x, s.exp2i(s.sub(one, e))), s.splat(0.5));
    let root = s.splat(std::f32::consts::SQRT_2);
    let half = s.select_gt(m, root, s.splat(0.5), one);
    let e = s.add(e, s.select_gt(m, root, one, zero));
    (s.sub(e, raised), s.sub(s.mul(m, half), one))
}
