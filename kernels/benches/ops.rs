//! Time and memory traffic of the ops, at the sizes of a BERT-base batch of 2048 tokens.
//!
//! ```text
//! cargo bench -p kernels --bench ops                 # all rows
//! cargo bench -p kernels --bench ops -- gelu         # rows whose name contains gelu
//! KERNELS_ISA=avx2 RAYON_NUM_THREADS=1 cargo bench -p kernels --bench ops
//! ```
//!
//! The rate is that of the shortest call. GB/s counts every input read once and every output written once; what
//! an op reads twice it must find in the cache. The head of the table says what a plain copy of memory reaches on all
//! threads, counted likewise: an op that moves more than that works in the cache, one that moves much less is
//! held up by its arithmetic. To add an op, add a function of rows.

mod timing;

use std::hint::black_box;

use kernels::activation::{self, Activation};
use kernels::adamw::{self, Lazy, Step, Table};
use kernels::add_norm::{self, Gradients, Input, Output};
use kernels::dropout::{self, Dropout};
use kernels::elementwise::{self, Binary, Unary};
use kernels::layer_norm::{self, Saved};
use kernels::philox::{self, Key};
use kernels::pooling::{self, Pooling};
use kernels::rotary::{self, Rotary};
use kernels::testing::random;
use kernels::{
    Element, bce_with_logits, bf16, cross_entropy, embedding, gated, isa, mse, reduce, residual,
    softmax,
};
use rayon::prelude::*;
use timing::{Filter, Times, time};

/// Tokens.
const T: usize = 2048;
/// Sequences.
const B: usize = 32;
const H: usize = 768;
const F: usize = 3072;
/// The vocabulary of BERT.
const V: usize = 30_522;
const KEY: Key = Key { seed: 1, step: 2, site: 3 };

fn main() {
    let bench = Bench::new();
    softmax_rows(&bench);
    layer_norm_rows::<f32>(&bench);
    layer_norm_rows::<bf16>(&bench);
    add_norm_rows::<f32>(&bench);
    add_norm_rows::<bf16>(&bench);
    residual_rows::<f32>(&bench);
    residual_rows::<bf16>(&bench);
    elementwise_rows(&bench);
    convert_rows::<f32, bf16>(&bench);
    convert_rows::<bf16, f32>(&bench);
    activation_rows::<f32>(&bench);
    activation_rows::<bf16>(&bench);
    gated_rows::<f32>(&bench);
    gated_rows::<bf16>(&bench);
    reduce_rows(&bench);
    dropout_rows(&bench);
    embedding_rows(&bench);
    pooling_rows(&bench);
    rotary_rows::<f32>(&bench);
    rotary_rows::<bf16>(&bench);
    cross_entropy_rows(&bench);
    elementwise_loss_rows(&bench);
    adamw_rows(&bench);
}

fn softmax_rows(bench: &Bench) {
    let (x, dy) = (random(T * 128, 9.0, 1), random(T * 128, 1.0, 2));
    let (mut y, mut dx) = (x.clone(), x.clone());
    let shape = [T, 128];
    bench.row("softmax", shape, 2 * x.len(), || softmax::forward(&x, 128, &mut y));
    bench.row("softmax backward", shape, 3 * x.len(), || softmax::backward(&y, &dy, 128, &mut dx));
}

/// From f32 to `E`.
fn layer_norm_rows<E: Element>(bench: &Bench) {
    let (x, dy) = (random(T * H, 2.0, 1), values::<E>(T * H, 2));
    let (w, b) = (random(H, 1.0, 3), random(H, 1.0, 4));
    let (mut y, mut dx, mut mean, mut rstd) = (dy.clone(), x.clone(), vec![0.0; T], vec![0.0; T]);
    let (mut dw, mut db) = (w.clone(), b.clone());
    let (wide, bytes) = (4 * T * H, size_of::<E>() * T * H);
    let name = format!("layer_norm {}", element::<E>());
    bench.row_of_bytes(&name, [T, H], wide + bytes, || {
        layer_norm::forward(&x, (&w, &b), 1e-12, &mut y, (&mut mean, &mut rstd));
    });
    let saved = Saved { mean: &mean, rstd: &rstd };
    bench.row_of_bytes(&format!("{name} backward_input"), [T, H], 2 * wide + bytes, || {
        layer_norm::backward_input(&x, &w, saved, &dy, &mut dx);
    });
    bench.row_of_bytes(&format!("{name} backward_params"), [T, H], wide + bytes, || {
        layer_norm::backward_params(&x, saved, &dy, &mut dw, &mut db);
    });
}

