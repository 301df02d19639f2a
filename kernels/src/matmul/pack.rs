//! Copies of blocks in the order in which the micro-kernel reads them.
//!
//! A block `[lanes, K]` becomes panels of `width` lanes; a panel is a group of words for each step, in the order
//! in which the micro-kernel walks through it, without a gap. A is packed as it is, B as its transpose: one
//! routine serves both operands and, as the view carries the strides, all transpositions. f32 becomes bf16 on
//! the way where the kernel wants that: weights need no copy of their own. [`Layout`] says what a kernel wants.

use super::view::{MatRef, Values};
use crate::simd::{Element, Simd, dispatch, inlined, turn};

/// What a word of a panel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// An f32 as it is.
    Whole,
    /// An f32 of the precision of bf16.
    Rounded,
    /// Two bf16 that are neighbours along K, the first one in the lower half.
    Pair,
}

impl Word {
    /// Steps of K in a word.
    pub(super) fn steps(self) -> usize {
        if self == Self::Pair { 2 } else { 1 }
    }
}

/// How an operand lies in its panels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Lanes of a panel.
    pub width: usize,
    /// What a word holds.
    pub word: Word,
    /// Words that a step of the micro-kernel reads of each lane; words of zeros fill the last step.
    pub depth: usize,
    /// Words of a lane that lie together, 1 or `depth`, then a multiple of 4: a group is `[width, together]`.
    pub together: usize,
}

impl Layout {
    /// Steps of one word, which lies beside those of the other lanes.
    pub(super) const fn plain(width: usize, word: Word) -> Self {
        Self { width, word, depth: 1, together: 1 }
    }

    /// Words of a lane that hold something.
    fn filled(self, k: usize) -> usize {
        k.div_ceil(self.word.steps())
    }

    /// Words of a lane.
    pub(super) fn words(self, k: usize) -> usize {
        self.filled(k).next_multiple_of(self.depth)
    }

    /// Words of a packed block.
    pub(super) fn packed_len(self, lanes: usize, k: usize) -> usize {
        lanes.next_multiple_of(self.width) * self.words(k)
    }
}

/// A buffer that keeps its memory; a fresh one would cost a page fault for every 4 KiB.
#[derive(Debug, Default)]
pub(super) struct Buffer<T = u32>(Vec<T>);

/// Words copied together: their rows, and the lines of a panel that they fill, stay in L1 and its TLB.
const STRETCH: usize = 16;

/// The same for a transposing copy, where rows have K elements: 64 x 32 lanes fill 8 KiB of a panel. A multiple
/// of 4 and of every `Layout::depth`, and no less than any `Layout::width`.
const TURNED_STRETCH: usize = 64;

/// Bytes of a cache line: vectors loaded from the start of a panel should not straddle two.
const LINE: usize = 64;

impl<T: Copy + Default> Buffer<T> {
    /// `len` elements of any content, beginning at a cache line.
    pub(super) fn take(&mut self, len: usize) -> &mut [T] {
        let slack = LINE / size_of::<T>();
        if self.0.len() < len + slack {
            self.0.resize(len + slack, T::default());
        }
        // `align_offset` may decline (it does so under interpreters): alignment is for speed only.
        let start = self.0.as_ptr().align_offset(LINE).min(slack);
        &mut self.0[start..start + len]
    }
}

/// Packs `x`, `[lanes, K]`, into panels; missing lanes of the last one, missing words of the last step, and a missing
/// second half of the last word, are zero.
pub(super) fn pack(x: MatRef, layout: Layout, out: &mut [u32]) {
    match layout.together {
        1 => pack_words(x, layout, out),
        _ => pack_steps(x, layout, out),
    }
}

dispatch!(
    /// `pack` where the words of a lane lie apart.
    fn pack_words(x: MatRef, layout: Layout, out: &mut [u32]) = words_body
);
dispatch!(
    /// `pack` where those of a step lie together.
    fn pack_steps(x: MatRef, layout: Layout, out: &mut [u32]) = steps_body
);

