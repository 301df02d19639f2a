//! Copies of blocks in the order in which the micro-kernel reads them.
//!
//! A block `[lanes, K]` becomes panels of `width` lanes; a panel is K groups of `width` neighbours, so that
//! the micro-kernel walks through memory without a gap. A is packed as it is, B as its transpose: one routine
//! serves both operands and, as the view carries the strides, all transpositions.

use super::view::MatRef;

/// A buffer that keeps its memory; a fresh one would cost a page fault for every 4 KiB.
#[derive(Debug, Default)]
pub(super) struct Buffer(Vec<f32>);

/// Steps of K copied together: their rows, and the lines of a panel that they fill, stay in L1 and its TLB.
const STRETCH: usize = 16;

/// The same for a transposing copy, where rows have K elements: 64 x 32 lanes fill 8 KiB of a panel. A multiple
/// of 4.
const TURNED_STRETCH: usize = 64;

/// Bytes of a cache line: vectors loaded from the start of a panel should not straddle two.
const LINE: usize = 64;

impl Buffer {
    /// `len` elements of any content, beginning at a cache line.
    pub(super) fn take(&mut self, len: usize) -> &mut [f32] {
        let slack = LINE / size_of::<f32>();
        if self.0.len() < len + slack {
            self.0.resize(len + slack, 0.0);
        }
        // `align_offset` may decline (it does so under interpreters): alignment is for speed only.
        let start = self.0.as_ptr().align_offset(LINE).min(slack);
        &mut self.0[start..start + len]
    }
}

/// Elements of a packed block.
pub(super) fn packed_len(lanes: usize, k: usize, width: usize) -> usize {
    lanes.next_multiple_of(width) * k
}

/// Packs `x`, `[lanes, K]`, into panels of `width`; missing lanes of the last one are zero.
pub(super) fn pack(x: MatRef, width: usize, out: &mut [f32]) {
    if x.t().has_contiguous_rows() {
        return copy_lanes(x, width, out);
    }
    for (i, panel) in out.chunks_exact_mut(width * x.cols()).enumerate() {
        let start = i * width;
        let x = x.block(start..(start + width).min(x.rows()), 0..x.cols());
        if x.rows() < width {
            panel.fill(0.0);
        }
        if x.has_contiguous_rows() {
            transpose(x, width, panel);
        } else {
            gather(x, width, panel);
        }
    }
}

/// Lanes are neighbours: a group is a copy. All panels take a few k before the next few, as each k may be on
/// a page of its own.
fn copy_lanes(x: MatRef, width: usize, out: &mut [f32]) {
    for first in (0..x.cols()).step_by(STRETCH) {
        let last = (first + STRETCH).min(x.cols());
        for (i, panel) in out.chunks_exact_mut(width * x.cols()).enumerate() {
            let lanes = i * width..((i + 1) * width).min(x.rows());
            for (k, group) in (first..last).zip(panel[first * width..].chunks_exact_mut(width)) {
                copy(&x.t().row(k)[lanes.clone()], group);
            }
        }
    }
}

/// Copies `x` and zeros up to `width`, by fours: a call of `memcpy` takes longer than so short a copy.
#[inline(always)]
fn copy(x: &[f32], out: &mut [f32]) {
    let (out, missing) = out.split_at_mut(x.len());
    let ((fours, rest), (fours_out, rest_out)) = (x.as_chunks::<4>(), out.as_chunks_mut::<4>());
    fours_out.iter_mut().zip(fours).for_each(|(o, v)| *o = *v);
    rest_out.iter_mut().zip(rest).for_each(|(o, v)| *o = *v);
    missing.iter_mut().for_each(|o| *o = 0.0);
}

/// K is contiguous: all lanes take some k before the next few.
fn transpose(x: MatRef, width: usize, out: &mut [f32]) {
    let stretches = out.chunks_mut(TURNED_STRETCH * width);
    for (first, out) in (0..x.cols()).step_by(TURNED_STRETCH).zip(stretches) {
        let k = first..(first + TURNED_STRETCH).min(x.cols());
        transpose_stretch(x.block(0..x.rows(), k), width, out);
    }
}

/// 4 x 4 squares are turned in registers, what remains goes element by element.
fn transpose_stretch(x: MatRef, width: usize, out: &mut [f32]) {
    let (lanes, k) = (x.rows() / 4 * 4, x.cols() / 4 * 4);
    for lane in (0..lanes).step_by(4) {
        let rows: [_; 4] = std::array::from_fn(|i| x.row(lane + i).as_chunks::<4>().0);
        for (p, out) in out.chunks_exact_mut(4 * width).enumerate() {
            let square = turn(rows.map(|row| &row[p]));
            for (i, group) in square.iter().enumerate() {
                out[i * width + lane..][..4].copy_from_slice(group);
            }
        }
    }
    for lane in 0..x.rows() {
        let first = if lane < lanes { k } else { 0 };
        let row = x.row(lane)[first..].iter().enumerate();
        row.for_each(|(p, &v)| out[(first + p) * width + lane] = v);
    }
}

/// The transpose of a 4 x 4 square.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn turn(x: [&[f32; 4]; 4]) -> [[f32; 4]; 4] {
    use std::arch::x86_64::*;

    let mut turned = [[0.0; 4]; 4];
    // SAFETY: SSE is part of x86-64; each load and each store is one array of four.
    unsafe {
        let [a, b, c, d] = x.map(|row| _mm_loadu_ps(row.as_ptr()));
        let (ab, cd) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
        let (ab2, cd2) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
        _mm_storeu_ps(turned[0].as_mut_ptr(), _mm_movelh_ps(ab, cd));
        _mm_storeu_ps(turned[1].as_mut_ptr(), _mm_movehl_ps(cd, ab));
        _mm_storeu_ps(turned[2].as_mut_ptr(), _mm_movelh_ps(ab2, cd2));
        _mm_storeu_ps(turned[3].as_mut_ptr(), _mm_movehl_ps(cd2, ab2));
    }
    turned
}

/// The transpose of a 4 x 4 square.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn turn(x: [&[f32; 4]; 4]) -> [[f32; 4]; 4] {
    std::array::from_fn(|i| x.map(|row| row[i]))
}

/// Any strides.
fn gather(x: MatRef, width: usize, out: &mut [f32]) {
    for (k, group) in out.chunks_exact_mut(width).enumerate() {
        for (lane, o) in group[..x.rows()].iter_mut().enumerate() {
            *o = x.get(lane, k);
        }
    }
}
