//! Time and memory traffic of the ops, at the sizes of a BERT-base batch of 2048 tokens.
//!
//! ```text
//! cargo bench -p kernels                     # all rows
//! cargo bench -p kernels -- gelu             # rows whose name contains gelu
//! KERNELS_ISA=avx2 RAYON_NUM_THREADS=1 cargo bench -p kernels
//! ```
//!
//! GB/s counts every input read once and every output written once; what an op reads twice it must find in
//! the cache. To add an op, add a line to `main` or a function of lines.

use std::hint::black_box;
use std::time::Instant;

use kernels::activation::{self, Activation};
use kernels::elementwise::{self, Binary, Unary};
use kernels::layer_norm::{self, Saved};
use kernels::testing::random;
use kernels::{isa, reduce, softmax};

const T: usize = 2048;
const H: usize = 768;
const F: usize = 3072;

fn main() {
    let bench = Bench::new();
    softmax_rows(&bench);
    layer_norm_rows(&bench);
    elementwise_rows(&bench);
    activation_rows(&bench);
    reduce_rows(&bench);
}

fn softmax_rows(bench: &Bench) {
    let (x, dy) = (random(T * 128, 9.0, 1), random(T * 128, 1.0, 2));
    let (mut y, mut dx) = (x.clone(), x.clone());
    let shape = [T, 128];
    bench.row("softmax", shape, 2 * x.len(), || softmax::forward(&x, 128, &mut y));
    bench.row("softmax backward", shape, 3 * x.len(), || softmax::backward(&y, &dy, 128, &mut dx));
}

fn layer_norm_rows(bench: &Bench) {
    let (x, dy) = (random(T * H, 2.0, 1), random(T * H, 1.0, 2));
    let (w, b) = (random(H, 1.0, 3), random(H, 1.0, 4));
    let (mut y, mut mean, mut rstd) = (x.clone(), vec![0.0; T], vec![0.0; T]);
    let (mut dw, mut db) = (w.clone(), b.clone());
    let n = x.len();
    bench.row("layer_norm", [T, H], 2 * n, || {
        layer_norm::forward(&x, (&w, &b), 1e-12, &mut y, (&mut mean, &mut rstd));
    });
    let saved = Saved { mean: &mean, rstd: &rstd };
    bench.row("layer_norm backward_input", [T, H], 3 * n, || {
        layer_norm::backward_input(&x, &w, saved, &dy, &mut y);
    });
    bench.row("layer_norm backward_params", [T, H], 2 * n, || {
        layer_norm::backward_params(&x, saved, &dy, &mut dw, &mut db);
    });
}

fn elementwise_rows(bench: &Bench) {
    let (a, b, row) = (random(T * H, 1.0, 1), random(T * H, 1.0, 2), random(H, 1.0, 3));
    let mut y = a.clone();
    let n = a.len();
    bench.row("add", [T, H], 3 * n, || elementwise::binary(Binary::Add, &a, &b, &mut y));
    bench.row("add row", [T, H], 2 * n, || elementwise::binary_row(Binary::Add, &a, &row, &mut y));
    bench.row("scale", [T, H], 2 * n, || elementwise::scale(0.5, &a, &mut y));
    bench.row("axpy", [T, H], 3 * n, || elementwise::axpy(1e-3, &a, &mut y));
    bench.row("add_assign", [T, H], 3 * n, || elementwise::add_assign(&mut y, &a));
    for op in [Unary::Exp, Unary::Ln, Unary::Sqrt] {
        bench.row(&format!("{op:?}"), [T, H], 2 * n, || elementwise::unary(op, &a, &mut y));
    }
}

fn activation_rows(bench: &Bench) {
    let (x, dy) = (random(T * F, 4.0, 1), random(T * F, 1.0, 2));
    let mut y = x.clone();
    let n = x.len();
    for op in Activation::ALL {
        let name = op.name();
        bench.row(name, [T, F], 2 * n, || activation::forward(op, &x, &mut y));
        let name = format!("{name} backward");
        bench.row(&name, [T, F], 3 * n, || activation::backward(op, &x, &dy, &mut y));
    }
}

fn reduce_rows(bench: &Bench) {
    let x = random(T * F, 1.0, 1);
    let (mut columns, mut rows, mut at) = (vec![0.0; F], vec![0.0; T], vec![0; T]);
    let n = x.len();
    bench.row("sum", [T, F], n, || _ = black_box(reduce::sum(&x)));
    bench.row("sum_squares", [T, F], n, || _ = black_box(reduce::sum_squares(&x)));
    bench.row("max", [T, F], n, || _ = black_box(reduce::max(&x)));
    bench.row("column_sums", [T, F], n, || reduce::column_sums(&x, F, &mut columns));
    bench.row("row_sums", [T, F], n, || reduce::row_sums(&x, F, &mut rows));
    bench.row("row_max", [T, F], n, || reduce::row_max(&x, F, &mut rows));
    bench.row("row_argmax", [T, F], n, || reduce::row_argmax(&x, F, &mut at));
}

/// The table; rows that the words on the command line do not ask for are left out.
struct Bench {
    words: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        println!("{:?}, {} threads", isa::current(), rayon::current_num_threads());
        println!("{:<28} {:>14} {:>12} {:>8}", "op", "shape", "ns", "GB/s");
        Self { words: std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect() }
    }

    /// Times `f` and prints its row; `floats` is the number of f32 that it must move.
    fn row<const N: usize>(&self, op: &str, shape: [usize; N], floats: usize, f: impl FnMut()) {
        if self.words.is_empty() || self.words.iter().any(|word| op.contains(word.as_str())) {
            let ns = fastest(f);
            let rate = 4.0 * floats as f64 / ns;
            println!("{op:<28} {:>14} {ns:>12.0} {rate:>8.1}", format!("{shape:?}"));
        }
    }
}

/// Nanoseconds of the fastest call in 0.2 s, after one call that is not counted.
fn fastest(mut f: impl FnMut()) -> f64 {
    f();
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while start.elapsed().as_millis() < 200 {
        let call = Instant::now();
        f();
        best = best.min(call.elapsed().as_nanos() as f64);
    }
    best
}