/// An update in `E`, as in a layer in training, with dropout, and in inference.
fn residual_rows<E: Element>(bench: &Bench) {
    let (x, mut u) = (random(T * H, 2.0, 1), values::<E>(T * H, 2));
    let mut s = x.clone();
    let (wide, bytes) = (4 * T * H, size_of::<E>() * T * H);
    let d = Dropout { p: 0.1, key: KEY };
    for (name, dropout) in [("", None), (" dropout", Some(d))] {
        let name = format!("residual {}{name}", element::<E>());
        bench.row_of_bytes(&name, [T, H], 2 * wide + bytes, || {
            residual::forward(&x, &u, dropout, H, &mut s);
        });
    }
    let name = format!("residual {} dropout backward", element::<E>());
    bench.row_of_bytes(&name, [T, H], wide + bytes, || residual::backward(d, &x, H, &mut u));
}

/// As in a layer in training, with dropout, and in inference.
fn add_norm_rows<E: Element>(bench: &Bench) {
    let [x, r, dy] = [1, 2, 3].map(|seed| values::<E>(T * H, seed));
    let (w, b) = (random(H, 1.0, 3), random(H, 1.0, 4));
    let [mut z, mut y, mut dx, mut dr] = [(); 4].map(|()| vec![E::default(); T * H]);
    let [mut mean, mut rstd] = [(); 2].map(|()| vec![0.0; T]);
    let [mut dw, mut db] = [(); 2].map(|()| vec![0.0; H]);
    let bytes = size_of::<E>() * T * H;
    for (name, dropout) in [("", None), (" dropout", Some(Dropout { p: 0.1, key: KEY }))] {
        let name = format!("add_norm {}{name}", element::<E>());
        bench.row_of_bytes(&name, [T, H], 4 * bytes, || {
            let (input, out) = (Input { x: &x, r: &r, dropout }, Output { z: &mut z, y: &mut y });
            add_norm::forward(input, (&w, &b), 1e-12, out, (&mut mean, &mut rstd));
        });
        let outputs = if dropout.is_some() { 2 } else { 1 };
        bench.row_of_bytes(&format!("{name} backward"), [T, H], (2 + outputs) * bytes, || {
            let dx = dropout.map(|_| dx.as_mut_slice());
            let grads = Gradients { dr: &mut dr, dx, dw: &mut dw, db: &mut db };
            let saved = add_norm::Saved { z: &z, mean: &mean, rstd: &rstd };
            add_norm::backward(saved, &w, dropout, &dy, grads);
        });
    }
}

fn elementwise_rows(bench: &Bench) {
    let (a, b, row) = (random(T * H, 1.0, 1), random(T * H, 1.0, 2), random(H, 1.0, 3));
    let mut y = a.clone();
    let n = a.len();
    for op in Binary::ALL {
        let name = format!("{op:?}").to_lowercase();
        bench.row(&name, [T, H], 3 * n, || elementwise::binary(op, &a, &b, &mut y));
        let name = format!("{name} row");
        bench.row(&name, [T, H], 2 * n, || elementwise::binary_row(op, &a, &row, &mut y));
    }
    bench.row("scale", [T, H], 2 * n, || elementwise::scale(0.5, &a, &mut y));
    bench.row("add_assign", [T, H], 3 * n, || elementwise::add_assign(&mut y, &a));
    for op in Unary::ALL {
        let name = format!("{op:?}").to_lowercase();
        bench.row(&name, [T, H], 2 * n, || elementwise::unary(op, &a, &mut y));
        let (name, mut dx) = (format!("{name} backward"), b.clone());
        bench.row(&name, [T, H], 3 * n, || elementwise::unary_backward(op, &a, &y, &b, &mut dx));
    }
}

