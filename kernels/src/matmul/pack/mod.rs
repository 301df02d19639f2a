//! Copies of blocks in the order in which the micro-kernel reads them.
//!
//! A block `[lanes, K]` becomes panels of `width` lanes; a panel is a group of words for each step, in the order
//! in which the micro-kernel walks through it, without a gap. A is packed as it is, B as its transpose: one
//! routine serves both operands and, as the view carries the strides, all transpositions. f32 becomes bf16 on
//! the way where the kernel wants that: weights need no copy of their own. [`Layout`] says what a kernel wants.

mod steps;
mod words;

use super::view::{MatRef, Values};
use crate::simd::{Element, dispatch, turn};

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

/// Words that a transposing copy makes of a lane before it turns to the next: 64 x 32 lanes fill 8 KiB of a panel. A multiple
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
    fn pack_words(x: MatRef, layout: Layout, out: &mut [u32]) = words::body
);
dispatch!(
    /// `pack` where those of a step lie together.
    fn pack_steps(x: MatRef, layout: Layout, out: &mut [u32]) = steps::body
);

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
