//! 8 lanes in two 128-bit registers: with one of them at a time the latency of each addition would be seen, as half as
//! many are under way. Every AArch64 that Rust's standard library runs on has NEON, so that its instructions need no
//! proof and no function of their own.

use std::arch::aarch64::*;

use half::bf16;

use super::Simd;

/// The instruction set that every AArch64 has.
#[derive(Clone, Copy)]
pub struct Neon;

/// One intrinsic, on both halves.
macro_rules! op {
    ($(#[$meta:meta])* $name:ident($($a:ident),*) = $e:expr) => {
        $(#[$meta])*
        #[inline(always)]
        fn $name(self, $($a: Self::F),*) -> Self::F {
            let half = |$($a: float32x4_t),*| -> float32x4_t {
                // SAFETY: every AArch64 has the instruction.
                unsafe { $e }
            };
            float32x4x2_t(half($($a.0),*), half($($a.1),*))
        }
    };
}

impl Simd for Neon {
    type F = float32x4x2_t;
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: every AArch64 has the instruction.
        let x = unsafe { vdupq_n_f32(x) };
        float32x4x2_t(x, x)
    }
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::F {
        assert!(x.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` elements.
        unsafe { vld1q_f32_x2(x.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: Self::F, y: &mut [f32]) {
        assert!(y.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` elements.
        unsafe { vst1q_f32_x2(y.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn load_bf16(self, x: &[bf16]) -> Self::F {
        assert!(x.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` elements.
        unsafe {
            let bits = vld1q_u16(x.as_ptr().cast());
            let low = vshll_n_u16::<16>(vget_low_u16(bits));
            let high = vshll_high_n_u16::<16>(bits);
            float32x4x2_t(vreinterpretq_f32_u32(low), vreinterpretq_f32_u32(high))
        }
    }
    #[inline(always)]
    fn store_bf16(self, v: Self::F, y: &mut [bf16]) {
        assert!(y.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` elements.
        unsafe {
            let words = vcombine_u16(vmovn_u32(rounded(v.0)), vmovn_u32(rounded(v.1)));
            vst1q_u16(y.as_mut_ptr().cast(), words);
        }
    }
    op!(add(a, b) = vaddq_f32(a, b));
    op!(sub(a, b) = vsubq_f32(a, b));
    op!(mul(a, b) = vmulq_f32(a, b));
    op!(div(a, b) = vdivq_f32(a, b));
    op!(fma(a, b, c) = vfmaq_f32(c, a, b));
    op!(sqrt(a) = vsqrtq_f32(a));
    op!(round(a) = vrndnq_f32(a));
    op!(
        /// A float is 2^e with e + 127 in bits 23 to 30.
        exp2i(a) = {
            let e = vaddq_s32(vcvtq_s32_f32(a), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(e))
        }
    );
    op!(select_gt(a, b, yes, no) = vbslq_f32(vcgtq_f32(a, b), yes, no));
    op!(select_nan(a, yes, no) = vbslq_f32(vceqq_f32(a, a), no, yes));
    op!(
        /// The inverse of `exp2i`.
        exponent(a) = {
            let biased = vreinterpretq_s32_u32(vshrq_n_u32::<23>(vreinterpretq_u32_f32(a)));
            vcvtq_f32_s32(vsubq_s32(biased, vdupq_n_s32(127)))
        }
    );
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        // SAFETY: every AArch64 has the instructions.
        unsafe {
            let v = vaddq_f32(a.0, a.1);
            vpadds_f32(vadd_f32(vget_low_f32(v), vget_high_f32(v)))
        }
    }
}

/// As `round_bits` of `element.rs`, in the lower halves.
#[inline(always)]
fn rounded(v: float32x4_t) -> uint32x4_t {
    // SAFETY: every AArch64 has the instructions.
    unsafe {
        let bits = vreinterpretq_u32_f32(v);
        let kept = vshrq_n_u32::<16>(bits);
        let half = vaddq_u32(vandq_u32(kept, vdupq_n_u32(1)), vdupq_n_u32(0x7fff));
        let rounded = vshrq_n_u32::<16>(vaddq_u32(bits, half));
        let quiet = vorrq_u32(kept, vdupq_n_u32(0x40));
        vbslq_u32(vceqq_f32(v, v), rounded, quiet)
    }
}
