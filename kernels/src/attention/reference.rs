//! The definition, in f64: one query of one head at a time.

use super::Attention;
use crate::dropout;

/// o from `q` (both `[Tq, N*D]`), `k` and `v` (`[T, N*D]`).
pub fn forward(a: Attention, q: &[f64], k: &[f64], v: &[f64]) -> Vec<f64> {
    let mut o = vec![0.0; q.len()];
    each_query(a, |query| {
        let p = query.probabilities(a, q, k);
        for (j, key) in query.keys.clone().enumerate() {
            let weight = p[j] * query.mask(a, j);
            for c in query.columns.clone() {
                o[query.row + c] += weight * v[key + c];
            }
        }
    });
    o
}

/// (dq, dk, dv), shaped as q, k and v, from the inputs and the gradient of the output.
pub fn backward(
    a: Attention,
    q: &[f64],
    k: &[f64],
    v: &[f64],
    d_o: &[f64],
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut dq, mut dk, mut dv) = (vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; k.len()]);
    let scale = f64::from(a.scale);
    each_query(a, |query| {
        let p = query.probabilities(a, q, k);
        let dot = |key: usize| -> f64 {
            query.columns.clone().map(|c| d_o[query.row + c] * v[key + c]).sum()
        };
        let dp: Vec<f64> =
            (query.keys.clone().enumerate()).map(|(j, key)| query.mask(a, j) * dot(key)).collect();
        let delta: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
        for (j, key) in query.keys.clone().enumerate() {
            let ds = p[j] * (dp[j] - delta);
            for c in query.columns.clone() {
                dq[query.row + c] += scale * ds * k[key + c];
                dk[key + c] += scale * ds * q[query.row + c];
                dv[key + c] += p[j] * query.mask(a, j) * d_o[query.row + c];
            }
        }
    });
    (dq, dk, dv)
}

/// One query under one head.
struct Query {
    /// Where its row begins.
    row: usize,
    /// Where the rows of the keys of its sequence begin.
    keys: std::iter::StepBy<std::ops::Range<usize>>,
    /// The columns of the head.
    columns: std::ops::Range<usize>,
    /// Its row of the dropout mask.
    mask_row: usize,
}

fn each_query(a: Attention, mut f: impl FnMut(Query)) {
    let (n, d) = (a.heads, a.head_dim);
    for (queries, keys) in a.queries.windows(2).zip(a.keys.windows(2)) {
        let (start, end) = (keys[0] as usize, keys[1] as usize);
        let queries = queries[0] as usize..queries[1] as usize;
        for (query, head) in queries.flat_map(|t| (0..n).map(move |h| (t, h))) {
            f(Query {
                row: query * n * d,
                keys: (start * n * d..end * n * d).step_by(n * d),
                columns: head * d..(head + 1) * d,
                mask_row: query * n + head,
            });
        }
    }
}

impl Query {
    /// The softmax of the scores, one for each key.
    fn probabilities(&self, a: Attention, q: &[f64], k: &[f64]) -> Vec<f64> {
        let score = |key: usize| -> f64 {
            self.columns.clone().map(|c| q[self.row + c] * k[key + c]).sum::<f64>()
        };
        let scores: Vec<f64> = self.keys.clone().map(|k| f64::from(a.scale) * score(k)).collect();
        crate::softmax::reference::forward(&scores, scores.len())
    }

    /// The dropout factor of key number `j`: 0 or 1 / (1 - p), 1 without dropout.
    fn mask(&self, a: Attention, j: usize) -> f64 {
        a.dropout.map_or(1.0, |d| dropout::reference::mask(d, self.mask_row, j))
    }
}
