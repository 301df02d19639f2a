//! Panels in which the words of a lane lie together: a group is one step of each lane, `[width, together]`.

use super::{Layout, TURNED_STRETCH, Word, copy_group, each_panel, gather, row_words, turn_words};
use crate::matmul::view::MatRef;
use crate::simd::{Simd, inlined};

/// Chooses the routine by which index of `x` is contiguous.
#[inline(always)]
pub(super) fn body<S: Simd>(_: S, x: MatRef, layout: Layout, out: &mut [u32]) {
    if x.t().has_contiguous_rows() {
        return transpose(x.t(), layout, out);
    }
    each_panel(
        x,
        layout,
        out,
        inlined!(|x, panel| match x.has_contiguous_rows() {
            true => copy(x, layout, panel),
            false => gather(x, layout, panel),
        }),
    );
}

/// Lanes are neighbours in `x`, `[K, lanes]`: a group is a transposed copy.
#[inline(always)]
fn transpose(x: MatRef, layout: Layout, out: &mut [u32]) {
    let Layout { width, word, together, .. } = layout;
    let words = layout.words(x.rows());
    for first in (0..words).step_by(together) {
        for (i, panel) in out.chunks_exact_mut(width * words).enumerate() {
            let lanes = i * width..((i + 1) * width).min(x.cols());
            let group = &mut panel[first * width..][..together * width];
            turn_group(x.block(0..x.rows(), lanes), word, first, (group, width));
        }
    }
}

/// A step of each lane, from word `first` on: four words of all lanes are made one below the other, then turned.
#[inline(always)]
fn turn_group(x: MatRef, word: Word, first: usize, (group, width): (&mut [u32], usize)) {
    let together = group.len() / width;
    for from in (0..together).step_by(4) {
        let mut words = [[0; TURNED_STRETCH]; 4];
        for (at, words) in (first + from..).zip(&mut words) {
            copy_group(x, word, at, &mut words[..width]);
        }
        turn_words(words.each_ref().map(|words| &words[..]), &mut group[from..], together);
    }
}

/// K is contiguous: the words of a step lie together in `x` too.
#[inline(always)]
fn copy(x: MatRef, layout: Layout, out: &mut [u32]) {
    let Layout { width, word, together, .. } = layout;
    let step = together * word.elements();
    let groups = out.chunks_exact_mut(width * together);
    for (first, group) in (0..x.cols()).step_by(step).zip(groups) {
        let x = x.block(0..x.rows(), first..(first + step).min(x.cols()));
        for (lane, out) in (0..x.rows()).zip(group.chunks_exact_mut(together)) {
            row_words(x.row(lane), word, out);
        }
    }
}
