//! The definition, in f64: one query of one head at a time.

use super::{Attention, Relative};
use crate::dropout;

/// o from `q` (both `[Tq, N*D]`), `k` and `v` (`[T, N*D]`), and what scores have by distance.
pub fn forward(a: Attention, [q, k, v]: [&[f64]; 3], relative: Relative<&[f64]>) -> Vec<f64> {
    let mut o = vec![0.0; q.len()];
    each_query(a, |query| {
        let p = query.probabilities(a, [q, k], relative);
        for (p, key) in p.iter().zip(&query.seen) {
            let weight = p * query.mask(a, key);
            for c in query.columns.clone() {
                o[query.row + c] += weight * v[key.row + c];
            }
        }
    });
    o
}

/// dq, dk and dv, shaped as q, k and v, and the gradient of what scores have by distance, from the inputs and the
/// gradient of the output.
pub fn backward(
    a: Attention,
    [q, k, v]: [&[f64]; 3],
    relative: Relative<&[f64]>,
    d_o: &[f64],
) -> ([Vec<f64>; 3], Relative<Vec<f64>>) {
    let [mut dq, mut dk, mut dv] = [q, k, v].map(|x| vec![0.0; x.len()]);
    let mut drelative = relative.map(|x| vec![0.0; x.len()]);
    let lengths = relative.map(<[f64]>::len);
    let scale = f64::from(a.scale);
    each_query(a, |query| {
        let p = query.probabilities(a, [q, k], relative);
        let dot = |key: &Key| -> f64 {
            query.columns.clone().map(|c| d_o[query.row + c] * v[key.row + c]).sum()
        };
        let dp: Vec<f64> = query.seen.iter().map(|key| query.mask(a, key) * dot(key)).collect();
        let delta: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
        for ((p, dp), key) in p.iter().zip(&dp).zip(&query.seen) {
            let ds = p * (dp - delta);
            match (&mut drelative, query.places(a, lengths, key)) {
                (Relative::Bias(db), Relative::Bias(at)) => db[at] += ds,
                (Relative::Products([dc, dg]), Relative::Products([c, g])) => {
                    dc[c] += scale * ds;
                    dg[g] += scale * ds;
                }
                _ => {}
            }
            for c in query.columns.clone() {
                dq[query.row + c] += scale * ds * k[key.row + c];
                dk[key.row + c] += scale * ds * q[query.row + c];
                dv[key.row + c] += p * query.mask(a, key) * d_o[query.row + c];
            }
        }
    });
    ([dq, dk, dv], drelative)
}

/// One query under one head.
struct Query {
    /// Where its row begins.
    row: usize,
    /// Its number in its sequence.
    number: usize,
    head: usize,
    /// The keys that it sees.
    seen: Vec<Key>,
    /// The columns of the head.
    columns: std::ops::Range<usize>,
    /// Its row of the dropout mask.
    mask_row: usize,
}

/// One key.
struct Key {
    /// Where its row begins.
    row: usize,
    /// Its number in its sequence, which is its column of the dropout mask.
    number: usize,
}

fn each_query(a: Attention, mut f: impl FnMut(Query)) {
    let (n, d) = (a.heads, a.head_dim);
    for (queries, keys) in a.queries.windows(2).zip(a.keys.windows(2)) {
        let (start, end) = (keys[0] as usize, keys[1] as usize);
        let queries = queries[0] as usize..queries[1] as usize;
        for (i, query) in queries.enumerate() {
            let sees = |j: &usize| a.window.is_none_or(|window| i.abs_diff(*j) <= window);
            for head in 0..n {
                let seen = (0..end - start).filter(sees);
                f(Query {
                    row: query * n * d,
                    number: i,
                    head,
                    seen: seen.map(|j| Key { row: (start + j) * n * d, number: j }).collect(),
                    columns: head * d..(head + 1) * d,
                    mask_row: query * n + head,
                });
            }
        }
    }
}

impl Query {
    /// The softmax of the scores, one for each key that it sees.
    fn probabilities(
        &self,
        a: Attention,
        [q, k]: [&[f64]; 2],
        relative: Relative<&[f64]>,
    ) -> Vec<f64> {
        let (scale, lengths) = (f64::from(a.scale), relative.map(<[f64]>::len));
        let score = |key: &Key| -> f64 {
            let dot: f64 = self.columns.clone().map(|c| q[self.row + c] * k[key.row + c]).sum();
            match (relative, self.places(a, lengths, key)) {
                (Relative::Bias(b), Relative::Bias(at)) => scale * dot + b[at],
                (Relative::Products([c, g]), Relative::Products([at_c, at_g])) => {
                    scale * (dot + c[at_c] + g[at_g])
                }
                _ => scale * dot,
            }
        };
        let scores: Vec<f64> = self.seen.iter().map(score).collect();
        crate::softmax::reference::forward(&scores, scores.len())
    }

    /// Where that which a score has by the distance of its key is, in parts of these lengths.
    fn places(&self, a: Attention, lengths: Relative<usize>, key: &Key) -> Relative<usize> {
        let (reach, after) = (a.reach(lengths), key.number as isize - self.number as isize);
        let row = reach.saturating_add_signed(after).min(2 * reach);
        // Rows of q and k have N*D elements; those of products are by head, then token.
        let (tokens, width) = (super::total(a.keys), a.heads * a.head_dim);
        let of = |token: usize| (self.head * tokens + token / width) * (2 * reach + 1) + row;
        match lengths {
            Relative::None => Relative::None,
            Relative::Bias(_) => Relative::Bias(row * a.heads + self.head),
            Relative::Products(_) => Relative::Products([of(self.row), of(key.row)]),
        }
    }

    /// The dropout factor of a key: 0 or 1 / (1 - p), 1 without dropout.
    fn mask(&self, a: Attention, key: &Key) -> f64 {
        a.dropout.map_or(1.0, |d| dropout::reference::mask(d, self.mask_row, key.number))
    }
}
