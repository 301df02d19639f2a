//! Multi-head self-attention of a ragged batch, fused: each token attends to the tokens of its own sequence.
//!
//! ```text
//! for each sequence and head, with rows i (queries) and j (keys) of that sequence:
//! forward    s_ij = scale q_i . k_j      lse_i = ln sum_j exp s_ij      p_ij = exp(s_ij - lse_i)
//!            o_i  = sum_j p_ij m_ij v_j
//! backward   delta_i = do_i . o_i        ds_ij = p_ij (m_ij do_i . v_j - delta_i)
//!            dq_i = scale sum_j ds_ij k_j
//!            dk_j = scale sum_i ds_ij q_i
//!            dv_j = sum_i p_ij m_ij do_i
//! ```
//!
//! Shapes: q, k, v `[T, N*D] -> [T, N*D]`, head n in the columns `n*D .. (n+1)*D`; lse, the only thing saved
//! for the backward, `[T, N]`. m is the dropout mask of the probabilities (0 or 1 / (1 - p), else 1) at row
//! `token * N + head` and column j. The backward makes p again from q, k and lse: both directions hold the
//! scores of a block of queries at a time, never `[S, S]`. The row maximum is taken away before
//! exponentials; a NaN stays inside its sequence and head.
//!
//! Source: Vaswani et al., *Attention is all you need*, 2017, <https://arxiv.org/abs/1706.03762>; Dao et al.,
//! *FlashAttention*, 2022, <https://arxiv.org/abs/2205.14135>. Above: `tensor/src/ops/attention.rs`.

mod cpu;
pub mod reference;

use crate::dropout::Dropout;

pub use cpu::{backward, forward};

/// Sizes and settings, the same in both directions.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Where each sequence begins, `[B + 1]`: from 0, strictly ascending, the last one T.
    pub cu_seqlens: &'a [u32],
    /// Heads (N).
    pub heads: usize,
    /// The size of one head (D), at least 1.
    pub head_dim: usize,
    /// What scores are multiplied by, usually 1 / sqrt(D).
    pub scale: f32,
    /// Dropout of the probabilities.
    pub dropout: Option<Dropout>,
}

impl Attention<'_> {
    /// The elements of one token, N * D.
    fn hidden(&self) -> usize {
        self.heads * self.head_dim
    }

    /// All tokens (T).
    fn tokens(&self) -> usize {
        self.cu_seqlens.last().map_or(0, |&end| end as usize)
    }

    /// Panics unless offsets and lengths fit.
    fn check(&self, matrices: &[&[f32]], lse: &[f32]) {
        let starts_at_zero = self.cu_seqlens.first() == Some(&0);
        let ascending = self.cu_seqlens.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(starts_at_zero && ascending, "attention: cu_seqlens must ascend from 0");
        assert!(self.heads > 0 && self.head_dim > 0, "attention: no heads");
        let n = self.tokens() * self.hidden();
        for m in matrices {
            assert_eq!(m.len(), n, "attention: expected [T, N*D] = [{}, ..]", self.tokens());
        }
        assert_eq!(lse.len(), self.tokens() * self.heads, "attention: length of lse");
    }
}

/// Queries, keys and values, each `[T, N*D]`.
#[derive(Clone, Copy, Debug)]
pub struct Qkv<'a> {
    /// Queries.
    pub q: &'a [f32],
    /// Keys.
    pub k: &'a [f32],
    /// Values.
    pub v: &'a [f32],
}

/// Where the backward writes, each `[T, N*D]`.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// The gradient of the queries.
    pub dq: &'a mut [f32],
    /// The gradient of the keys.
    pub dk: &'a mut [f32],
    /// The gradient of the values.
    pub dv: &'a mut [f32],
}
