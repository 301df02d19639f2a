//! Transposition of small squares, with the four lanes that every x86-64 and every AArch64 has.

/// Writes the transpose of a 4 x 4 square, its rows `stride` apart. Without bounds checks, which would take
/// longer than the rest.
///
/// # Safety
/// Four words can be read from each of `x`, and written to `out` and one, two, three strides further.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) unsafe fn turn(x: [*const u32; 4], out: *mut u32, stride: usize) {
    use std::arch::x86_64::*;

    // SAFETY: SSE is part of x86-64; the caller's contract.
    unsafe {
        let [a, b, c, d] = x.map(|row| _mm_loadu_ps(row.cast()));
        let out = out.cast::<f32>();
        let (ab, cd) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
        let (ab2, cd2) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
        _mm_storeu_ps(out, _mm_movelh_ps(ab, cd));
        _mm_storeu_ps(out.add(stride), _mm_movehl_ps(cd, ab));
        _mm_storeu_ps(out.add(2 * stride), _mm_movelh_ps(ab2, cd2));
        _mm_storeu_ps(out.add(3 * stride), _mm_movehl_ps(cd2, ab2));
    }
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) unsafe fn turn(x: [*const u32; 4], out: *mut u32, stride: usize) {
    use std::arch::aarch64::*;

    // SAFETY: every AArch64 has NEON; the caller's contract.
    unsafe {
        let [a, b, c, d] = x.map(|row| vreinterpretq_u64_u32(vld1q_u32(row)));
        let [ac, bd, ac2, bd2] =
            [vtrn1q_u64(a, c), vtrn1q_u64(b, d), vtrn2q_u64(a, c), vtrn2q_u64(b, d)]
                .map(|v| vreinterpretq_u32_u64(v));
        vst1q_u32(out, vtrn1q_u32(ac, bd));
        vst1q_u32(out.add(stride), vtrn2q_u32(ac, bd));
        vst1q_u32(out.add(2 * stride), vtrn1q_u32(ac2, bd2));
        vst1q_u32(out.add(3 * stride), vtrn2q_u32(ac2, bd2));
    }
}

/// Writes the transpose of a 4 x 4 square, its rows `stride` apart.
///
/// # Safety
/// Four words can be read from each of `x`, and written to `out` and one, two, three strides further.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
pub(crate) unsafe fn turn(x: [*const u32; 4], out: *mut u32, stride: usize) {
    for (lane, row) in x.into_iter().enumerate() {
        for k in 0..4 {
            // SAFETY: the caller's contract.
            unsafe { *out.add(k * stride + lane) = *row.add(k) };
        }
    }
}
