//! Time and GFLOP/s of attention: `cargo bench -p kernels --bench attention [-- SUBSTRING...]`.
//!
//! One line per instruction set and batch, on all threads, a column per direction and type of the activations:
//! milliseconds and GFLOP/s of the shortest call, and GFLOP/s of the median one in brackets. The forward counts 2
//! products of `2 S S D` operations a head and sequence, the backward 5.

mod timing;

use kernels::attention::{self, Attention, Gradients, Qkv, Relative};
use kernels::dropout::Dropout;
use kernels::philox::Key;
use kernels::testing::random;
use kernels::{Element, bf16, isa};
use timing::{Filter, Times, time};

/// (sequences, length): short texts, then longer ones.
const BATCHES: [(usize, usize); 3] = [(32, 25), (16, 128), (4, 512)];
const HEADS: usize = 12;
const HEAD_DIMS: [usize; 2] = [32, 64];

fn main() {
    let filter = Filter::from_args();
    let [a, b, c, d] = ["forward f32", "forward bf16", "backward f32", "backward bf16"];
    println!("{:<28} {a:<26} {b:<26} {c:<26} {d}", "ms GFLOP/s (median)");
    for isa in isa::supported() {
        isa::set(isa);
        for (batch, head_dim) in BATCHES.into_iter().flat_map(|b| HEAD_DIMS.map(|d| (b, d))) {
            for p in [0.0, 0.1] {
                let name = format!("{isa:?} {}x{} D{head_dim} p{p}", batch.0, batch.1);
                if filter.wants(&name) {
                    let [forward, backward] = measure::<f32>(batch, head_dim, p);
                    let [narrow_forward, narrow_backward] = measure::<bf16>(batch, head_dim, p);
                    println!("{name:<28} {forward} {narrow_forward} {backward} {narrow_backward}");
                }
            }
        }
    }
}

/// The columns of both directions.
fn measure<E: Element>((sequences, len): (usize, usize), head_dim: usize, p: f32) -> [String; 2] {
    let cu_seqlens: Vec<u32> = (0..=sequences).map(|i| (i * len) as u32).collect();
    let n = sequences * len * HEADS * head_dim;
    let [q, k, v, d_o] =
        [1, 2, 3, 4].map(|seed| random(n, 1.0, seed).into_iter().map(E::round).collect::<Vec<E>>());
    let (mut o, mut lse) = (vec![E::default(); n], vec![0.0; n / head_dim]);
    let [mut dq, mut dk, mut dv] = [(); 3].map(|()| vec![E::default(); n]);
    let dropout = (p > 0.0).then_some(Dropout { p, key: Key { seed: 1, step: 2, site: 3 } });
    let scale = 1.0 / (head_dim as f32).sqrt();
    let (queries, keys) = (&cu_seqlens, &cu_seqlens);
    let a = Attention { queries, keys, heads: HEADS, head_dim, scale, dropout, window: None };
    let x = Qkv { q: &q, k: &k, v: &v, relative: Relative::None };

    let forward = time(|| attention::forward(a, x, &mut o, &mut lse));
    let backward = time(|| {
        let grads = Gradients { dq: &mut dq, dk: &mut dk, dv: &mut dv, relative: Relative::None };
        attention::backward(a, x, (&o, &lse), &d_o, grads);
    });
    let gflop = 2e-9 * (n * len) as f64;
    let column = |Times { shortest, median }, products: f64| {
        let [rate, median_rate] = [shortest, median].map(|seconds| products * gflop / seconds);
        format!("{:>8.3} {rate:>7.1} ({median_rate:>6.1}) ", shortest * 1e3)
    };
    [column(forward, 2.0), column(backward, 5.0)]
}
