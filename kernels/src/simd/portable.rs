//! Eight lanes in plain Rust: the compiler maps them to whatever the target's baseline has (two SSE
//! registers on x86-64).

use super::Simd;

/// The instruction set that every CPU has.
#[derive(Clone, Copy)]
pub struct Portable;

const LANES: usize = 8;
type F = [f32; LANES];

/// 1.5 * 2^23: a number below 2^22 added to it keeps no bits of a fraction, and its integer part becomes the low
/// bits of the sum.
const MAGIC: f32 = 12_582_912.0;

#[inline(always)]
fn zip(a: F, b: F, f: impl Fn(f32, f32) -> f32) -> F {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Simd for Portable {
    type F = F;
    const LANES: usize = LANES;

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, x: &[f32]) -> F {
        std::array::from_fn(|i| x[i])
    }
    #[inline(always)]
    fn store(self, v: F, y: &mut [f32]) {
        y[..LANES].copy_from_slice(&v);
    }
    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a / b)
    }
    /// Two roundings: `f32::mul_add` is a library call where the baseline has no such instruction.
    #[inline(always)]
    fn fma(self, a: F, b: F, c: F) -> F {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn sqrt(self, a: F) -> F {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn round(self, a: F) -> F {
        a.map(|a| (a + MAGIC) - MAGIC)
    }
    /// A float is 2^e with e + 127 in bits 23 to 30. The low bits of `a + MAGIC` are those of the integer a: an
    /// addition, where `a as i32` would check its range in code that is not vectorized.
    #[inline(always)]
    fn exp2i(self, a: F) -> F {
        a.map(|a| f32::from_bits((a + MAGIC).to_bits().wrapping_add(127) << 23))
    }
    #[inline(always)]
    fn select_gt(self, a: F, b: F, yes: F, no: F) -> F {
        std::array::from_fn(|i| if a[i] > b[i] { yes[i] } else { no[i] })
    }
    #[inline(always)]
    fn select_nan(self, a: F, yes: F, no: F) -> F {
        std::array::from_fn(|i| if a[i].is_nan() { yes[i] } else { no[i] })
    }
    /// The inverse of `exp2i`.
    #[inline(always)]
    fn exponent(self, a: F) -> F {
        a.map(|a| ((a.to_bits() >> 23) as i32 - 127) as f32)
    }
    #[inline(always)]
    fn sum(self, a: F) -> f32 {
        let pairs: [f32; 4] = std::array::from_fn(|i| a[i] + a[i + 4]);
        (pairs[0] + pairs[2]) + (pairs[1] + pairs[3])
    }
}
