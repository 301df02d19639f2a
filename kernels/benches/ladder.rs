//! How a product gets fast, step by step: `cargo bench -p kernels --bench ladder [-- SUBSTRING...]`.
//!
//! One line per rung of `kernels/src/matmul/ladder` and shape: GFLOP/s of the shortest call, of the median one, what
//! registers alone reach with the same instructions on as many threads, measured beside it, and the shares of that.

mod timing;

use std::hint::black_box;

use kernels::bf16;
use kernels::isa::{self, Isa};
use kernels::matmul::ladder::{Shape, interchanged, naive, packed, registers, tiled};
use kernels::matmul::{MatMut, MatRef, Store, Values, gemm, gemm_serial};
use kernels::peak;
use kernels::testing::random;
use timing::{Filter, Times, time};

/// A cube, and the widest layer of MiniLM for 2048 tokens.
const SHAPES: [Shape; 2] = [Shape { m: 512, n: 512, k: 512 }, Shape { m: 2048, n: 1536, k: 384 }];

/// Multiplications for which the definition takes a second or less.
const NAIVE_WORK: usize = 512 * 512 * 512;

type Product = fn(&[f32], &[f32], &mut [f32], Shape);

/// The rungs that are plain Rust on one thread.
const PLAIN: [(&str, Product); 5] = [
    ("naive", naive::product),
    ("interchanged", interchanged::product),
    ("tiled", tiled::product),
    ("registers", registers::product),
    ("packed", packed::product),
];

/// Bursts timed together: some 100 microseconds, so that the clock is not seen and an interruption seldom.
const BURSTS: usize = 16;

fn main() {
    let table = Table { filter: Filter::from_args() };
    let head = ["shortest", "median", "peak", "share", "median"];
    let [shortest, median, peak, share, of_median] = head;
    println!("GFLOP/s{shortest:>45} {median:>8} {peak:>8} {share:>7} {of_median:>7}");
    for shape in SHAPES {
        plain_rows(&table, shape);
        serial_rows(&table, shape);
        parallel_rows(&table, shape);
    }
}

fn plain_rows(table: &Table, shape: Shape) {
    let Shape { m, n, k } = shape;
    let (a, b, mut c) = (random(m * k, 1.0, 1), random(k * n, 1.0, 2), vec![0.0; m * n]);
    for (name, product) in PLAIN {
        if name != "naive" || m * n * k <= NAIVE_WORK {
            let how = How { isa: Isa::Portable, bf16: false, threads: 1 };
            table.row(name, shape, how, || product(&a, &b, &mut c, shape));
        }
    }
}

/// The same product by `gemm_serial`, with each micro-kernel.
fn serial_rows(table: &Table, shape: Shape) {
    for how in micro_kernels(1) {
        blocked_row(table, shape, how, |a, b, c| gemm_serial(a, b, c, Store::default()));
    }
}

fn parallel_rows(table: &Table, shape: Shape) {
    for how in micro_kernels(rayon::current_num_threads()) {
        blocked_row(table, shape, how, |a, b, c| gemm(a, b, c, Store::default()));
    }
}

/// All instruction sets with f32, and those with instructions for bf16.
fn micro_kernels(threads: usize) -> impl Iterator<Item = How> {
    let f32s = isa::supported().filter(|&isa| isa <= Isa::Avx512);
    let bf16s = isa::supported().filter(|&isa| isa > Isa::Avx512);
    let how = move |bf16| move |isa| How { isa, bf16, threads };
    f32s.map(how(false)).chain(bf16s.map(how(true)))
}

fn blocked_row(
    table: &Table,
    shape: Shape,
    how: How,
    mut product: impl FnMut(MatRef, MatRef, MatMut),
) {
    let Shape { m, n, k } = shape;
    let (a, b) = (random(m * k, 1.0, 1), random(k * n, 1.0, 2));
    let narrow = [&a, &b].map(|x| x.iter().map(|x| bf16::from_f32(*x)).collect::<Vec<_>>());
    let [a, b]: [Values; 2] = match how.bf16 {
        false => [(&a).into(), (&b).into()],
        true => narrow.each_ref().map(|x| x.as_slice().into()),
    };
    let (a, b, mut c) = (MatRef::new(a, m, k), MatRef::new(b, k, n), vec![0.0f32; m * n]);
    isa::set(how.isa);
    let name = format!("{:?} {} threads {}", how.isa, how.element(), how.threads).to_lowercase();
    table.row(&name, shape, how, || product(a, b, MatMut::new(&mut c, m, n)));
}

/// Which instructions, of which elements, on how many threads.
#[derive(Clone, Copy)]
struct How {
    isa: Isa,
    bf16: bool,
    threads: usize,
}

impl How {
    fn element(self) -> &'static str {
        if self.bf16 { "bf16" } else { "f32" }
    }

    /// GFLOP/s of registers alone, where there is a measurement for the instruction: of all threads at once, each by
    /// its own clock.
    fn peak(self) -> Option<f64> {
        let operations = peak::burst(self.isa, self.bf16)? * BURSTS;
        let bursts = || (0..BURSTS).for_each(|_| _ = black_box(peak::burst(self.isa, self.bf16)));
        let rate = || 1e-9 * operations as f64 / time(bursts).shortest;
        Some(match self.threads {
            1 => rate(),
            _ => rayon::broadcast(|_| rate()).into_iter().sum(),
        })
    }
}

/// Rows that the words on the command line do not ask for are left out.
struct Table {
    filter: Filter,
}

impl Table {
    fn row(&self, rung: &str, Shape { m, n, k }: Shape, how: How, f: impl FnMut()) {
        let name = format!("{rung:<28} {m}x{n}x{k}");
        if !self.filter.wants(&name) {
            return;
        }
        let (peak, Times { shortest, median }) = (how.peak(), time(f));
        let [rate, median] = [shortest, median].map(|s| 2e-9 * (m * n * k) as f64 / s);
        let shares = peak.map_or(String::new(), |peak| {
            let [share, of_median] = [rate, median].map(|rate| 100.0 * rate / peak);
            format!("{peak:>8.1} {share:>6.1}% {of_median:>6.1}%")
        });
        println!("{name:<43} {rate:>8.1} {median:>8.1} {shares}");
    }
}