#[inline(always)]
fn words_body<S: Simd>(_: S, x: MatRef, layout: Layout, out: &mut [u32]) {
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
        return copy_lanes::<W>(x.t(), layout, out);
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

#[inline(always)]
fn steps_body<S: Simd>(_: S, x: MatRef, layout: Layout, out: &mut [u32]) {
    if x.t().has_contiguous_rows() {
        return turn_lanes(x.t(), layout, out);
    }
    each_panel(
        x,
        layout,
        out,
        inlined!(|x, panel| match x.has_contiguous_rows() {
            true => copy_steps(x, layout, panel),
            false => gather(x, layout, panel),
        }),
    );
}

/// Calls `fill` on the lanes of each panel; what it leaves out is zero.
#[inline(always)]
fn each_panel(x: MatRef, layout: Layout, out: &mut [u32], fill: impl Fn(MatRef, &mut [u32])) {
    let (width, words) = (layout.width, layout.words(x.cols()));
    for (i, panel) in out.chunks_exact_mut(width * words).enumerate() {
        let start = i * width;
        let x = x.block(start..(start + width).min(x.rows()), 0..x.cols());
        if x.rows() < width || layout.filled(x.cols()) < words {
            panel.fill(0);
        }
        fill(x, panel);
    }
}

/// Lanes are neighbours in `x`, `[K, lanes]`: a group is a copy. All panels take a few words before the next few,
/// as each k may be on a page of its own.
#[inline(always)]
fn copy_lanes<const W: usize>(x: MatRef, layout: Layout, out: &mut [u32]) {
    let words = layout.words(x.rows());
    for first in (0..words).step_by(STRETCH) {
        let last = (first + STRETCH).min(words);
        for (i, panel) in out.chunks_exact_mut(W * words).enumerate() {
            let lanes = i * W..((i + 1) * W).min(x.cols());
            let x = x.block(0..x.rows(), lanes);
            let (groups, _) = panel[first * W..last * W].as_chunks_mut::<W>();
            for (at, group) in (first..last).zip(groups) {
                prefetch(x, (at + STRETCH) * layout.word.steps());
                if !copy_whole_group(x, layout.word, at, group) {
                    copy_group(x, layout.word, at, group);
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

/// Word `at` of each lane, where there are as many as a group has room for and K goes on beyond the word; else
/// nothing and `false`.
#[inline(always)]
fn copy_whole_group<const W: usize>(x: MatRef, word: Word, at: usize, out: &mut [u32; W]) -> bool {
    let row = at * word.steps();
    if x.cols() != W || row + word.steps() > x.rows() {
        return false;
    }
    match (word, x.row(row), x.row(row + word.steps() - 1)) {
        (Word::Whole, Values::F32(x), _) => each(x, out, f32::to_bits),
        (Word::Pair, Values::F32(low), Values::F32(high)) => join_each(low, high, out),
        (Word::Pair, Values::Bf16(low), Values::Bf16(high)) => join_each(low, high, out),
        (_, Values::F32(x), _) => each(x, out, |x| x.bf16_bits() << 16),
        (_, Values::Bf16(x), _) => each(x, out, |x| x.bf16_bits() << 16),
    }
    true
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

#[inline(always)]
fn join_each<E: Element, const N: usize>(low: &[E], high: &[E], out: &mut [u32; N]) {
    let [low, high]: [&[E; N]; 2] = [low, high].map(|x| x.try_into().expect("as above"));
    for i in 0..N {
        out[i] = low[i].bf16_bits() | high[i].bf16_bits() << 16;
    }
}

/// The same where the words of a step lie together: a group is a transposed copy.
#[inline(always)]
fn turn_lanes(x: MatRef, layout: Layout, out: &mut [u32]) {
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
        turn_words(&words, &mut group[from..], together);
    }
}

/// Word `at` of each lane; zeros beyond K.
#[inline(always)]
fn copy_group(x: MatRef, word: Word, at: usize, out: &mut [u32]) {
    let row = at * word.steps();
    if row >= x.rows() {
        return out.fill(0);
    }
    let (out, missing) = out.split_at_mut(x.cols());
    missing.fill(0);
    match (word, x.row(row)) {
        (Word::Whole, Values::F32(x)) => convert(x, out, f32::to_bits),
        (Word::Rounded, Values::F32(x)) => convert(x, out, |x| x.bf16_bits() << 16),
        (Word::Whole | Word::Rounded, Values::Bf16(x)) => convert(x, out, |x| x.bf16_bits() << 16),
        (Word::Pair, Values::F32(low)) if row + 1 < x.rows() => join(low, x.row_f32(row + 1), out),
        (Word::Pair, Values::Bf16(low)) if row + 1 < x.rows() => match x.row(row + 1) {
            Values::Bf16(high) => join(low, high, out),
            Values::F32(_) => unreachable!("a matrix has elements of one type"),
        },
        (Word::Pair, Values::F32(low)) => convert(low, out, Element::bf16_bits),
        (Word::Pair, Values::Bf16(low)) => convert(low, out, Element::bf16_bits),
    }
}

#[inline(always)]
fn convert<E: Element>(x: &[E], out: &mut [u32], f: impl Fn(E) -> u32) {
    out.iter_mut().zip(x).for_each(|(o, &x)| *o = f(x));
}

#[inline(always)]
fn join<E: Element>(low: &[E], high: &[E], out: &mut [u32]) {
    for ((o, low), high) in out.iter_mut().zip(low).zip(high) {
        *o = low.bf16_bits() | high.bf16_bits() << 16;
    }
}

/// K is contiguous: all lanes take some words before the next few. The words of four lanes are made side by
/// side, then 4 x 4 squares are turned in registers; what remains goes word by word.
#[inline(always)]
fn transpose<const W: usize>(x: MatRef, word: Word, out: &mut [u32]) {
    let stretches = out.chunks_mut(TURNED_STRETCH * W);
    let step = TURNED_STRETCH * word.steps();
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

/// The words of a lane that fill `out`.
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

/// Sixteen words at a time.
#[inline(always)]
fn pairs<E: Element>(x: &[E], out: &mut [u32; TURNED_STRETCH]) {
    let (blocks, _) = x.as_chunks::<32>();
    for (out, x) in out.as_chunks_mut::<16>().0.iter_mut().zip(blocks) {
        *out = E::pairs(x);
    }
}

/// The same where the words of a step lie together, as they do in `x`.
#[inline(always)]
fn copy_steps(x: MatRef, layout: Layout, out: &mut [u32]) {
    let Layout { width, word, together, .. } = layout;
    let step = together * word.steps();
    let groups = out.chunks_exact_mut(width * together);
    for (first, group) in (0..x.cols()).step_by(step).zip(groups) {
        let x = x.block(0..x.rows(), first..(first + step).min(x.cols()));
        for (lane, out) in (0..x.rows()).zip(group.chunks_exact_mut(together)) {
            row_words(x.row(lane), word, out);
        }
    }
}

/// The words of a lane, as many as there are.
#[inline(always)]
fn row_words(x: Values, word: Word, out: &mut [u32]) {
    match (word, x) {
        (Word::Whole, Values::F32(x)) => convert(x, out, f32::to_bits),
        (Word::Rounded, Values::F32(x)) => convert(x, out, |x| x.bf16_bits() << 16),
        (Word::Whole | Word::Rounded, Values::Bf16(x)) => convert(x, out, |x| x.bf16_bits() << 16),
        (Word::Pair, Values::F32(x)) => join_neighbours(x, out),
        (Word::Pair, Values::Bf16(x)) => join_neighbours(x, out),
    }
}

#[inline(always)]
fn join_neighbours<E: Element>(x: &[E], out: &mut [u32]) {
    let (pairs, rest) = x.as_chunks::<2>();
    for (o, [low, high]) in out.iter_mut().zip(pairs) {
        *o = low.bf16_bits() | high.bf16_bits() << 16;
    }
    if let [last] = rest {
        out[pairs.len()] = last.bf16_bits();
    }
}

/// Writes the columns of `words` as groups, as many as `out` has room for; `out` begins at the first lane.
#[inline(always)]
fn turn_words(words: &[[u32; TURNED_STRETCH]; 4], out: &mut [u32], width: usize) {
    let groups = (out.len() + width - 4) / width;
    let whole = groups / 4 * 4;
    assert!(groups <= TURNED_STRETCH && groups * width <= out.len() + width - 4);
    for at in (0..whole).step_by(4) {
        let from = words.each_ref().map(|row| row[at..].as_ptr());
        // SAFETY: at + 4 <= TURNED_STRETCH; group at + 3 begins within `out`, by the assertion, and so do the
        // three lanes after its first.
        unsafe { turn(from, out.as_mut_ptr().add(at * width), width) };
    }
    for at in whole..groups {
        (0..4).for_each(|i| out[at * width + i] = words[i][at]);
    }
}

/// The same for fewer lanes than four.
#[inline(always)]
fn scatter(words: &[[u32; TURNED_STRETCH]], out: &mut [u32], width: usize) {
    for (at, group) in out.chunks_mut(width).enumerate() {
        group.iter_mut().zip(words).for_each(|(o, words)| *o = words[at]);
    }
}

/// Any strides.
#[inline(always)]
fn gather(x: MatRef, layout: Layout, out: &mut [u32]) {
    let Layout { width, word, together, .. } = layout;
    for at in 0..layout.filled(x.cols()) {
        let (start, first) = (at / together * width * together + at % together, at * word.steps());
        for lane in 0..x.rows() {
            let get = |k: usize| if k < x.cols() { x.get(lane, k) } else { 0.0 };
            out[start + lane * together] = match word {
                Word::Whole => get(first).to_bits(),
                Word::Rounded => get(first).bf16_bits() << 16,
                Word::Pair => get(first).bf16_bits() | get(first + 1).bf16_bits() << 16,
            };
        }
    }
}
