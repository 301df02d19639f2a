//! What the scores of a block have by distance, and its gradient.
//!
//! *A bias.* Query i and key j share the bias of all scores with this j - i, those of a diagonal. With a number for
//! each diagonal of a block side by side, both directions are sums of vectors: the row of a query meets as many of the
//! numbers as it has keys, and each query begins one place before the last one.
//!
//! ```text
//! 3 queries, 4 keys   j - i    -2 -1  0  1  2  3
//!                     i = 0           0  1  2  3
//!                     i = 1       0  1  2  3          (each j stands below its j - i)
//!                     i = 2     0  1  2  3
//! ```
//!
//! *Products.* The row c_i of a query has its keys side by side, from R - i on. Of the rows of the keys a query meets
//! one element each, one place further from row to row: (2R + 1) + 1 elements apart. No two scores meet the same
//! element of either, so that the gradients are written, not added up.

use std::ops::Range;

use super::{Attention, Block, Relative, Task, rows};

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

/// The products of one head and sequence, or their gradients: rows of tokens, `[S, 2R + 1]`.
struct Products {
    reach: usize,
}

impl Products {
    /// The elements of a sequence of this length.
    fn of(len: usize, keys: usize) -> Self {
        Self { reach: len / keys / 2 }
    }

    /// Where those of a query with the keys of a block are, in c.
    fn of_query(&self, query: usize, block: &Block) -> Range<usize> {
        let first = query * (2 * self.reach + 1) + self.reach + block.keys.start - query;
        first..first + block.keys.len()
    }

    /// Where those of the keys of a block with a query are, in g.
    fn of_keys(&self, query: usize, block: &Block) -> impl Iterator<Item = usize> {
        let width = 2 * self.reach + 1;
        let first = block.keys.start * width + self.reach + block.keys.start - query;
        (first..).step_by(width + 1).take(block.keys.len())
    }
}

impl Task {
    /// The rows of its tokens in parts `[N, T, 2R + 1]` of `len` elements.
    pub(super) fn products(&self, a: Attention, len: usize) -> Range<usize> {
        let tokens = super::super::total(a.keys);
        let width = len / (a.heads * tokens);
        let first = (self.head * tokens + self.first_key) * width;
        first..first + self.keys * width
    }
}

/// Adds what scores of a block have by distance; writes to as many `diagonals` as it has, if that is a bias.
pub(super) fn add(
    a: Attention,
    relative: Relative<&[f32]>,
    task: &Task,
    block: &Block,
    scores: &mut [f32],
    diagonals: &mut [f32],
) {
    match relative {
        Relative::None => {}
        Relative::Bias(bias) => add_bias(a, (bias, task.head), block, scores, diagonals),
        Relative::Products(parts) => {
            let own = parts.map(|x| &x[task.products(a, x.len())]);
            add_products(a.scale, own, task, block, scores);
        }
    }
}

fn add_bias(
    a: Attention,
    (bias, head): (&[f32], usize),
    block: &Block,
    scores: &mut [f32],
    diagonals: &mut [f32],
) {
    let rows_of_bias = block.bias_rows(a.reach(Relative::Bias(bias.len())));
    diagonals.iter_mut().zip(rows_of_bias).for_each(|(to, row)| *to = bias[row * a.heads + head]);
    for (query, scores) in block.queries.clone().zip(scores.chunks_exact_mut(block.stride())) {
        rows::add(&mut scores[..block.keys.len()], &diagonals[block.diagonals_of(query)]);
    }
}

fn add_products(scale: f32, [c, g]: [&[f32]; 2], task: &Task, block: &Block, scores: &mut [f32]) {
    let products = Products::of(c.len(), task.keys);
    for (query, scores) in block.queries.clone().zip(scores.chunks_exact_mut(block.stride())) {
        let of_query = &c[products.of_query(query, block)];
        for ((s, c), at) in scores.iter_mut().zip(of_query).zip(products.of_keys(query, block)) {
            *s += scale * (c + g[at]);
        }
    }
}

/// Adds what the gradients of the scores of a block give to that of the bias of their head, `[2R + 1]`, or writes it to
/// that of the products of their head and sequence, `[S, 2R + 1]` each; writes to as many `diagonals` as the block has,
/// if it is a bias.
pub(super) fn add_gradient(
    scale: f32,
    task: &Task,
    block: &Block,
    ds: &[f32],
    grad: &mut Relative<&mut [f32]>,
    diagonals: &mut [f32],
) {
    match grad {
        Relative::None => {}
        Relative::Bias(dbias) => add_bias_gradient(block, ds, dbias, diagonals),
        Relative::Products(own) => write_product_gradients(scale, task, block, ds, own),
    }
}

fn add_bias_gradient(block: &Block, ds: &[f32], dbias: &mut [f32], diagonals: &mut [f32]) {
    diagonals[..block.diagonals()].fill(0.0);
    for (query, ds) in block.queries.clone().zip(ds.chunks_exact(block.stride())) {
        rows::add(&mut diagonals[block.diagonals_of(query)], &ds[..block.keys.len()]);
    }
    for (row, sum) in block.bias_rows(dbias.len() / 2).zip(diagonals) {
        dbias[row] += *sum;
    }
}

fn write_product_gradients(
    scale: f32,
    task: &Task,
    block: &Block,
    ds: &[f32],
    [dc, dg]: &mut [&mut [f32]; 2],
) {
    let products = Products::of(dc.len(), task.keys);
    for (query, ds) in block.queries.clone().zip(ds.chunks_exact(block.stride())) {
        let of_query = &mut dc[products.of_query(query, block)];
        for ((ds, dc), at) in ds.iter().zip(of_query).zip(products.of_keys(query, block)) {
            *dc = scale * ds;
            dg[at] = scale * ds;
        }
    }
}
