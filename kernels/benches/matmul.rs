//! GFLOP/s of the matrix product: `cargo bench -p kernels --bench matmul [-- SUBSTRING...]`.
//!
//! One line per instruction set, shape and type of the activations (weights and the gradients of weights are f32
//! in any case): on one thread, then on all; of the shortest call, and of the median one in brackets.

mod timing;

use kernels::bf16;
use kernels::isa;
use kernels::matmul::{MatMut, MatRef, Store, Values, gemm, gemm_serial};
use kernels::testing::random;
use timing::{Filter, Times, time};

/// Which product of a linear layer with its weight w `[F, H]`.
#[derive(Clone, Copy, Debug)]
enum Pass {
    /// y = x w^T
    Forward,
    /// dx = dy w
    Dx,
    /// dw = dy^T x
    Dw,
}
use Pass::{Dw, Dx, Forward};

/// (pass, M, N, K): layers of MiniLM (H 384) and BERT base (H 768), single sentences, classifiers, and the
/// products of an attention head.
const SHAPES: [(Pass, usize, usize, usize); 28] = [
    (Forward, 2048, 1536, 384),
    (Forward, 2048, 384, 1536),
    (Forward, 2048, 384, 384),
    (Forward, 4096, 3072, 768),
    (Forward, 4096, 768, 768),
    (Forward, 200, 1536, 384),
    (Forward, 200, 384, 384),
    (Forward, 32, 384, 384),
    (Forward, 20, 384, 384),
    (Forward, 8, 384, 384),
    (Forward, 8, 1536, 384),
    (Forward, 8, 384, 1536),
    (Forward, 1, 384, 384),
    (Forward, 32, 2, 384),
    (Forward, 32, 8, 768),
    (Forward, 4096, 2, 384),
    (Forward, 30, 30, 32),
    (Forward, 128, 128, 64),
    (Dx, 128, 64, 128),
    (Dx, 2048, 384, 1536),
    (Dx, 8, 384, 384),
    (Dx, 32, 384, 2),
    (Dx, 4096, 384, 2),
    (Dw, 1536, 384, 2048),
    (Dw, 384, 1536, 2048),
    (Dw, 2, 384, 32),
    (Dw, 8, 768, 32),
    (Dw, 2, 384, 4096),
];

fn main() {
    let filter = Filter::from_args();
    for isa in isa::supported() {
        isa::set(isa);
        for (pass, m, n, k) in SHAPES {
            for bf16 in [false, true] {
                let kind = if bf16 { "bf16" } else { "f32" };
                let name = format!("{isa:?} {kind} {pass:?} {m}x{n}x{k}");
                if filter.wants(&name) {
                    let [serial, parallel] = measure(pass, [m, n, k], bf16);
                    println!("{name:<36} serial {serial}   parallel {parallel}");
                }
            }
        }
    }
}

/// GFLOP/s on one thread and on all.
fn measure(pass: Pass, [m, n, k]: [usize; 3], bf16: bool) -> [String; 2] {
    let (a, b) = (random(m * k, 1.0, 1), random(n * k, 1.0, 2));
    let [narrow_a, narrow_b] = [&a, &b].map(|x| x.iter().map(|x| bf16::from_f32(*x)).collect());
    let (narrow_a, narrow_b): (Vec<bf16>, Vec<bf16>) = (narrow_a, narrow_b);
    let (a, b): (Values, Values) = match (bf16, pass) {
        (false, _) => ((&a).into(), (&b).into()),
        (true, Forward | Dx) => (narrow_a.as_slice().into(), (&b).into()),
        (true, Dw) => (narrow_a.as_slice().into(), narrow_b.as_slice().into()),
    };
    let (a, b) = match pass {
        Forward => (MatRef::new(a, m, k), MatRef::new(b, n, k).t()),
        Dx => (MatRef::new(a, m, k), MatRef::new(b, k, n)),
        Dw => (MatRef::new(a, k, m).t(), MatRef::new(b, k, n)),
    };
    let (mut c, mut narrow_c) = (vec![0.0f32; m * n], vec![bf16::ZERO; m * n]);
    let mut product = |run: &mut dyn FnMut(MatRef, MatRef, MatMut)| {
        let c = match bf16 && !matches!(pass, Dw) {
            false => MatMut::new(&mut c, m, n),
            true => MatMut::new(narrow_c.as_mut_slice(), m, n),
        };
        run(a, b, c);
    };
    let serial = time(|| product(&mut |a, b, c| gemm_serial(a, b, c, Store::default())));
    let parallel = time(|| product(&mut |a, b, c| gemm(a, b, c, Store::default())));
    let gflop = 2e-9 * (m * n * k) as f64;
    [serial, parallel].map(|Times { shortest, median }| {
        format!("{:>6.1} ({:>6.1}) GFLOP/s", gflop / shortest, gflop / median)
    })
}
