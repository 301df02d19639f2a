//! The most that a core computes: multiplications and additions on registers alone, nothing loaded or stored. What
//! benches divide by.

use std::hint::black_box;

use crate::isa::Isa;

/// Steps of a burst: some 10 microseconds, in which the start is not seen.
const STEPS: usize = 4096;

/// Computes as fast as this core can with `isa`, in f32 or with products of bf16; returns the number of operations.
/// None where that has no instruction of its own here.
///
/// # Panics
/// When the CPU lacks `isa`.
pub fn burst(isa: Isa, bf16: bool) -> Option<usize> {
    assert!(crate::isa::is_supported(isa), "peak: {isa:?} asked for");
    match (isa, bf16) {
        (Isa::Portable, false) => Some(portable()),
        #[cfg(target_arch = "aarch64")]
        (Isa::Neon, false) => Some(neon()),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the CPU has it, by the assertion.
        (Isa::Avx2, false) => Some(unsafe { x86::avx2() }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        (Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx, false) => Some(unsafe { x86::avx512() }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        (Isa::Avx512Bf16, true) => Some(unsafe { x86::avx512bf16() }),
        _ => None,
    }
}

/// Fourteen vectors of four lanes, and two registers for the factor and the summand: enough chains of a multiplication
/// and an addition, some 7 cycles, for two a cycle.
fn portable() -> usize {
    const LANES: usize = 4 * 14;
    let (mut sums, x, y) = black_box(([1.0f32; LANES], 0.5f32, 1.0f32));
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = *sum * x + y;
        }
    }
    black_box(sums);
    2 * LANES * STEPS
}

/// As many chains as a product has: more than any core needs (up to four a cycle, of 4 cycles).
#[cfg(target_arch = "aarch64")]
fn neon() -> usize {
    use std::arch::aarch64::*;

    const CHAINS: usize = 24;
    // SAFETY: every AArch64 has the instructions.
    unsafe {
        let x = black_box(vdupq_n_f32(0.5));
        let mut sums = black_box([x; CHAINS]);
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = vfmaq_f32(*sum, x, x);
            }
        }
        black_box(sums);
    }
    2 * 4 * CHAINS * STEPS
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;
    use std::mem::transmute;

    use super::STEPS;

    /// Chains of additions that do not wait for each other: more than a core needs (two a cycle, of 4 to 6 cycles),
    /// and no more than registers.
    const CHAINS: usize = 12;

    /// # Safety
    /// The CPU has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2() -> usize {
        let x = black_box(_mm256_set1_ps(0.5));
        let mut sums = black_box([x; CHAINS]);
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(x, x, *sum);
            }
        }
        black_box(sums);
        2 * 8 * CHAINS * STEPS
    }

    /// # Safety
    /// The CPU has AVX-512F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn avx512() -> usize {
        let x = black_box(_mm512_set1_ps(0.5));
        let mut sums = black_box([x; CHAINS]);
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(x, x, *sum);
            }
        }
        black_box(sums);
        2 * 16 * CHAINS * STEPS
    }

    /// # Safety
    /// The CPU has AVX-512F and BF16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn avx512bf16() -> usize {
        let one = black_box(_mm512_set1_ps(1.0));
        // SAFETY: all bits are pairs; these are (0, 1).
        let pair = unsafe { transmute::<__m512, __m512bh>(one) };
        let mut sums = black_box([one; CHAINS]);
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, pair, pair);
            }
        }
        black_box(sums);
        4 * 16 * CHAINS * STEPS
    }
}