fn convert_rows<From: Element, To: Element>(bench: &Bench) {
    let (x, mut y) = (values::<From>(T * F, 1), vec![To::default(); T * F]);
    let name = format!("convert {} to {}", element::<From>(), element::<To>());
    let bytes = T * F * (size_of::<From>() + size_of::<To>());
    bench.row_of_bytes(&name, [T, F], bytes, || elementwise::convert(&x, &mut y));
}

fn activation_rows<E: Element>(bench: &Bench) {
    let [x, dy] = [1, 2].map(|seed| values::<E>(T * F, seed));
    let (mut y, bytes) = (x.clone(), size_of::<E>() * x.len());
    for op in Activation::ALL {
        let name = format!("{} {}", op.name(), element::<E>());
        bench.row_of_bytes(&name, [T, F], 2 * bytes, || activation::forward(op, &x, &mut y));
        let name = format!("{name} backward");
        bench.row_of_bytes(&name, [T, F], 3 * bytes, || {
            activation::backward(op, &x, &dy, &mut y);
        });
    }
}

/// Of ModernBERT-base: F = 1152.
fn gated_rows<E: Element>(bench: &Bench) {
    let (cols, op) = (1152, Activation::Gelu);
    let (z, dy) = (values::<E>(T * 2 * cols, 1), values::<E>(T * cols, 2));
    let (mut y, mut dz, bytes) = (dy.clone(), z.clone(), size_of::<E>() * dy.len());
    let (name, shape) = (format!("gated {}", element::<E>()), [T, 2 * cols]);
    bench.row_of_bytes(&name, shape, 3 * bytes, || gated::forward(op, &z, cols, &mut y));
    bench.row_of_bytes(&format!("{name} backward"), shape, 5 * bytes, || {
        gated::backward(op, &z, &dy, cols, &mut dz);
    });
    bench.row_of_bytes(&format!("{name} backward and value"), shape, 6 * bytes, || {
        gated::backward_and_value(op, &z, &dy, cols, &mut dz, &mut y);
    });
}

fn reduce_rows(bench: &Bench) {
    let x = random(T * F, 1.0, 1);
    let (mut columns, mut at) = (vec![0.0; F], vec![0; T]);
    let n = x.len();
    bench.row("sum", [T, F], n, || _ = black_box(reduce::sum(&x)));
    bench.row("sum_squares", [T, F], n, || _ = black_box(reduce::sum_squares(&x)));
    bench.row("column_sums", [T, F], n, || reduce::column_sums(&x, F, &mut columns));
    bench.row("row_argmax", [T, F], n, || reduce::row_argmax(&x, F, &mut at));
}

fn dropout_rows(bench: &Bench) {
    let (x, mut y, mut bits) = (random(T * H, 1.0, 1), vec![0.0; T * H], vec![0; H]);
    let (d, n) = (Dropout { p: 0.1, key: KEY }, x.len());
    bench.row("philox row_bits", [H], H, || philox::row_bits(KEY, 5, 0, &mut bits));
    bench.row("dropout", [T, H], 2 * n, || dropout::forward(d, &x, H, &mut y));
    bench.row("dropout backward", [T, H], 2 * n, || dropout::backward(d, &x, H, &mut y));
}

fn embedding_rows(bench: &Bench) {
    let (mut table, mut y) = (random(V * H, 1.0, 1), vec![0.0; T * H]);
    let ids: Vec<u32> = (0..T).map(|t| (t * t % V) as u32).collect();
    let n = T + 2 * T * H;
    bench.row("embedding", [T, H], n, || embedding::forward(&table, &ids, H, &mut y));
    y.fill(1e-3);
    // Rows of the table are read and written: T of them, were no id used twice.
    let n = T + 3 * T * H;
    bench.row("embedding backward", [T, H], n, || embedding::backward(&y, &ids, H, &mut table));
}

