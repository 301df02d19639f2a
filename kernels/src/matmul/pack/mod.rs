//! Copies of blocks in the order in which the micro-kernel reads them.
//!
//! A block `[lanes, K]` becomes panels of `width` lanes, a panel becomes groups of words, one behind the other as the
//! micro-kernel walks through them. A is packed as it is, B as its transpose: one routine serves both. f32 becomes
//! bf16 on the way where the kernel wants that: weights need no copy of their own. [`Layout`] says what a kernel wants.
//! A panel of three lanes a, b, c and K = 4, with brackets around its groups:
//!
//! ```text
//! Whole, Rounded       [a0 b0 c0] [a1 b1 c1] [a2 b2 c2] [a3 b3 c3]
//! Pair                 [a0a1 b0b1 c0c1] [a2a3 b2b3 c2c3]
//! Pair, 2 together     [a0a1 a2a3   b0b1 b2b3   c0c1 c2c3]
//! ```
//!
//! As views carry strides, all transpositions are alike to the caller. How a group comes about depends on what is
//! contiguous in the block, and on whether words of a lane lie apart in the panel or together:
//!
//! ```text
//!                        lanes contiguous    K contiguous    neither
//! apart       words.rs   copy                transpose       gather
//! together    steps.rs   transpose           copy            gather
//! ```

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
    /// Elements of K in a word.
    pub(super) fn elements(self) -> usize {
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
        k.div_ceil(self.word.elements())
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

/// Words that a transposing copy makes of a lane before it turns to the next: 64 x 32 lanes fill 8 KiB of a panel. A
/// multiple of 4 and of every `Layout::depth`, and no less than any `Layout::width`.
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
    let row = at * word.elements();
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
fn turn_words(words: [&[u32]; 4], out: &mut [u32], width: usize) {
    let groups = (out.len() + width - 4) / width;
    let whole = groups / 4 * 4;
    assert!(words.iter().all(|words| groups <= words.len()));
    assert!(groups * width <= out.len() + width - 4);
    for at in (0..whole).step_by(4) {
        // SAFETY: at + 4 <= groups; group at + 3 begins within `out`, by the assertion, and so do the three lanes
        // after its first.
        unsafe {
            let from = words.map(|words| words.as_ptr().add(at));
            turn(from, out.as_mut_ptr().add(at * width), width);
        }
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
        let (start, first) =
            (at / together * width * together + at % together, at * word.elements());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each_isa, random};
    use half::bf16;

    /// Around the lanes of a panel, and the words of a vector, a step and a stretch.
    const LANES: [usize; 4] = [1, 5, 32, 70];
    const KS: [usize; 9] = [1, 2, 16, 33, 63, 64, 65, 128, 193];

    /// Of every micro-kernel, on whatever CPU: packing needs no instructions of its own.
    fn layouts() -> impl Iterator<Item = Layout> {
        let words = [Word::Whole, Word::Rounded, Word::Pair];
        let plain = [4, 6, 8, 12, 16, 32].into_iter();
        let plain = plain.flat_map(move |width| words.map(|word| Layout::plain(width, word)));
        let amx = |together| Layout { width: 32, word: Word::Pair, depth: 16, together };
        plain.chain([1, 16].map(amx))
    }

    /// Word `at` of a lane, by what `Word` says.
    fn word(x: MatRef, word: Word, lane: usize, at: usize) -> u32 {
        let rounded = |k| u32::from(bf16::from_f32(x.get(lane, k)).to_bits());
        let first = at * word.elements();
        match word {
            _ if lane >= x.rows() || first >= x.cols() => 0,
            Word::Whole => x.get(lane, first).to_bits(),
            Word::Rounded => rounded(first) << 16,
            Word::Pair if first + 1 == x.cols() => rounded(first),
            Word::Pair => rounded(first) | rounded(first + 1) << 16,
        }
    }

    /// A panel after the other, in each a group after the other, of `together` words of each lane.
    fn defined(x: MatRef, layout: Layout) -> Vec<u32> {
        let Layout { width, together, .. } = layout;
        let mut out = Vec::new();
        for panel in (0..x.rows()).step_by(width) {
            for group in (0..layout.words(x.cols())).step_by(together) {
                for lane in panel..panel + width {
                    out.extend((group..group + together).map(|at| word(x, layout.word, lane, at)));
                }
            }
        }
        out
    }

    #[test]
    fn panels_are_as_their_layout_says() {
        let values = random(2 * 70 * 200, 1.0, 5);
        let rounded: Vec<bf16> = values.iter().map(|&x| bf16::from_f32(x)).collect();
        let check = |x: MatRef, layout: Layout, what: &str| {
            let mut out = vec![0xdead_beef; layout.packed_len(x.rows(), x.cols())];
            pack(x, layout, &mut out);
            assert!(out == defined(x, layout), "{:?} {what}, {layout:?}", x.shape());
        };
        each_isa(|_| {
            for layout in layouts() {
                for (lanes, k) in LANES.iter().flat_map(|&lanes| KS.map(|k| (lanes, k))) {
                    for data in [Values::from(&values), Values::from(&rounded[..])] {
                        let strided = |row, col| MatRef::strided(data, lanes, k, row, col);
                        check(strided(1, lanes), layout, "with contiguous lanes");
                        check(strided(k, 1), layout, "with contiguous K");
                        check(strided(2 * k, 2), layout, "with neither");
                    }
                }
            }
        });
    }
}
