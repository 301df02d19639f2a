//! 8 lanes in one 256-bit register.

use std::arch::x86_64::*;

use half::bf16;

use super::Simd;

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The CPU has AVX2 and FMA.
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

impl Simd for Avx2 {
    type F = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: `self` is the proof that the CPU has the instruction.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::F {
        assert!(x.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` elements; the instruction needs no alignment.
        unsafe { _mm256_loadu_ps(x.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: Self::F, y: &mut [f32]) {
        assert!(y.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` elements; the instruction needs no alignment.
        unsafe { _mm256_storeu_ps(y.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn load_bf16(self, x: &[bf16]) -> Self::F {
        assert!(x.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` elements; `self` is the proof that the CPU has the instructions.
        unsafe {
            let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
        }
    }
    /// As `round_bits` of `element.rs`.
    #[inline(always)]
    fn store_bf16(self, v: Self::F, y: &mut [bf16]) {
        assert!(y.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` elements; `self` is the proof that the CPU has the instructions.
        unsafe {
            let bits = _mm256_castps_si256(v);
            let kept = _mm256_srli_epi32::<16>(bits);
            let odd = _mm256_and_si256(kept, _mm256_set1_epi32(1));
            let half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
            let rounded = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, half));
            let quiet = _mm256_or_si256(kept, _mm256_set1_epi32(0x40));
            let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(v, v));
            let words = _mm256_blendv_epi8(rounded, quiet, nan);
            // Packing works on 128-bit halves: the quarters come out as low, low, high, high.
            let packed = _mm256_packus_epi32(words, words);
            let packed = _mm256_permute4x64_epi64::<0b1000>(packed);
            _mm_storeu_si128(y.as_mut_ptr().cast(), _mm256_castsi256_si128(packed));
        }
    }
    op!(add(a, b) = _mm256_add_ps(a, b));
    op!(sub(a, b) = _mm256_sub_ps(a, b));
    op!(mul(a, b) = _mm256_mul_ps(a, b));
    op!(div(a, b) = _mm256_div_ps(a, b));
    op!(fma(a, b, c) = _mm256_fmadd_ps(a, b, c));
    op!(sqrt(a) = _mm256_sqrt_ps(a));
    op!(round(a) = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a));
    op!(
        /// A float is 2^e with e + 127 in bits 23 to 30.
        exp2i(a) = {
            let e = _mm256_add_epi32(_mm256_cvtps_epi32(a), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(e))
        }
    );
    op!(select_gt(a, b, yes, no) = _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)));
    op!(select_nan(a, yes, no) = _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a)));
    op!(
        /// The inverse of `exp2i`.
        exponent(a) = {
            let biased = _mm256_srli_epi32::<23>(_mm256_castps_si256(a));
            _mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)))
        }
    );
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        // SAFETY: `self` is the proof that the CPU has the instructions.
        unsafe {
            let v = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
            _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)))
        }
    }
}
