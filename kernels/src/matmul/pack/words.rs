//! Panels in which the words of a lane lie apart: a group is one word of each lane, `[width]`.

use super::{
    LINE, Layout, TURNED_STRETCH, Word, copy_group, each_panel, gather, row_words, turn_words,
};
use crate::matmul::view::{MatRef, Values};
use crate::simd::{Element, Simd, inlined};

/// Words copied together: their rows, and the lines of a panel that they fill, stay in L1 and its TLB.
const STRETCH: usize = 16;

/// Chooses the routine whose loops know the width.
#[inline(always)]
pub(super) fn body<S: Simd>(_: S, x: MatRef, layout: Layout, out: &mut [u32]) {
    match layout.width {
        12 => pack_width::<12>(x, layout, out),
        32 => pack_width::<32>(x, layout, out),
        6 => pack_width::<6>(x, layout, out),
        16 => pack_width::<16>(x, layout, out),
        4 => pack_width::<4>(x, layout, out),
        8 => pack_width::<8>(x, layout, out),
        width => unreachable!("no micro-kernel has panels of {width} lanes"),
    }
}

/// The width is known here, and loops over the lanes of a group become a few vectors.
#[inline(always)]
fn pack_width<const W: usize>(x: MatRef, layout: Layout, out: &mut [u32]) {
    if x.t().has_contiguous_rows() {
        return copy::<W>(x.t(), layout, out);
    }
    each_panel(
        x,
        layout,
        out,
        inlined!(|x, panel| match x.has_contiguous_rows() {
            true => transpose::<W>(x, layout.word, panel),
            false => gather(x, layout, panel),
        }),
    );
}

/// Lanes are neighbours in `x`, `[K, lanes]`: a group is a copy. All panels take a few words before the next few,
/// as each k may be on a page of its own.
#[inline(always)]
fn copy<const W: usize>(x: MatRef, layout: Layout, out: &mut [u32]) {
    let (words, elements) = (layout.words(x.rows()), layout.word.elements());
    for first in (0..words).step_by(STRETCH) {
        let last = (first + STRETCH).min(words);
        for (i, panel) in out.chunks_exact_mut(W * words).enumerate() {
            let lanes = i * W..((i + 1) * W).min(x.cols());
            let x = x.block(0..x.rows(), lanes);
            let (groups, _) = panel[first * W..last * W].as_chunks_mut::<W>();
            for (at, group) in (first..last).zip(groups) {
                prefetch(x, (at + STRETCH) * elements);
                match x.cols() == W && (at + 1) * elements <= x.rows() {
                    true => copy_whole_group(x, layout.word, at, group),
                    false => copy_group(x, layout.word, at, group),
                }
            }
        }
    }
}

/// Asks for the beginning of a row that is needed soon: rows are far apart, and the hardware does not foresee them.
#[inline(always)]
fn prefetch(x: MatRef, row: usize) {
    if row + 1 < x.rows() {
        x.row(row).prefetch::<2>(0);
        x.row(row + 1).prefetch::<2>(0);
    }
}

/// The same for the next stretch of a lane, which lies behind this one.
#[inline(always)]
fn prefetch_next(stretch: Values) {
    stretch.prefetch::<{ TURNED_STRETCH * size_of::<u32>() / LINE }>(
        TURNED_STRETCH * size_of::<u32>(),
    );
}

/// As `copy_group`, for as many lanes as a group has room for and a word within K.
#[inline(always)]
fn copy_whole_group<const W: usize>(x: MatRef, word: Word, at: usize, out: &mut [u32; W]) {
    let row = at * word.elements();
    match (word, x.row(row), x.row(row + word.elements() - 1)) {
        (Word::Whole, Values::F32(x), _) => each(x, out, f32::to_bits),
        (Word::Pair, Values::F32(low), Values::F32(high)) => join_each(low, high, out),
        (Word::Pair, Values::Bf16(low), Values::Bf16(high)) => join_each(low, high, out),
        (_, Values::F32(x), _) => each(x, out, |x| x.bf16_bits() << 16),
        (_, Values::Bf16(x), _) => each(x, out, |x| x.bf16_bits() << 16),
    }
}

/// As `convert`, for as many elements as there are words. A loop, not a `map`: what the library calls for each
/// element would stay a function of its own, without the instructions of this one.
#[inline(always)]
fn each<E: Element, const N: usize>(x: &[E], out: &mut [u32; N], f: impl Fn(E) -> u32) {
    let x: &[E; N] = x.try_into().expect("as long as a group");
    for i in 0..N {
        out[i] = f(x[i]);
    }
}

/// As `join`, for as many elements as there are words.
#[inline(always)]
fn join_each<E: Element, const N: usize>(low: &[E], high: &[E], out: &mut [u32; N]) {
    let [low, high]: [&[E; N]; 2] = [low, high].map(|x| x.try_into().expect("as above"));
    for i in 0..N {
        out[i] = low[i].bf16_bits() | high[i].bf16_bits() << 16;
    }
}

/// K is contiguous: all lanes take some words before the next few. The words of four lanes are made side by
/// side, then 4 x 4 squares are turned in registers; what remains goes word by word.
#[inline(always)]
fn transpose<const W: usize>(x: MatRef, word: Word, out: &mut [u32]) {
    let stretches = out.chunks_mut(TURNED_STRETCH * W);
    let step = TURNED_STRETCH * word.elements();
    for (first, out) in (0..x.cols()).step_by(step).zip(stretches) {
        let x = x.block(0..x.rows(), first..(first + step).min(x.cols()));
        for lane in (0..x.rows()).step_by(4) {
            let mut words = [[0; TURNED_STRETCH]; 4];
            for (i, words) in words.iter_mut().take(x.rows() - lane).enumerate() {
                prefetch_next(x.row(lane + i));
                match x.cols() == step {
                    true => whole_row_words(x.row(lane + i), word, words),
                    false => row_words(x.row(lane + i), word, words),
                }
            }
            match lane + 4 <= W {
                true => turn_words(&words, &mut out[lane..], W),
                false => scatter(&words[..W - lane], &mut out[lane..], W),
            }
        }
    }
}

/// As `row_words`, for as many words as `out` has room for.
#[inline(always)]
fn whole_row_words(x: Values, word: Word, out: &mut [u32; TURNED_STRETCH]) {
    match (word, x) {
        (Word::Whole, Values::F32(x)) => each(x, out, f32::to_bits),
        (Word::Pair, Values::F32(x)) => pairs(x, out),
        (Word::Pair, Values::Bf16(x)) => pairs(x, out),
        (_, Values::F32(x)) => each(x, out, |x| x.bf16_bits() << 16),
        (_, Values::Bf16(x)) => each(x, out, |x| x.bf16_bits() << 16),
    }
}

/// As `join_neighbours`, sixteen words at a time.
#[inline(always)]
fn pairs<E: Element>(x: &[E], out: &mut [u32; TURNED_STRETCH]) {
    let (blocks, _) = x.as_chunks::<32>();
    for (out, x) in out.as_chunks_mut::<16>().0.iter_mut().zip(blocks) {
        *out = E::pairs(x);
    }
}

/// As `turn_words`, for fewer lanes than four.
#[inline(always)]
fn scatter(words: &[[u32; TURNED_STRETCH]], out: &mut [u32], width: usize) {
    for (at, group) in out.chunks_mut(width).enumerate() {
        group.iter_mut().zip(words).for_each(|(o, words)| *o = words[at]);
    }
}
