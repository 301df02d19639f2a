//! Multi-head self-attention of a ragged batch, fused: each token attends to its own sequence, or to a window of it.
//!
//! ```text
//! for each sequence and head, with rows i (queries) and j (keys) of that sequence, |i - j| <= w if there is a window:
//! forward    s_ij = scale q_i . k_j          lse_i = ln sum_j exp s_ij
//!            p_ij = exp(s_ij - lse_i)        o_i = sum_j p_ij m_ij v_j
//! backward   delta_i = do_i . o_i            ds_ij = p_ij (m_ij do_i . v_j - delta_i)
//!            dq_i = scale sum_j ds_ij k_j    dk_j = scale sum_i ds_ij q_i
//!            dv_j = sum_i p_ij m_ij do_i
//! ```
//!
//! Shapes: q `[Tq, N*D]`, k and v `[T, N*D] -> [Tq, N*D]`, head n in the columns `n*D .. (n+1)*D`; lse, the only thing
//! saved for the backward (but on tensor cores m, too, in bits), `[Tq, N]`. To s_ij may be added what i and j have by
//! their distance ([`Relative`]). All tokens ask, or only those whose last state is read, such as the first of each
//! sequence for a classifier: queries and keys have offsets of their own. m is the dropout mask of the probabilities
//! (0 or 1 / (1 - p), else 1) at row `query * N + head` and column j. The backward makes p again from q, k and lse: both
//! directions hold the scores of a block of queries at a time, never `[S, S]`, and only those of keys that the block
//! sees: a window makes the work O(S w). Sums are f32. The row maximum is taken away before exponentials; a NaN stays
//! inside its sequence and head, but may pass the edge of a window: a query adds 0 times what only others of its block
//! see.
//!
//! Source: Vaswani et al., *Attention is all you need*, 2017, <https://arxiv.org/abs/1706.03762>; Dao et al.,
//! *FlashAttention*, 2022, <https://arxiv.org/abs/2205.14135>; the window: Beltagy et al., *Longformer*, 2020,
//! <https://arxiv.org/abs/2004.05150>. Above: `tensor/src/ops/attention.rs`.

mod cpu;
pub mod cuda;
pub mod reference;
mod relative;

use crate::dropout::Dropout;

pub use cpu::{backward, forward};
pub use relative::Relative;

/// Sizes and settings, the same in both directions.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Where the queries of each sequence begin, `[B + 1]`: from 0, strictly ascending, the last one Tq.
    pub queries: &'a [u32],
    /// Where the keys and values of each sequence begin, `[B + 1]`, likewise; the last one T.
    pub keys: &'a [u32],
    /// Heads (N).
    pub heads: usize,
    /// The size of one head (D), at least 1.
    pub head_dim: usize,
    /// What scores are multiplied by, usually 1 / sqrt(D).
    pub scale: f32,
    /// Dropout of the probabilities.
    pub dropout: Option<Dropout>,
    /// How far from a query, in tokens, a key of its sequence may be for the query to see it; any key if none. The
    /// offsets of queries and keys must then be the same.
    pub window: Option<usize>,
}

impl Attention<'_> {
    /// The elements of one token, N * D.
    fn hidden(&self) -> usize {
        self.heads * self.head_dim
    }

    /// The window, where it hides anything from anyone in a sequence of `len` tokens.
    fn window_within(&self, len: usize) -> Option<usize> {
        self.window.filter(|window| window.saturating_add(1) < len)
    }

    /// Panics unless offsets and lengths fit: of matrices with a row a query, of such with a row a key, of lse.
    fn check<E>(&self, queries: &[&[E]], keys: &[&[E]], lse: &[f32]) {
        let lengths = |matrices: &[&[E]]| matrices.iter().map(|m| m.len()).collect::<Vec<_>>();
        self.check_lengths(&lengths(queries), &lengths(keys), lse.len());
    }

    fn check_lengths(&self, queries: &[usize], keys: &[usize], lse: usize) {
        assert_eq!(self.queries.len(), self.keys.len(), "attention: sequences of queries and keys");
        assert!(self.heads > 0 && self.head_dim > 0, "attention: no heads");
        let all_ask = self.queries == self.keys;
        assert!(all_ask || self.window.is_none(), "attention: a window, but not all tokens ask");
        for (offsets, lengths) in [(self.queries, queries), (self.keys, keys)] {
            let starts_at_zero = offsets.first() == Some(&0);
            let ascending = offsets.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(starts_at_zero && ascending, "attention: offsets must ascend from 0");
            let rows = total(offsets);
            for &length in lengths {
                assert_eq!(length, rows * self.hidden(), "attention: expected [{rows}, N*D]");
            }
        }
        assert_eq!(lse, total(self.queries) * self.heads, "attention: length of lse");
    }
}

/// The last offset.
fn total(offsets: &[u32]) -> usize {
    offsets.last().map_or(0, |&end| end as usize)
}

/// Queries, keys and values, and what is added to scores.
#[derive(Clone, Copy, Debug)]
pub struct Qkv<'a, E = f32> {
    /// Queries, `[Tq, N*D]`.
    pub q: &'a [E],
    /// Keys, `[T, N*D]`.
    pub k: &'a [E],
    /// Values, `[T, N*D]`.
    pub v: &'a [E],
    /// What scores have by distance.
    pub relative: Relative<&'a [f32]>,
}

/// Where the backward writes.
#[derive(Debug)]
pub struct Gradients<'a, E = f32> {
    /// The gradient of the queries, `[Tq, N*D]`.
    pub dq: &'a mut [E],
    /// The gradient of the keys, `[T, N*D]`.
    pub dk: &'a mut [E],
    /// The gradient of the values, `[T, N*D]`.
    pub dv: &'a mut [E],
    /// The gradient of what scores have by distance.
    pub relative: Relative<&'a mut [f32]>,
}