fn pooling_rows(bench: &Bench) {
    let (mut x, mut y) = (random(T * H, 1.0, 1), vec![0.0; B * H]);
    let ends = sequences();
    for (name, op, read) in [("first", Pooling::First, B), ("mean", Pooling::Mean, T)] {
        let n = (read + B) * H;
        bench.row(&format!("pooling {name}"), [T, H], n, || {
            pooling::forward(op, &x, &ends, H, &mut y);
        });
        bench.row(&format!("pooling {name} backward"), [T, H], (T + B) * H, || {
            pooling::backward(op, &y, &ends, H, &mut x);
        });
    }
}

/// 12 heads of 64.
fn rotary_rows<E: Element>(bench: &Bench) {
    let (mut qkv, ends) = (values::<E>(T * 3 * H, 1), sequences());
    let mut parts = [(); 3].map(|()| vec![E::default(); T * H]);
    let (table, bytes) = (rotary::table(64, 1e4, T / B), 2 * size_of::<E>() * qkv.len());
    let settings = Rotary { table: &table, cu_seqlens: &ends, heads: H / 64, head_dim: 64 };
    let name = format!("rotary {}", element::<E>());
    bench.row_of_bytes(&format!("{name} split"), [T, 3 * H], bytes, || {
        let [q, k, v] = &mut parts;
        rotary::split(settings, &qkv, [q, k, v]);
    });
    bench.row_of_bytes(&format!("{name} join"), [T, 3 * H], bytes, || {
        rotary::join(settings, parts.each_ref().map(|part| &part[..]), &mut qkv);
    });
}

/// Offsets of B sequences of T tokens.
fn sequences() -> Vec<u32> {
    (0..=B).map(|i| (i * T / B) as u32).collect()
}

/// A classifier of few classes, and one over the vocabulary.
fn cross_entropy_rows(bench: &Bench) {
    for [rows, c] in [[T, 2], [B, V]] {
        let x = random(rows * c, 4.0, 1);
        let labels: Vec<u32> = (0..rows).map(|r| (r * 7 % c) as u32).collect();
        let (mut saved, mut dx) = (vec![0.0; rows], x.clone());
        let n = x.len() + 2 * rows;
        bench.row("cross_entropy", [rows, c], n, || {
            black_box(cross_entropy::forward(&x, &labels, &mut saved));
        });
        bench.row("cross_entropy backward", [rows, c], n + x.len(), || {
            cross_entropy::backward(&x, &labels, &saved, 1.0, &mut dx);
        });
    }
}

/// The losses of regression and of several labels a text.
fn elementwise_loss_rows(bench: &Bench) {
    let (x, targets) = (random(T * H, 4.0, 1), random(T * H, 1.0, 2));
    let (mut dx, n) = (x.clone(), x.len());
    bench.row("mse", [T, H], 2 * n, || _ = black_box(mse::forward(&x, &targets)));
    bench.row("mse backward", [T, H], 3 * n, || mse::backward(&x, &targets, 1.0, &mut dx));
    bench.row("bce_with_logits", [T, H], 2 * n, || {
        black_box(bce_with_logits::forward(&x, &targets));
    });
    bench.row("bce_with_logits backward", [T, H], 3 * n, || {
        bce_with_logits::backward(&x, &targets, 1.0, &mut dx);
    });
}

fn adamw_rows(bench: &Bench) {
    let (mut w, g) = (random(F * H, 1.0, 1), random(F * H, 1.0, 2));
    let (mut m, mut v) = (vec![0.0; F * H], vec![0.0; F * H]);
    let step = Step {
        lr: 1e-5,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        step: 10,
        grad_scale: 1.0,
    };
    let n = 7 * w.len();
    bench.row("adamw", [F, H], n, || adamw::update(step, &mut w, &g, &mut m, &mut v));
    adamw_table_rows(bench, step);
}

