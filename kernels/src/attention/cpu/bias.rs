//! The relative position bias of a block of scores, and its gradient.
//!
//! Query i and key j share the bias of all scores with this j - i, those of a diagonal. With a number for each diagonal
//! of a block side by side, both directions are sums of vectors: the row of a query meets as many of the numbers as it
//! has keys, and each query begins one place before the last one.
//!
//! ```text
//! 3 queries, 4 keys   j - i    -2 -1  0  1  2  3
//!                     i = 0           0  1  2  3
//!                     i = 1       0  1  2  3          (each j stands below its j - i)
//!                     i = 2     0  1  2  3
//! ```

use std::ops::Range;

use super::{Attention, Block, rows};

impl Block {
    /// How many diagonals there are.
    fn diagonals(&self) -> usize {
        self.queries.len() + self.keys.len() - 1
    }

    /// Those that the scores of a query are on.
    fn diagonals_of(&self, query: usize) -> Range<usize> {
        let first = self.queries.end - 1 - query;
        first..first + self.keys.len()
    }

    /// The row of a bias with this reach that belongs to each diagonal.
    fn bias_rows(&self, reach: usize) -> impl Iterator<Item = usize> {
        let reach = reach as isize;
        let first = self.keys.start as isize - (self.queries.end as isize - 1);
        (first..).take(self.diagonals()).map(move |j_i| (reach + j_i.clamp(-reach, reach)) as usize)
    }
}

/// Adds the bias `[2R + 1, N]` of a head to scores of a block; writes to as many `diagonals` as it has.
pub(super) fn add(
    a: Attention,
    (bias, head): (&[f32], usize),
    block: &Block,
    [scores, diagonals]: [&mut [f32]; 2],
) {
    let rows_of_bias = block.bias_rows(a.reach(bias.len()));
    diagonals.iter_mut().zip(rows_of_bias).for_each(|(to, row)| *to = bias[row * a.heads + head]);
    for (query, scores) in block.queries.clone().zip(scores.chunks_exact_mut(block.width())) {
        rows::add(&mut scores[..block.keys.len()], &diagonals[block.diagonals_of(query)]);
    }
}

/// Adds what the gradients of the scores of a block give to that of the bias of their head, `[2R + 1]`; writes to as
/// many `diagonals` as it has.
pub(super) fn add_gradient(block: &Block, ds: &[f32], [dbias, diagonals]: [&mut [f32]; 2]) {
    diagonals[..block.diagonals()].fill(0.0);
    for (query, ds) in block.queries.clone().zip(ds.chunks_exact(block.width())) {
        rows::add(&mut diagonals[block.diagonals_of(query)], &ds[..block.keys.len()]);
    }
    for (row, sum) in block.bias_rows(dbias.len() / 2).zip(diagonals) {
        dbias[row] += *sum;
    }
}
