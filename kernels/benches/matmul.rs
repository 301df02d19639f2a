//! GFLOP/s of the matrix product: `cargo bench -p kernels --bench matmul [-- SUBSTRING...]`.
//!
//! One line per instruction set and shape: on one thread, then on all; the fastest of several runs.

use std::time::{Duration, Instant};

use kernels::isa;
use kernels::matmul::{MatMut, MatRef, Scratch, Store, gemm, gemm_serial};
use kernels::testing::random;

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

/// (pass, M, N, K): layers of MiniLM (H 384) and BERT base (H 768), short texts, classifiers, and the products
/// of an attention head.
const SHAPES: [(Pass, usize, usize, usize); 20] = [
    (Forward, 2048, 1536, 384),
    (Forward, 2048, 384, 1536),
    (Forward, 2048, 384, 384),
    (Forward, 4096, 3072, 768),
    (Forward, 4096, 768, 768),
    (Forward, 200, 1536, 384),
    (Forward, 200, 384, 384),
    (Forward, 32, 384, 384),
    (Forward, 8, 384, 384),
    (Forward, 1, 384, 384),
    (Forward, 32, 2, 384),
    (Forward, 4096, 2, 384),
    (Forward, 30, 30, 32),
    (Forward, 128, 128, 64),
    (Dx, 128, 64, 128),
    (Dx, 2048, 384, 1536),
    (Dx, 4096, 384, 2),
    (Dw, 1536, 384, 2048),
    (Dw, 384, 1536, 2048),
    (Dw, 2, 384, 4096),
];

/// How long one measurement takes.
const BUDGET: Duration = Duration::from_millis(200);

fn main() {
    let filters: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(f));
    for isa in isa::supported() {
        isa::set(isa);
        for (pass, m, n, k) in SHAPES {
            let name = format!("{isa:?} {pass:?} {m}x{n}x{k}");
            if wanted(&name) {
                let (serial, parallel) = measure(pass, m, n, k);
                println!("{name:<32} serial {serial:>6.1}   parallel {parallel:>6.1} GFLOP/s");
            }
        }
    }
}

/// GFLOP/s on one thread and on all.
fn measure(pass: Pass, m: usize, n: usize, k: usize) -> (f64, f64) {
    let (a, b) = (random(m * k, 1.0, 1), random(n * k, 1.0, 2));
    let mut c = vec![0.0; m * n];
    let (a, b) = match pass {
        Forward => (MatRef::new(&a, m, k), MatRef::new(&b, n, k).t()),
        Dx => (MatRef::new(&a, m, k), MatRef::new(&b, k, n)),
        Dw => (MatRef::new(&a, k, m).t(), MatRef::new(&b, k, n)),
    };
    let gflop = 2e-9 * (m * n * k) as f64;
    let mut scratch = Scratch::default();
    let serial = seconds(|| {
        gemm_serial(a, b, MatMut::new(&mut c, m, n), Store::default(), &mut scratch);
    });
    let parallel = seconds(|| gemm(a, b, MatMut::new(&mut c, m, n), Store::default()));
    (gflop / serial, gflop / parallel)
}

/// The shortest time of one call: other work on the machine only adds to it.
fn seconds(mut call: impl FnMut()) -> f64 {
    call();
    let (start, mut shortest) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < BUDGET {
        let before = Instant::now();
        call();
        shortest = shortest.min(before.elapsed().as_secs_f64());
    }
    shortest
}