/// The word embedding of MiniLM, of which each update has a gradient for some 300 rows, most of them seldom: as a
/// whole, and by rows, each of which makes up first for what it missed.
fn adamw_table_rows(bench: &Bench, step: Step) {
    const H: usize = 384;
    let [mut w, g] = [1, 2].map(|seed| random(V * H, 1.0, seed));
    let (mut m, mut v) = (vec![0.0; V * H], vec![0.0; V * H]);
    let (mut lazy, mut t) = (Lazy::new(V), 0);
    let n = 7 * 300 * H;
    bench.row("adamw by rows", [V, H], n, || {
        t += 1;
        let ids = seldom(300, t);
        let table = Table { w: &mut w, m: &mut m, v: &mut v };
        lazy.update(Step { step: t, ..step }, &ids, &g[..ids.len() * H], table);
    });
    let n = 7 * V * H;
    bench.row("adamw whole", [V, H], n, || adamw::update(step, &mut w, &g, &mut m, &mut v));
}

/// Up to `n` of V ids, ascending; the small ones come often.
fn seldom(n: usize, seed: u64) -> Vec<u32> {
    let share = random(n, 1.0, seed).into_iter().map(|x| x.abs().powi(3));
    let mut ids: Vec<u32> = share.map(|x| (x * (V - 1) as f32) as u32).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// `n` values in [-4, 4].
fn values<E: Element>(n: usize, seed: u64) -> Vec<E> {
    random(n, 4.0, seed).into_iter().map(E::round).collect()
}

/// The name of an element type.
fn element<E: Element>() -> &'static str {
    if size_of::<E>() == 2 { "bf16" } else { "f32" }
}

/// Bytes that each thread copies: more than its share of any cache.
const COPIED: usize = 64 << 20;

/// GB/s of all threads, each of which copies a buffer of its own: bytes read and bytes written.
fn copy_bandwidth() -> f64 {
    let buffer = || (vec![1u8; COPIED], vec![0u8; COPIED]);
    let mut buffers: Vec<_> = (0..rayon::current_num_threads()).map(|_| buffer()).collect();
    let bytes = 2 * COPIED * buffers.len();
    let copy = || {
        buffers.par_iter_mut().for_each(|(from, to)| to.copy_from_slice(black_box(from)));
    };
    1e-9 * bytes as f64 / time(copy).shortest
}

/// The table; rows that the words on the command line do not ask for are left out.
struct Bench {
    filter: Filter,
}

impl Bench {
    fn new() -> Self {
        let (isa, threads) = (isa::current(), rayon::current_num_threads());
        println!("{isa:?}, {threads} threads, copy of memory {:.1} GB/s", copy_bandwidth());
        println!("{:<30} {:>14} {:>12} {:>12} {:>8}", "op", "shape", "ns", "median ns", "GB/s");
        Self { filter: Filter::from_args() }
    }

    /// Times `f` and prints its row; `floats` is the number of f32 that it must move.
    fn row<const N: usize>(&self, op: &str, shape: [usize; N], floats: usize, f: impl FnMut()) {
        self.row_of_bytes(op, shape, 4 * floats, f);
    }

    /// The same for any elements; `bytes` is what it must move.
    fn row_of_bytes<const N: usize>(
        &self,
        op: &str,
        shape: [usize; N],
        bytes: usize,
        f: impl FnMut(),
    ) {
        if self.filter.wants(op) {
            let Times { shortest, median } = time(f);
            let (shape, rate) = (format!("{shape:?}"), 1e-9 * bytes as f64 / shortest);
            let [ns, median] = [shortest, median].map(|seconds| seconds * 1e9);
            println!("{op:<30} {shape:>14} {ns:>12.0} {median:>12.0} {rate:>8.1}");
        }
    }
}
