//! 16 lanes in one 512-bit register.

use std::arch::x86_64::*;

use half::bf16;

use super::Simd;

/// Proof that the CPU has AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy)]
pub struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The CPU has AVX-512 F, BW, DQ and VL.
    #[inline(always)]
    pub(crate) unsafe fn assume() -> Self {
        Self(())
    }
}

/// One intrinsic.
macro_rules! op {
    ($(#[$meta:meta])* $name:ident($($a:ident),*) = $e:expr) => {
        $(#[$meta])*
        #[inline(always)]
        fn $name(self, $($a: Self::F),*) -> Self::F {
            // SAFETY: `self` is the proof that the CPU has the instruction.
            unsafe { $e }
        }
    };
}

impl Simd for Avx512 {
    type F = __m512;
    const LANES: usize = 16;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: `self` is the proof that the CPU has the instruction.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::F {
        assert!(x.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` elements; the instruction needs no alignment.
        unsafe { _mm512_loadu_ps(x.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: Self::F, y: &mut [f32]) {
        assert!(y.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` elements; the instruction needs no alignment.
        unsafe { _mm512_storeu_ps(y.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn load_bf16(self, x: &[bf16]) -> Self::F {
        assert!(x.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` elements; `self` is the proof that the CPU has the instructions.
        unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(x.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        }
    }
    /// As `round_bits` of `element.rs`.
    #[inline(always)]
    fn store_bf16(self, v: Self::F, y: &mut [bf16]) {
        assert!(y.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` elements; `self` is the proof that the CPU has the instructions.
        unsafe {
            let bits = _mm512_castps_si512(v);
            let kept = _mm512_srli_epi32::<16>(bits);
            let odd = _mm512_and_si512(kept, _mm512_set1_epi32(1));
            let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
            let rounded = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, half));
            let quiet = _mm512_or_si512(kept, _mm512_set1_epi32(0x40));
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v);
            let words = _mm512_mask_blend_epi32(nan, rounded, quiet);
            _mm256_storeu_si256(y.as_mut_ptr().cast(), _mm512_cvtepi32_epi16(words));
        }
    }
    op!(add(a, b) = _mm512_add_ps(a, b));
    op!(sub(a, b) = _mm512_sub_ps(a, b));
    op!(mul(a, b) = _mm512_mul_ps(a, b));
    op!(div(a, b) = _mm512_div_ps(a, b));
    op!(fma(a, b, c) = _mm512_fmadd_ps(a, b, c));
    op!(sqrt(a) = _mm512_sqrt_ps(a));
    op!(round(a) = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a));
    op!(
        /// A float is 2^e with e + 127 in bits 23 to 30.
        exp2i(a) = {
            let e = _mm512_add_epi32(_mm512_cvtps_epi32(a), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(e))
        }
    );
    op!(select_gt(a, b, yes, no) =
        _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), no, yes));
    op!(select_nan(a, yes, no) =
        _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a), no, yes));
    op!(exponent(a) = _mm512_getexp_ps(a));
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        // SAFETY: `self` is the proof that the CPU has the instructions.
        unsafe { _mm512_reduce_add_ps(a) }
    }
}
