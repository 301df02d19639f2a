//! Panels in which the words of a lane lie apart: a group is one word of each lane, `[width]`.

use std::slice::Chunks;

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
            if layout.word == Word::Whole
                && x.cols() == W
                && last <= x.rows()
                && let Some(rows) = x.block(first..last, 0..W).rows_f32()
            {
                copy_rows(rows, STRETCH * x.row_stride(), groups);
                continue;
            }
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

/// Groups that are rows of a matrix of f32 as they are, the usual case: with nothing else in its loop, a copy takes
/// half as long. A row is asked for when the one `ahead` elements before it is copied, as below.
#[inline(always)]
fn copy_rows<const W: usize>(rows: Chunks<f32>, ahead: usize, groups: &mut [[u32; W]]) {
    for (row, group) in rows.zip(groups) {
        for lane in (0..W).step_by(LINE / size_of::<f32>()) {
            Values::F32(row).prefetch::<1>((ahead + lane) * size_of::<f32>());
        }
        each(&row[..W], group, f32::to_bits);
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

/// K is contiguous: all lanes take some words before the next few. 4 x 4 squares of four lanes are turned in registers;
/// what remains goes word by word.
#[inline(always)]
fn transpose<const W: usize>(x: MatRef, word: Word, out: &mut [u32]) {
    let stretches = out.chunks_mut(TURNED_STRETCH * W);
    let step = TURNED_STRETCH * word.elements();
    for (first, out) in (0..x.cols()).step_by(step).zip(stretches) {
        let x = x.block(0..x.rows(), first..(first + step).min(x.cols()));
        for lane in (0..x.rows()).step_by(4) {
            // The last four of six lanes begin among the first four: two are written again, alike.
            let lane = lane.min(W - 4);
            (lane..x.rows().min(lane + 4)).for_each(|lane| prefetch_next(x.row(lane)));
            if word == Word::Whole && !x.is_bf16() && lane + 4 <= x.rows() {
                let mut rows = [&[][..]; 4];
                for (i, row) in rows.iter_mut().enumerate() {
                    *row = bits(x.row_f32(lane + i));
                }
                turn_words(rows, &mut out[lane..], W);
            } else {
                let mut words = [[0; TURNED_STRETCH]; 4];
                four_lanes(x, word, lane, &mut words);
                turn_words(words.each_ref().map(|words| &words[..]), &mut out[lane..], W);
            }
        }
    }
}

/// f32 as the words that hold them.
#[inline(always)]
fn bits(x: &[f32]) -> &[u32] {
    // SAFETY: both types have the same size and alignment, and all bits are a u32.
    unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), x.len()) }
}

/// Makes the words of four lanes, side by side; missing lanes and words are left as they are.
#[inline(always)]
fn four_lanes(x: MatRef, word: Word, lane: usize, words: &mut [[u32; TURNED_STRETCH]; 4]) {
    let whole = x.cols() == TURNED_STRETCH * word.elements();
    for (i, words) in words.iter_mut().take(x.rows() - lane).enumerate() {
        match whole {
            true => whole_row_words(x.row(lane + i), word, words),
            false => row_words(x.row(lane + i), word, words),
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
